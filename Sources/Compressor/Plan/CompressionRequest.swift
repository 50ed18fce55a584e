public import DuetRuntime
internal import DuetSystem

/// The choices that a user made for a compression, nil where a default applies.
///
/// Some defaults depend on the method and some on the model, so a plan is made from a request when both are
/// known. `check()` finds what is wrong for every model.
public struct CompressionRequest: Sendable {
  /// The name of the method.
  public var method: String
  /// The values for its options.
  public var choices = MethodChoices()
  /// How the output head is stored.
  public var headFormat: HeadFormat?
  /// How the embedding is stored.
  public var embeddingFormat: EmbeddingFormat?
  /// The number that is added to the Hessian's diagonal, relative to the mean of the diagonal.
  public var damping: Double?
  /// Which sides are rotated.
  public var incoherence: IncoherenceSides?
  /// The weights that the inputs of later layers are computed with.
  public var propagation: Propagation?
  /// The type of the activations in compressed layers while the samples run through them.
  public var activationType: ActivationType?
  /// What an error in the output of a matrix costs.
  public var metric: MetricKind?
  /// The number of calibration samples.
  public var sampleCount: Int?
  /// The tokens of a calibration sample.
  public var contextLength: Int?
  /// The seed of all random choices.
  public var seed: UInt64?
  /// The matrices that are not compressed, by their names or the ends of them.
  public var keptNames: [String] = []

  /// A request for a method, with all defaults.
  ///
  /// - Parameter method: `CompressionMethod.name`.
  public init(method: String = MethodList.standard.name) { self.method = method }

  /// Refuses what is wrong for every model: options that the method does not read, and options that
  /// contradict each other.
  ///
  /// - Throws: `CompressionPlanError`.
  public func check() throws(CompressionPlanError) { _ = try plan(choices) }

  /// The plan for a model.
  ///
  /// - Parameter configuration: The sizes of the model, which ranks, samples and names depend on.
  /// - Returns: The plan.
  /// - Throws: `CompressionPlanError`, also for a name to keep that the model does not have.
  public func plan(
    for configuration: Configuration
  ) throws(CompressionPlanError) -> CompressionPlan {
    var choices = choices
    choices.hiddenSize = configuration.hiddenSize
    var result = try plan(choices)
    if contextLength == nil {
      result.contextLength = min(result.contextLength, configuration.contextLength)
    }
    result.keptNames = keptNames
    try result.checkKeptNames(configuration)
    return result.choosingEmbedding(for: configuration)
  }

  /// The plan without what depends on the model.
  private func plan(_ choices: MethodChoices) throws(CompressionPlanError) -> CompressionPlan {
    var result = CompressionPlan(try MethodList.method(named: method, choices))
    result.incoherence = incoherence ?? result.incoherence
    result.propagation = propagation ?? result.propagation
    try result.checkNeeds()
    result.headFormat = headFormat ?? result.headFormat
    result.embeddingFormat = embeddingFormat
    result.damping = damping ?? result.damping
    result.activationType = activationType ?? result.activationType
    result.metric = metric ?? result.metric
    result.sampleCount = sampleCount ?? result.sampleCount
    result.contextLength = contextLength ?? result.contextLength
    result.seed = seed ?? result.seed
    return result
  }
}
