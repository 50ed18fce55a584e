internal import DuetRuntime

extension CompressionForecast {
  /// The matrices that a plan compresses.
  static func matrices(_ configuration: Configuration, _ plan: CompressionPlan) -> [Matrix] {
    (0..<configuration.layerCount).flatMap { layer in
      LayerLinears(configuration, layer: layer, plan).all.map { Matrix($0, plan: plan) }
    }
  }

  /// The plan with the largest rank that, used for all matrices, meets the plan's bits per weight.
  ///
  /// Forecasts use it before the ranks are chosen. A plan without bits, or with chosen ranks, is returned
  /// unchanged.
  ///
  /// - Throws: `IncoherenceError`, `CompressionDataError.budget`.
  static func uniform(
    _ plan: CompressionPlan, _ configuration: Configuration
  ) throws -> CompressionPlan {
    guard let target = plan.method.lowRank?.targetBits, plan.moduleRanks.isEmpty else {
      return plan
    }
    var plan = plan
    let rotations = try rotationByteCount(matrices(configuration, plan), plan.incoherence)
    func bitsPerWeight(rank: Int) -> Double {
      plan.uniformRank = rank
      let matrices = matrices(configuration, plan)
      let bytes = matrices.reduce(rotations) { $0 + $1.byteCount }
      return Double(bytes) * 8 / Double(max(1, matrices.reduce(0) { $0 + $1.weightCount }))
    }
    var low = plan.method.quantization == nil ? 1 : 0
    var high = max(configuration.hiddenSize, configuration.intermediateSize)
    let least = bitsPerWeight(rank: low)
    guard least <= target else {
      throw CompressionDataError.budget(targetBits: target, leastBits: least)
    }
    while low < high {
      let middle = (low + high + 1) / 2
      if bitsPerWeight(rank: middle) <= target { low = middle } else { high = middle - 1 }
    }
    plan.uniformRank = low
    return plan
  }

  /// The bytes of the rotations: signs (size), one byte each, for every size that is rotated, and the
  /// dense factor (order, order) in F32 where its order is not 1.
  static func rotationByteCount(
    _ matrices: [Matrix], _ sides: IncoherenceSides
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

  /// The names of the tensors other than matrices that a rescaling changes; they are stored in F32.
  static func widenedNames(_ configuration: Configuration, _ plan: CompressionPlan) -> Set<String> {
    guard plan.method.needs.rescalesInputs else { return [] }
    return Set(
      (0..<configuration.layerCount).flatMap { index in
        LayerScaling.replacedNames(
          LayerLinears(configuration, layer: index, plan), configuration, index: index)
      })
  }

  /// The bytes of the embedding that a plan stores, or 0 when it is copied.
  ///
  /// A `source` of 16 bits, or none, stays when the plan asks for F16.
  static func embeddingByteCount(
    _ configuration: Configuration, _ plan: CompressionPlan, source: Tensor?
  ) -> Int {
    let count = configuration.vocabularySize * configuration.hiddenSize
    guard let format = plan.embeddingFormat else { return 0 }
    if format == .f16 { return source?.byteCount == 4 * count ? 2 * count : 0 }
    return plan.compressedFormat.vocabularyLayout(
      of: CompressedFormat.embeddingName, vocabularySize: configuration.vocabularySize,
      hiddenSize: configuration.hiddenSize
    )?.byteCount() ?? 0
  }

  /// The bytes of an output head that is not the embedding.
  static func headByteCount(
    _ configuration: Configuration, _ format: HeadFormat
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
  /// The forecast for a linear layer under a plan.
  init(_ linear: LayerLinears.Linear, plan: CompressionPlan) {
    let (m, n) = (linear.outputSize, linear.inputSize)
    name = linear.name
    layer = linear.layer
    outputSize = m
    inputSize = n
    let rank = plan.rank(of: linear.name, outputSize: m, inputSize: n)
    self.rank = rank
    let format = plan.compressedFormat
    quantizedByteCount =
      format.quantizedLayout(outputSize: m, inputSize: n)?
      .byteCount(hasOffsets: format.grid == .asymmetric) ?? 0
    factorByteCount = format.factors.byteCount(rank: rank, outputSize: m, inputSize: n)
    columnByteCount = Packing.columnsByteCount(
      outputSize: m, count: plan.method.columnCount(inputSize: n))
  }
}
