import DuetCommandLine
import DuetCompressor
import DuetRuntime

extension CompressionPlan {
  /// The plan that a command line asks for.
  ///
  /// - Throws: `UsageError` for names in `--keep` that the model does not have.
  init(_ arguments: Arguments, for configuration: Configuration) throws(UsageError) {
    self.init()
    method = arguments[Options.method]
    format = arguments[Options.format].weightFormat
    groupSize = arguments[Options.groupSize] ?? (format == .e8p ? .row : .columns128)
    headFormat = arguments[Options.headFormat]
    incoherence = arguments[Options.incoherence]
    damping = arguments[Options.damping]
    // In a small model a rank of 64 would take more bits than Q.
    rank = arguments[Options.rank] ?? min(rank, max(1, configuration.hiddenSize / 16))
    factorFormat = arguments[Options.factorFormat]
    factorRounding = arguments[Options.factorRounding]
    outlierChannelCount = arguments[Options.outlierChannels]
    outlierStorage = arguments[Options.outlierStorage]
    initialization =
      arguments[Options.initialization]
      ?? (outlierStorage == .int8 ? .zero : method == .odlri ? .odlri : .lowRank)
    updateOrder = arguments[Options.updateOrder]
    outerIterations = arguments[Options.outerIterations]
    innerIterations = arguments[Options.innerIterations]
    // GPTQ as published ends with the rounding, and rounding to nearest has nothing to refine.
    refinementRounds =
      method.hasLowRank || arguments.isGiven(Options.refinementRounds)
      ? arguments[Options.refinementRounds] : 0
    projectsMetric = arguments[Options.hessianDowndate]
    sampleCount = arguments[Options.samples]
    contextLength =
      arguments[Options.context] ?? min(contextLength, configuration.contextLength)
    propagation = arguments[Options.propagation]
    seed = arguments[Options.seed]
    keptNames = try Self.keptNames(arguments[Options.keep], configuration)
  }

  /// Refuses options that do not go together, whatever the model.
  ///
  /// - Throws: `UsageError.conflict`, which names the options.
  static func checkConflicts(_ arguments: Arguments) throws(UsageError) {
    let method = arguments[Options.method]
    if !method.hasLowRank, let option = firstLowRankOption(arguments) {
      throw .conflict(
        "--\(option) has no meaning with --method \(method.rawValue), which has no low-rank part")
    }
    if method == .rtn, arguments.isGiven(Options.refinementRounds) {
      throw .conflict("--refinement-rounds has no meaning with --method rtn")
    }
    if arguments[Options.factorFormat] == .f16 {
      if arguments.isGiven(Options.factorRounding) {
        throw .conflict("--lr-rounding has no meaning with --lr-format f16, which is not rounded")
      }
      if arguments.isGiven(Options.innerIterations) {
        throw .conflict(
          "--inner-iterations has no meaning with --lr-format f16, where L R is found in one step")
      }
    }
    let storesOutliers = arguments[Options.outlierStorage] == .int8
    switch (method, arguments[Options.initialization]) {
    case (_, .odlri?) where storesOutliers:
      throw .conflict(
        "--initialization odlri has no meaning with --outlier-storage int8: L R would start from "
          + "the columns that are stored apart")
    case (.odlri, let start?) where !storesOutliers && (start == .zero || start == .lowRank):
      throw .conflict(
        "--method odlri starts from the outlier channels; --initialization \(start.rawValue) is for "
          + "--method caldera")
    case (.caldera, .odlri?):
      throw .conflict("--initialization odlri is --method odlri, not caldera")
    case (.caldera, let start) where start != .auto && !storesOutliers:
      if arguments.isGiven(Options.outlierChannels) {
        throw .conflict(
          "--outlier-channels has no meaning with --method caldera unless they are stored apart, by "
            + "--outlier-storage int8")
      }
    default: break
    }
    if arguments[Options.force], arguments[Options.resume] == .required {
      throw .conflict("--force and --resume required contradict each other")
    }
  }

  /// The first option given that is about L R.
  private static func firstLowRankOption(_ arguments: Arguments) -> String? {
    let given: [(any DeclaredOption, Bool)] = [
      (Options.rank, arguments.isGiven(Options.rank)),
      (Options.factorFormat, arguments.isGiven(Options.factorFormat)),
      (Options.factorRounding, arguments.isGiven(Options.factorRounding)),
      (Options.initialization, arguments.isGiven(Options.initialization)),
      (Options.outlierChannels, arguments.isGiven(Options.outlierChannels)),
      (Options.outlierStorage, arguments[Options.outlierStorage] != .none),
      (Options.updateOrder, arguments.isGiven(Options.updateOrder)),
      (Options.outerIterations, arguments.isGiven(Options.outerIterations)),
      (Options.innerIterations, arguments.isGiven(Options.innerIterations)),
      (Options.hessianDowndate, arguments.isGiven(Options.hessianDowndate)),
    ]
    return given.first { $0.1 }?.0.declaration.name
  }

  /// The names of `--keep`, each of which must mean something.
  private static func keptNames(
    _ text: String?, _ configuration: Configuration
  ) throws(UsageError) -> [String] {
    guard let text else { return [] }
    let names = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    var known = CompressionForecast.linearNames(configuration)
    known += ["lm_head", "model.embed_tokens"]
    for name in names {
      var plan = CompressionPlan()
      plan.keptNames = [name]
      guard known.contains(where: plan.keeps) else {
        throw .conflict(
          "--keep: no matrix of this model is called '\(printable(name))' or ends with it behind a "
            + "dot; a name is down_proj or model.layers.0.mlp.down_proj")
      }
    }
    return names
  }
}
