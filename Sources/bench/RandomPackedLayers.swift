import DuetCommandLine
import DuetRuntime

/// The packed linear layers of a shape, before there are any: what they are and what they take.
struct PackedPlan {
  let configuration: Configuration
  let recipe: PackedRecipe
  /// How the output head is stored.
  static let headRecipe = PackedRecipe(format: .int8)

  /// The matrices of a decoder layer, those that share an input together.
  var layerSizes: [[MatrixSize]] {
    let hidden = configuration.hiddenSize
    let (query, keyValue) = (configuration.queryWidth, configuration.keyValueWidth)
    let intermediate = configuration.intermediateSize
    return [
      [query, keyValue, keyValue].map { MatrixSize(outputSize: $0, inputSize: hidden) },
      [MatrixSize(outputSize: hidden, inputSize: query)],
      [intermediate, intermediate].map { MatrixSize(outputSize: $0, inputSize: hidden) },
      [MatrixSize(outputSize: hidden, inputSize: intermediate)],
    ]
  }

  /// The output head.
  var headSize: MatrixSize {
    MatrixSize(outputSize: configuration.vocabularySize, inputSize: configuration.hiddenSize)
  }

  /// The weights of all layers and the head, those of L and R not counted.
  var weightCount: Int { layerWeightCount * configuration.layerCount + headSize.weightCount }

  private var layerWeightCount: Int { layerSizes.joined().reduce(0) { $0 + $1.weightCount } }

  /// What the layers take in memory.
  var memory: ShapeMemory {
    ShapeMemory(
      layerByteCount: layerSizes.joined().reduce(0) { $0 + recipe.byteCount($1) },
      otherByteCount: Self.headRecipe.byteCount(headSize), layerCount: configuration.layerCount)
  }

  /// As members of a JSON document.
  var json: [JSONOutput.Member] {
    let bits = Double(memory.layerByteCount) * 8 / Double(layerWeightCount)
    return recipe.json + [
      .init("head_format", .string(Self.headRecipe.format.rawValue)),
      .init("layers", .integer(configuration.layerCount)),
      .init("bits_per_weight", .number(bits)),
    ]
  }
}

/// The linear layers of a shape with random packed weights, in the order in which a token meets them.
struct RandomPackedLayers {
  let plan: PackedPlan
  /// Queries, keys and values; the attention's output; gate and up; down: for each layer.
  let layers: [[PackedLinear]]
  let head: PackedLinear

  /// Makes the weights.
  init(_ plan: PackedPlan) throws(PackedMatrixError) {
    let pool = WorkerPool(threadCount: SessionOptions.processorCount)
    var layers: [[PackedLinear]] = []
    for _ in 0..<plan.configuration.layerCount {
      var layer: [PackedLinear] = []
      for sizes in plan.layerSizes { layer.append(try plan.recipe.linear(sizes, pool)) }
      layers.append(layer)
    }
    self.plan = plan
    self.layers = layers
    head = try PackedPlan.headRecipe.linear([plan.headSize], pool)
  }

  /// The bytes that a token reads once.
  var byteCount: Int { layers.joined().reduce(head.byteCount) { $0 + $1.byteCount } }

  /// All matrices, in the order in which a token reads them.
  var matrices: [PackedMatrix] { (layers.flatMap { $0 } + [head]).flatMap(\.matrices) }
}

/// What the weights of a shape take in memory.
struct ShapeMemory {
  /// The bytes of a decoder layer.
  let layerByteCount: Int
  /// The bytes of everything else.
  let otherByteCount: Int
  let layerCount: Int

  /// The bytes of all weights.
  var byteCount: Int { layerCount * layerByteCount + otherByteCount }

  /// The memory of the machine that is left to the rest, for buffers and other programs.
  private static let reserve = 256 << 20

  /// Refuses a shape that does not fit into the memory that is free now.
  ///
  /// - Throws: `BenchError.doesNotFit`, with the number of layers that do.
  func check(_ shape: String) throws(BenchError) {
    guard let free = availableByteCount(), byteCount + Self.reserve > free else { return }
    throw .doesNotFit(
      shape: shape, byteCount: byteCount, freeByteCount: free,
      layerCount: max(0, (free - Self.reserve - otherByteCount) / max(layerByteCount, 1)))
  }
}
