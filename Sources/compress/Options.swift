import DuetCommandLine
import DuetCompressor
import DuetRuntime
import DuetText

/// The command line of `compress`, its defaults those of a plan.
enum Options {
  private static let plan = CompressionPlan()

  static let folder = Operand("MODEL_DIR", help: "The folder of the checkpoint to compress")
  static let output: Option<String?> = .string(
    "output", short: "o", "DIR",
    help: "The folder of the compressed model; needed but for --dry-run")

  // MARK: - Matrices

  static let method = Option.word(
    "method", among: MethodList.all.map { $0.name }, default: MethodList.standard.name,
    help: "What a matrix is decomposed by; see below")
  /// The options of the methods.
  static let methodArguments = MethodOptions.all.map { MethodArgument($0) }
  static let headFormat = Option<HeadFormat>.choice(
    "head-format", default: plan.headFormat, help: "How the output head is stored")
  static let incoherence = optionalChoice(
    "incoherence", IncoherenceSides.self,
    help: "The sides of a matrix that are rotated to spread outliers",
    defaultText: defaultText { $0.needs.incoherence.rawValue })
  static let damping = Option<Double>.number(
    "damping", "D", in: 0...1, default: plan.damping,
    help: "What is added to the diagonal of a Hessian, relative to its mean")
  static let keep: Option<String?> = .string(
    "keep", "NAME,NAME", defaultText: "none",
    help:
      "Matrices that stay as they are, by their names or the ends of these: lm_head, down_proj, "
      + "layers.0.self_attn.k_proj")

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
    "propagate", Propagation.self,
    help: "The weights that the inputs of later layers are computed with",
    defaultText: defaultText { $0.needs.propagation.rawValue })
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
  static let resume = Option<ResumeMode>.choice(
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
      output, method,
    ] + methodArguments.map(\.option) + [
      headFormat, damping, incoherence, propagation, calibration, samples, context, keep, seed,
      CommonOptions.threads, memoryLimit, dryRun, resume,
      force, exportDense, CommonOptions.json, CommonOptions.quiet, CommonOptions.verbose,
    ],
    operands: [folder],
    subcommands: [analysis],
    notes: notes)

  /// A default that the methods have each their own of, in words.
  private static func defaultText(_ value: (any CompressionMethod) -> String) -> String {
    MethodList.defaultText { value($0.init()) }
  }

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
