public import DuetRuntime
internal import DuetSystem
internal import DuetText

/// How the output head is stored.
public enum HeadFormat: String, Sendable, CaseIterable {
  /// Eight bits with group scales.
  case int8
  /// Half precision.
  case f16
}

/// How the embedding is stored.
public enum EmbeddingFormat: String, Sendable, CaseIterable {
  /// Eight bits, a scale for 64 columns of a row.
  case int8
  /// Four bits, a scale for 32 columns of a row.
  case int4
  /// Half precision; BF16 stays as it is.
  case f16

  /// How the packed matrix is stored, or nil when it is not packed.
  ///
  /// Groups of 64 columns do not pad the widths of small models, such as 576 and 960. Four bits need a scale
  /// for fewer columns: their error grows with the largest weight of a group.
  package var storage: EmbeddingStorage? {
    switch self {
    case .int8: EmbeddingStorage(.int8, groupSize: .columns64)
    case .int4: EmbeddingStorage(.int4, groupSize: .columns32)
    case .f16: nil
    }
  }
}

/// What an error in the output of a matrix costs.
public enum MetricKind: String, Sendable, CaseIterable {
  /// The same at every token: the metric is E[x x^T], x the input.
  case activation
  /// What it does to the loss of the original model: tokens are weighted by the squared derivatives of the loss by
  /// the outputs (GuidedQuant, arXiv:2505.07004).
  case guided
}

/// How a model is to be compressed: every choice that changes a byte of the result.
///
/// Choices about a single matrix belong to the method; choices about the whole model are here.
///
/// ```swift
/// var method = ODLRI()
/// method.rounding.format = .int3
/// method.rounding.groupSize = .columns128
/// method.factors.rank = 32
/// var plan = CompressionPlan(method)
/// plan.sampleCount = 64
/// ```
public struct CompressionPlan: Sendable {
  /// The method that decomposes weight matrices, with its options.
  public var method: any CompressionMethod
  /// How the output head is stored, unless it is tied to the embedding.
  public var headFormat = HeadFormat.int8
  /// How the embedding is stored, and with it a head that is tied to it.
  ///
  /// With nil, the default, a tied embedding is stored in eight bits, and any other stays as it is.
  public var embeddingFormat: EmbeddingFormat?
  /// The number that is added to the Hessian's diagonal, relative to the mean of the diagonal.
  public var damping = 0.01
  /// Which sides are rotated.
  public var incoherence: IncoherenceSides
  /// The weights that the inputs of later layers are computed with.
  public var propagation: Propagation
  /// The type of the activations that the compressed matrices multiply while they are calibrated.
  ///
  /// With `int8` the samples run through the packed matrices, as they do in the finished model; with `f32`
  /// through dense ones with the same weights.
  public var activationType = ActivationType.f32
  /// What an error in the output of a matrix costs.
  public var metric = MetricKind.activation
  /// The number of calibration samples.
  public var sampleCount = 128
  /// The tokens of a calibration sample.
  public var contextLength = 2048
  /// The seed of all random choices.
  public var seed: UInt64 = 0
  /// The linear layers that are not compressed, by their names or the ends of them.
  public var keptNames: [String] = []
  /// The ranks that were chosen to meet the method's bits per weight, by the names of the linear layers.
  ///
  /// They follow from the other choices and the samples, so they are not among `members(hiddenSize:)`.
  package var moduleRanks: [String: Int] = [:]
  /// One rank for all matrices instead of the method's, for forecasts made before the ranks are chosen.
  package var uniformRank: Int?

  /// The plan with a method and what it needs, and with the defaults of all other choices.
  public init(_ method: some CompressionMethod) {
    self.method = method
    incoherence = method.needs.incoherence
    propagation = method.needs.propagation
  }

  /// The plan with the standard method and all defaults.
  public init() { self.init(MethodList.standard.init()) }

  /// Refuses choices that are out of range or contradict each other.
  ///
  /// - Throws: `CompressionPlanError`.
  public func check() throws(CompressionPlanError) {
    if let problem = method.choices.firstProblem { throw problem }
    guard damping >= 0, damping <= 1 else {
      throw .conflict("--damping: '\(damping)' is not a number from 0 to 1")
    }
    guard sampleCount > 0, contextLength > 0 else {
      throw .conflict(
        "--samples \(sampleCount) and --context \(contextLength): both must be 1 or more")
    }
    guard metric == .activation || contextLength > 1 else {
      throw .conflict(
        "--metric guided and --context 1 contradict each other: the loss is that of the tokens from the "
          + "second on")
    }
    try method.check(given: MethodChoices())
    try checkNeeds()
  }

  /// Refuses names to keep that the model does not have.
  ///
  /// - Throws: `CompressionPlanError.conflict`.
  func checkKeptNames(_ configuration: Configuration) throws(CompressionPlanError) {
    let known =
      (0..<configuration.layerCount).flatMap { layer in
        LayerTensors.matrices.map { $0.name(inLayer: layer) }
      } + [CompressedFormat.headName, CompressedFormat.embeddingName]
    for name in keptNames {
      var plan = self
      plan.keptNames = [name]
      guard known.contains(where: plan.keeps) else {
        throw .conflict(
          "--keep: no matrix of this model is called '\(printable(name))' or ends with it behind a "
            + "dot; a name is down_proj or model.layers.0.mlp.down_proj")
      }
    }
  }

  /// Refuses choices that the needs of the method exclude.
  func checkNeeds() throws(CompressionPlanError) {
    guard method.needs.rescalesInputs else { return }
    if incoherence != .none {
      throw .conflict(
        "--incoherence \(incoherence.rawValue) and --method \(method.name) contradict each other: rotated "
          + "inputs are all of one size")
    }
    if propagation == .corrected {
      throw .conflict(
        "--propagate corrected and --method \(method.name) contradict each other: rescaling an input changes "
          + "matrices that are corrected before it")
    }
  }
}

extension CompressionPlan: Equatable {
  /// Whether both ask for the same result.
  public static func == (left: CompressionPlan, right: CompressionPlan) -> Bool {
    left.moduleRanks == right.moduleRanks && left.uniformRank == right.uniformRank
      && left.members().map(\.value.text) == right.members().map(\.value.text)
  }
}
