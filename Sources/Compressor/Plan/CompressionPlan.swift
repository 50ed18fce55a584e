public import DuetRuntime
internal import DuetText

/// How the output head is stored.
public enum HeadFormat: String, Sendable, CaseIterable {
  /// Eight bits with group scales.
  case int8
  /// Half precision.
  case f16
}

/// How a model is to be compressed: every choice that changes a byte of the result.
///
/// What concerns one matrix is the method's; what concerns all of them is here.
///
/// ```swift
/// var method = ODLRI()
/// method.rounding.format = .int3
/// method.factors.rank = 32
/// var plan = CompressionPlan(method)
/// plan.sampleCount = 64
/// ```
public struct CompressionPlan: Sendable {
  /// What weight matrices are decomposed by, with its options.
  public var method: any CompressionMethod
  /// How the output head is stored.
  public var headFormat = HeadFormat.int8
  /// What is added to the Hessian's diagonal, relative to its mean.
  public var damping = 0.01
  /// Which sides are rotated.
  public var incoherence: IncoherenceSides
  /// What computes the inputs of later layers.
  public var propagation: Propagation
  /// The number of calibration samples.
  public var sampleCount = 128
  /// The tokens of a calibration sample.
  public var contextLength = 2048
  /// Where all random choices come from.
  public var seed: UInt64 = 0
  /// Linear layers that stay as they are, by the ends of their names.
  public var keptNames: [String] = []
  /// The ranks that were chosen for the method's bits per weight, by the names of the linear layers; no choice,
  /// but what follows from it.
  package var moduleRanks: [String: Int] = [:]
  /// The rank of all matrices in place of the method's, in forecasts of ranks that are not chosen yet.
  package var uniformRank: Int?

  /// The plan of a method, with what it needs and the defaults of all else.
  public init(_ method: some CompressionMethod) {
    self.method = method
    incoherence = method.needs.incoherence
    propagation = method.needs.propagation
  }

  /// The plan of the standard method with its defaults.
  public init() { self.init(MethodList.standard.init()) }

  /// Refuses choices that contradict each other.
  ///
  /// - Throws: `CompressionPlanError`.
  public func check() throws(CompressionPlanError) {
    try method.check(given: MethodChoices())
    try checkNeeds()
  }

  /// Refuses what the method's needs rule out.
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
