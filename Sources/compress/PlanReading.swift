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
    // As published: on the weights as they are, with a zero among the values of four bits.
    let isPlain = method == .awq || method == .lqer
    format = arguments[Options.format] ?? (isPlain ? .int4 : .e8p)
    groupSize = arguments[Options.groupSize] ?? (format == .e8p ? .row : .columns128)
    grid = arguments[Options.grid] ?? (isPlain && format != .e8p ? .asymmetric : .symmetric)
    scaleFit = arguments[Options.scaleFit]
    ordersByActivation = arguments[Options.actOrder]
    headFormat = arguments[Options.headFormat]
    incoherence = arguments[Options.incoherence] ?? (isPlain ? .none : .both)
    damping = arguments[Options.damping]
    // In a small model a rank of 64 would take more bits than Q.
    rank = arguments[Options.rank] ?? min(rank, max(1, configuration.hiddenSize / 16))
    targetBits = arguments[Options.targetBits]
    if method == .lordq, arguments[Options.rank] == nil {
      targetBits = targetBits ?? Options.defaultTargetBits
    }
    factorFormat = arguments[Options.factorFormat]
    factorBlockSize = arguments[Options.factorBlockSize] ?? factorBlockSize
    factorRounding = arguments[Options.factorRounding]
    outlierChannelCount = arguments[Options.outlierChannels]
    outlierStorage = arguments[Options.outlierStorage]
    initialization =
      arguments[Options.initialization]
      ?? (outlierStorage == .int8 ? .zero : method.initialization)
    updateOrder = arguments[Options.updateOrder]
    outerIterations = arguments[Options.outerIterations]
    innerIterations = arguments[Options.innerIterations]
    // GPTQ as published ends with the rounding, and what is done in one go has nothing to refine.
    refinementRounds =
      method == .caldera || method == .odlri || arguments.isGiven(Options.refinementRounds)
      ? arguments[Options.refinementRounds] : 0
    projectsMetric = arguments[Options.hessianDowndate]
    sampleCount = arguments[Options.samples]
    contextLength =
      arguments[Options.context] ?? min(contextLength, configuration.contextLength)
    propagation =
      arguments[Options.propagation] ?? (method == .awq ? .original : propagation)
    seed = arguments[Options.seed]
    keptNames = try Self.keptNames(arguments[Options.keep], configuration)
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

extension CompressionPlan.Method {
  /// What L R starts from unless something else is asked for.
  fileprivate var initialization: CompressionPlan.Initialization {
    switch self {
    case .odlri: .odlri
    case .srr: .srr
    case .caldera: .lowRank
    case .qera, .lqer, .lordq, .gptq, .awq, .rtn: .zero
    }
  }
}
