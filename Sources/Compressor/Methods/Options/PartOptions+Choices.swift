public import DuetRuntime

extension QuantizationOptions {
  /// The options of Q that are given.
  ///
  /// - Parameters:
  ///   - choices: The values that are given.
  ///   - standard: The default format.
  ///   - isPlain: Whether the method was published for unrotated weights: then the default is int4 on an
  ///     asymmetric grid, one of whose values is zero.
  public init(
    reading choices: inout MethodChoices, standard: WeightFormat = .e8p, isPlain: Bool = false
  ) {
    self.init()
    format = choices.read(MethodOptions.format, default: isPlain ? .int4 : standard)
    groupSize = choices.read(
      MethodOptions.groupSize, default: format.coding == .integers ? .columns128 : .row)
    gridKind = choices.read(
      MethodOptions.grid, default: isPlain && format.coding == .integers ? .asymmetric : .symmetric)
    scaleFit = choices.read(MethodOptions.scaleFit)
  }

  /// Refuses options of Q that contradict each other.
  ///
  /// - Throws: `CompressionPlanError.conflict`.
  func check() throws(CompressionPlanError) {
    let kind =
      switch format.coding {
      case .integers: ""
      case .lattice: "a lattice"
      case .trellis: "a trellis code"
      }
    if format.coding == .integers { return }
    if gridKind == .asymmetric {
      throw .conflict(
        "--grid asymmetric has no meaning with --format \(format.rawValue), \(kind)")
    }
    if scaleFit == .range {
      throw .conflict(
        "--scale-fit range has no meaning with --format \(format.rawValue), \(kind)")
    }
    if format.coding == .trellis, groupSize != .row {
      throw .conflict(
        "--format \(format.rawValue) has one scale for each row; "
          + "--group-size \(groupSize.rawValue) has no meaning with it")
    }
  }
}

extension LowRankOptions {
  /// The options of L R that are given.
  ///
  /// - Parameters:
  ///   - choices: The values that are given.
  ///   - standardRank: The default rank, or nil for the one that depends on the hidden size.
  ///   - standardTargetBits: The bits per weight that ranks are chosen for where neither a rank nor bits are
  ///     given, or nil for the default rank.
  ///   - findsBlocks: Whether the components are found in blocks.
  public init(
    reading choices: inout MethodChoices, standardRank: Int? = nil,
    standardTargetBits: Double? = nil, findsBlocks: Bool = false
  ) {
    self.init()
    rank = choices.read(MethodOptions.rank, default: standardRank ?? choices.defaultRank)
    targetBits = choices.read(
      MethodOptions.targetBits,
      default: choices.isGiven(MethodOptions.rank) ? nil : standardTargetBits)
    format = choices.read(MethodOptions.factorFormat)
    if findsBlocks { blockSize = choices.read(MethodOptions.factorBlockSize) }
    rounding = choices.read(MethodOptions.factorRounding)
    innerIterations = choices.read(MethodOptions.innerIterations)
  }

  /// Refuses options of L and R that contradict each other.
  ///
  /// - Parameter given: The values that the user gave.
  /// - Throws: `CompressionPlanError.conflict`.
  func check(given: MethodChoices) throws(CompressionPlanError) {
    if given.isGiven(MethodOptions.rank), given.isGiven(MethodOptions.targetBits) {
      throw .conflict("--rank and --target-bits, which chooses the ranks, contradict each other")
    }
    guard format == .f16 else { return }
    if given.isGiven(MethodOptions.factorRounding) {
      throw .conflict("--lr-rounding has no meaning with --lr-format f16, which is not rounded")
    }
    if given.isGiven(MethodOptions.innerIterations) {
      throw .conflict(
        "--inner-iterations has no meaning with --lr-format f16, where L R is found in one step")
    }
  }
}

extension MethodChoices {
  /// The values of the options of Q and of L R, for `CompressionMethod.choices`.
  public init(_ quantization: QuantizationOptions? = nil, _ lowRank: LowRankOptions? = nil) {
    self.init()
    if let quantization {
      set(MethodOptions.format, to: quantization.format)
      set(MethodOptions.groupSize, to: quantization.groupSize)
      set(MethodOptions.grid, to: quantization.gridKind)
      set(MethodOptions.scaleFit, to: quantization.scaleFit)
    }
    if let lowRank {
      set(MethodOptions.rank, to: lowRank.rank)
      set(MethodOptions.targetBits, to: lowRank.targetBits)
      set(MethodOptions.factorFormat, to: lowRank.format)
      if let blockSize = lowRank.blockSize { set(MethodOptions.factorBlockSize, to: blockSize) }
      set(MethodOptions.factorRounding, to: lowRank.rounding)
      set(MethodOptions.innerIterations, to: lowRank.innerIterations)
    }
  }
}
