import DuetCommandLine
import DuetCompressor
import DuetRuntime

/// The command line of `compress`, its defaults those of a plan.
enum Options {
  private static let plan = CompressionPlan()
  private static let formatNames = CompressedFormat.quantizedFormats.map(\.rawValue)

  static let folder = Operand("MODEL_DIR", help: "The folder of the checkpoint to compress")
  static let output: Option<String?> = .string(
    "output", short: "o", "DIR",
    help: "The folder of the compressed model; needed but for --dry-run")

  // MARK: - Q

  static let method = Option<CompressionPlan.Method>.choice(
    "method", default: plan.method, help: "What a matrix is decomposed by; see below")
  static let format = Option<WeightFormat?>(
    "format", formatNames.joined(separator: "|"), help: "How Q is stored; see below",
    initial: nil, defaultText: "e8p; int4 with awq and lqer",
    expected: "one of \(formatNames.joined(separator: ", "))",
    read: { text in
      formatNames.contains(text) ? WeightFormat(rawValue: text).map { .some($0) } : nil
    })
  static let groupSize = Option<GroupSize?>(
    "group-size", GroupSize.allCases.map(\.rawValue).joined(separator: "|"),
    help: "Columns of Q that share a scale", initial: nil,
    defaultText: "row with e8p, else 128",
    expected: "one of \(GroupSize.allCases.map(\.rawValue).joined(separator: ", "))",
    read: { text in GroupSize(rawValue: text).map { .some($0) } })
  static let grid = optionalChoice(
    "grid", CompressionPlan.GridKind.self,
    help: "Where the values of Q lie; one of the asymmetric ones is zero",
    defaultText: "symmetric; asymmetric with awq and lqer")
  static let scaleFit = Option<CompressionPlan.ScaleFit>.choice(
    "scale-fit", default: plan.scaleFit,
    help: "Whether scales are searched for the least error, or take the range of the weights")
  static let actOrder = Option.flag(
    "act-order", help: "Round the columns of the largest inputs first; gptq only")
  static let headFormat = Option<CompressionPlan.HeadFormat>.choice(
    "head-format", default: plan.headFormat, help: "How the output head is stored")
  static let incoherence = optionalChoice(
    "incoherence", CompressionPlan.IncoherenceSides.self,
    help: "The sides of a matrix that are rotated to spread outliers",
    defaultText: "both; none with awq and lqer")
  static let damping = Option<Double>.number(
    "damping", "D", in: 0...1, default: plan.damping,
    help: "What is added to the diagonal of a Hessian, relative to its mean")
  static let keep: Option<String?> = .string(
    "keep", "NAME,NAME", defaultText: "none",
    help:
      "Matrices that stay as they are, by their names or the ends of these: lm_head, down_proj, "
      + "layers.0.self_attn.k_proj")

  // MARK: - L R

  static let rank: Option<Int?> = .integer(
    "rank", "R", in: 0...8192,
    defaultText: "\(plan.rank), or a sixteenth of the hidden size where that is less",
    help: "Rank of L R, at most the smaller side of a matrix; 0 for none")
  static let targetBits = Option<Double?>(
    "target-bits", "B",
    help: "Choose the rank of every matrix so that all take so many bits per weight", initial: nil,
    defaultText: "none; \(defaultTargetBits) with lordq", expected: "a number above 0, up to 32",
    read: { text in
      Double(text).flatMap { $0 > 0 && $0 <= 32 ? .some(.some($0)) : nil }
    })
  /// What a method that is nothing but L R takes without being told.
  static let defaultTargetBits = 2.5
  static let factorBlockSize = optionalChoice(
    "lr-block-size", GroupSize.self,
    help: "Components that are found together where L R is all there is; lordq only",
    defaultText: plan.factorBlockSize.rawValue)
  static let factorFormat = Option<CompressionPlan.FactorFormat>.choice(
    "lr-format", default: plan.factorFormat, help: "How L and R are stored")
  static let factorRounding = Option<CompressionPlan.FactorRounding>.choice(
    "lr-rounding", default: plan.factorRounding, help: "How L and R are brought onto their grid")
  static let initialization = optionalChoice(
    "initialization", CompressionPlan.Initialization.self,
    help: "What L R starts from; auto tries all and keeps the best",
    defaultText: "low-rank; odlri with --method odlri, zero with --outlier-storage int8")
  static let outlierChannels: Option<Int?> = .integer(
    "outlier-channels", "K", in: 1...8192, defaultText: "a sixteenth of the rank, at least 1",
    help: "Input channels of a matrix that count as outliers")
  static let outlierStorage = Option<CompressionPlan.OutlierStorage>.choice(
    "outlier-storage", default: plan.outlierStorage,
    help: "int8 stores the weights on outlier channels apart, as columns of eight bits")
  static let updateOrder = Option<CompressionPlan.UpdateOrder>.choice(
    "update-order", default: plan.updateOrder, help: "Which half of an outer iteration comes first")
  static let outerIterations = Option<Int>.integer(
    "outer-iterations", "N", in: 1...1000, default: plan.outerIterations,
    help: "Rounds of the alternation of Q and L R")
  static let innerIterations = Option<Int>.integer(
    "inner-iterations", "N", in: 1...1000, default: plan.innerIterations,
    help: "Rounds of the alternation of L and R in each of them")
  static let refinementRounds = Option<Int>.integer(
    "refinement-rounds", "N", in: 0...1000, default: plan.refinementRounds,
    help: "Rounds of coordinate descent afterwards, with fixed scales")
  static let hessianDowndate = Option.flag(
    "hessian-downdate", help: "Fit Q to what L R cannot repair, instead of to everything")

  // MARK: - Calibration

  /// The calibration text that a model may bring along, in its folder.
  static let bundledText = "calibration.txt"
  /// The largest calibration text that is read, in bytes.
  static let largestText = 1 << 32

  static let calibration = Option.strings(
    "calibration", "FILE",
    help: "A text to measure activations with; needed but for --dry-run")
  static let samples = Option<Int>.integer(
    "samples", "N", in: 1...1_000_000, default: plan.sampleCount,
    help: "Calibration samples; without the option, fewer if the text has no more")
  static let context: Option<Int?> = .integer(
    "context", short: "c", "C", in: 1...(1 << 20),
    defaultText: "\(plan.contextLength), and no more than the model was made for",
    help: "Tokens of a sample")
  static let propagation = optionalChoice(
    "propagate", CompressionPlan.Propagation.self,
    help: "The weights that the inputs of later layers are computed with",
    defaultText: "\(plan.propagation.rawValue); original with awq")
  static let seed = Option<UInt64>.seed(
    "seed", short: "s", "S", default: plan.seed,
    help: "Where the rotations and the choice of samples come from")

  // MARK: - The run

  static let memoryLimit = Option<Int?>(
    "memory-limit", "SIZE", help: "Memory that the run may hold, such as 8GiB", initial: nil,
    defaultText: "what is available", expected: "a size such as 512MiB or 8GiB",
    read: { text in ByteCount(reading: text).map { .some($0.value) } })
  static let dryRun = Option.flag(
    "dry-run", help: "Print the plan with its bytes, memory and time, and stop")
  static let resume = Option<Journal.ResumeMode>.choice(
    "resume", default: .auto, help: "Whether to go on from an earlier run; see below")
  static let exportDense: Option<String?> = .string(
    "export-dense", "DIR", defaultText: "none",
    help: "A second folder, for Q + L R as dense F16 weights that other programs read")
  static let force = Option.flag(
    "force", help: "Write into a folder that is not empty, and over an older compressed model")

  static let command = Command(
    name: "compress",
    summary: "turn the weights of a model into Q + L R, low-bit matrices and low-rank products",
    options: [
      output, method, format, groupSize, grid, scaleFit, actOrder, headFormat, rank, targetBits,
      factorFormat, factorRounding, factorBlockSize, initialization, outlierChannels,
      outlierStorage, updateOrder, outerIterations,
      innerIterations, refinementRounds, hessianDowndate, damping, incoherence, propagation,
      calibration, samples, context, keep, seed, CommonOptions.threads, memoryLimit, dryRun, resume,
      force, exportDense, CommonOptions.json, CommonOptions.quiet, CommonOptions.verbose,
    ],
    operands: [folder],
    subcommands: [analysis],
    notes: notes)

  /// An option whose value is one of the cases of an enum, with a default that depends on others.
  private static func optionalChoice<Choice: RawRepresentable & CaseIterable & Sendable>(
    _ name: String, _ type: Choice.Type, help: String, defaultText: String
  ) -> Option<Choice?> where Choice.RawValue == String {
    let names = Choice.allCases.map(\.rawValue)
    return Option<Choice?>(
      name, names.joined(separator: "|"), help: help, initial: nil, defaultText: defaultText,
      expected: "one of \(names.joined(separator: ", "))",
      read: { text in Choice(rawValue: text).map { .some($0) } })
  }
}
