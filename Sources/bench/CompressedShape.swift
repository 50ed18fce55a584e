import DuetCompressor
import DuetRuntime

/// A compressed model of a published shape with random weights, which are made by `checkpoint`.
struct CompressedShape {
  /// The sizes, and the formats of the compressed weights.
  let configuration: Configuration
  private let format: CompressedFormat

  /// Makes the shape of `configuration` with all linear layers and the output head compressed.
  init(_ configuration: Configuration, _ format: CompressedFormat) {
    var configuration = configuration
    configuration.compression = format
    // A compressed head is stored in addition to the embedding.
    configuration.tiesEmbeddings = false
    self.configuration = configuration
    self.format = format
  }

  /// The memory that the tensors take.
  var memory: ShapeMemory {
    let layer = Self.linears(0, configuration).reduce(0) { sum, linear in
      sum + parts(linear.name, linear.size).reduce(0) { $0 + $1.byteCount }
    }
    let embedding = 2 * configuration.vocabularySize * configuration.hiddenSize
    return ShapeMemory(
      layerByteCount: layer, otherByteCount: embedding + headLayout.byteCount(),
      layerCount: configuration.layerCount)
  }

  /// Makes the weights.
  func checkpoint() throws -> Checkpoint {
    let pool = WorkerPool(threadCount: SessionOptions.processorCount)
    var tensors = try SyntheticCheckpoint.tensors(
      of: SyntheticCheckpoint.tensorShapes(configuration).filter { shape in
        shape.sizes.count == 1 || shape.name == "model.embed_tokens.weight"
      }, elementType: .f16)
    for layer in 0..<configuration.layerCount {
      for (name, size) in Self.linears(layer, configuration) {
        for part in parts(name, size) { tensors += try part.tensors(pool) }
      }
    }
    tensors += try PackedMatrix.random(headLayout, pool).storedTensors(named: "lm_head")
    for size in rotatedSizes {
      tensors += try IncoherenceTransform(size: size, seed: UInt64(size)).storedTensors()
    }
    return Checkpoint(configuration: configuration, tensors: tensors)
  }

  /// The plan of a compression that would make such a model.
  var plan: CompressionPlan {
    var choices = MethodChoices()
    if let quantized = format.format { choices.set(MethodOptions.format, to: quantized) }
    choices.set(MethodOptions.groupSize, to: format.groupSize)
    choices.set(MethodOptions.rank, to: format.rank)
    choices.set(MethodOptions.factorFormat, to: format.factors.format)
    var plan = CompressionPlan(MethodList.standard.init(reading: &choices))
    plan.incoherence = format.incoherence
    return plan
  }

  private var headLayout: PackedLayout {
    CompressedFormat.headLayout(
      vocabularySize: configuration.vocabularySize, hiddenSize: configuration.hiddenSize)
  }

  private var rotatedSizes: [Int] {
    let sizes = Self.linears(0, configuration).map(\.size)
    switch format.incoherence {
    case .none: return []
    case .input: return Set(sizes.map(\.inputSize)).sorted()
    case .both: return Set(sizes.flatMap { [$0.inputSize, $0.outputSize] }).sorted()
    }
  }

  private static func linears(
    _ layer: Int, _ configuration: Configuration
  ) -> [(name: String, size: MatrixSize)] {
    LayerTensors.matrices.map { row in
      (
        row.name(inLayer: layer),
        MatrixSize(
          outputSize: row.outputSize(configuration), inputSize: row.inputSize(configuration))
      )
    }
  }

  /// The tensors of a linear layer: Q, and L and R if there are any.
  private func parts(_ name: String, _ size: MatrixSize) -> [Part] {
    let (rows, columns) = (size.outputSize, size.inputSize)
    let rank = format.rank(of: name, outputSize: rows, inputSize: columns)
    var parts: [Part] = []
    if let quantized = format.quantizedLayout(outputSize: rows, inputSize: columns) {
      parts.append(.packed(name, quantized))
    }
    if rank == 0 { return parts }
    if let layouts = format.factors.layouts(rank: rank, outputSize: rows, inputSize: columns) {
      parts += [.packed("\(name).left", layouts.left), .packed("\(name).right", layouts.right)]
    } else {
      parts += [
        .half("\(name).left.values", [rows, rank]),
        .half("\(name).right.values", [rank, columns]),
      ]
    }
    return parts
  }

  /// A stored matrix: packed, or in half precision.
  private enum Part {
    case packed(String, PackedLayout)
    case half(String, [Int])

    var byteCount: Int {
      switch self {
      case .packed(_, let layout): layout.byteCount()
      case .half(_, let sizes): sizes.reduce(2, *)
      }
    }

    func tensors(_ pool: WorkerPool) throws -> [StoredTensor] {
      switch self {
      case .packed(let name, let layout):
        try PackedMatrix.random(layout, pool).storedTensors(named: name)
      case .half(let name, let sizes):
        try SyntheticCheckpoint.tensors(of: [(name, sizes)], elementType: .f16)
      }
    }
  }
}

extension CompressedFormat {
  /// The format as text.
  var text: String {
    "\(format?.rawValue ?? "no Q") group \(groupSize.rawValue)"
      + (rank > 0 ? " rank \(rank) \(factors.format.rawValue)" : "")
  }
}
