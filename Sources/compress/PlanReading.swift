import DuetCommandLine
import DuetCompressor
import DuetRuntime

extension CompressionRequest {
  /// Makes the request of a command line.
  ///
  /// - Throws: `UsageError` and `CompressionPlanError` for options that cannot be combined for any
  ///   model.
  init(_ arguments: Arguments) throws {
    self.init(method: arguments[Options.method])
    for argument in Options.methodArguments { argument.add(from: arguments, to: &choices) }
    headFormat = arguments[Options.headFormat]
    embeddingFormat = arguments[Options.embeddingFormat]
    incoherence = arguments[Options.incoherence]
    damping = arguments[Options.damping]
    propagation = arguments[Options.propagation]
    activationType = arguments[Options.activations]
    metric = arguments[Options.metric]
    sampleCount = arguments[Options.samples]
    contextLength = arguments[Options.context]
    seed = arguments[Options.seed]
    keptNames =
      arguments[Options.keep].map { names in
        names.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
      } ?? []
    try check()
    if arguments[Options.force], arguments[Options.resume] == .required {
      throw UsageError.conflict("--force and --resume required contradict each other")
    }
  }
}
