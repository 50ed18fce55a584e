public import DuetRuntime

extension CompressionForecast {
  /// The names of all linear layers that a plan can compress, without ".weight".
  public static func linearNames(_ configuration: Configuration) -> [String] {
    linears(configuration).map(\.name)
  }

  /// A linear layer of the model.
  struct LinearShape {
    let name: String
    let layer: Int
    let outputSize: Int
    let inputSize: Int
  }

  /// The seven linear layers of every decoder layer, as the forward pass comes to them.
  static func linears(_ configuration: Configuration) -> [LinearShape] {
    let hidden = configuration.hiddenSize
    let shapes = [
      ("self_attn.q_proj", configuration.queryWidth, hidden),
      ("self_attn.k_proj", configuration.keyValueWidth, hidden),
      ("self_attn.v_proj", configuration.keyValueWidth, hidden),
      ("self_attn.o_proj", hidden, configuration.queryWidth),
      ("mlp.gate_proj", configuration.intermediateSize, hidden),
      ("mlp.up_proj", configuration.intermediateSize, hidden),
      ("mlp.down_proj", hidden, configuration.intermediateSize),
    ]
    return (0..<configuration.layerCount).flatMap { layer in
      shapes.map { name, outputSize, inputSize in
        LinearShape(
          name: "model.layers.\(layer).\(name)", layer: layer, outputSize: outputSize,
          inputSize: inputSize)
      }
    }
  }

  /// The bytes of the rotations: signs (size), one byte each, for every size that is rotated, and the
  /// dense factor (order, order) in F32 where its order is not 1.
  static func rotationByteCount(
    _ matrices: [Matrix], _ sides: CompressionPlan.IncoherenceSides
  ) throws(IncoherenceError) -> Int {
    var sizes: Set<Int> = []
    if sides != .none { sizes.formUnion(matrices.map(\.inputSize)) }
    if sides == .both { sizes.formUnion(matrices.map(\.outputSize)) }
    var sum = 0
    for size in sizes.sorted() {
      let order = try OrthogonalFactor(size: size).order
      sum += size + (order > 1 ? 4 * order * order : 0)
    }
    return sum
  }

  /// The bytes of a head of its own.
  static func headByteCount(
    _ configuration: Configuration, _ format: CompressionPlan.HeadFormat
  ) -> Int {
    switch format {
    case .int8:
      CompressedFormat.headLayout(
        vocabularySize: configuration.vocabularySize, hiddenSize: configuration.hiddenSize
      ).byteCount()
    case .f16: 2 * configuration.vocabularySize * configuration.hiddenSize
    }
  }
}

extension CompressionForecast.Matrix {
  /// What a linear layer takes under a plan.
  init(_ linear: CompressionForecast.LinearShape, plan: CompressionPlan) {
    let (m, n) = (linear.outputSize, linear.inputSize)
    name = linear.name
    layer = linear.layer
    outputSize = m
    inputSize = n
    let rank = plan.rank(outputSize: m, inputSize: n)
    self.rank = rank
    quantizedByteCount = plan.quantizedLayout(outputSize: m, inputSize: n).byteCount()
    factorByteCount = StoredFactors.byteCount(
      plan.factorFormat, rank: rank, outputSize: m, inputSize: n)
    columnByteCount = Packing.columnsByteCount(
      outputSize: m, count: plan.columnCount(inputSize: n))
  }
}
