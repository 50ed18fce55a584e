import DuetCommandLine
import DuetCompressor
import DuetRuntime
import DuetText

/// The command line of `compress`; the defaults are the defaults of `CompressionPlan`.
enum Options {
  static let plan = CompressionPlan()

  static let folder = Operand("MODEL_DIR", help: "The folder of the checkpoint to compress")
  static let output: Option<String?> = .string(
    "output", short: "o", "DIR",
    help: "The folder of the compressed model; required, except with --dry-run")

  // MARK: - Matrices

  static let method = Option.word(
    "method", among: MethodList.all.map { $0.name }, default: MethodList.standard.name,
    help: "The method that decomposes a matrix; see below")
  /// The options of the methods.
  static let methodArguments = MethodList.options.map { MethodArgument($0) }
  static let headFormat = Option<HeadFormat>.choice(
    "head-format", default: plan.headFormat,
    help: "How the output head is stored, unless it is tied to the embedding")
  static let embeddingFormat = optionalChoice(
    "embedding-format", EmbeddingFormat.self,
    help: "How the embedding is stored; a tied one is also the output head",
    defaultText: "int8 for a tied embedding, else as it is")
  static let incoherence = optionalChoice(
    "incoherence", IncoherenceSides.self,
    help: "The sides of a matrix that are rotated to spread outliers",
    defaultText: defaultText { $0.needs.incoherence.rawValue })
  static let damping = Option<Double>.number(
    "damping", "D", in: 0...1, default: plan.damping,
    help: "The value added to the diagonal of a Hessian, relative to the mean of the diagonal")
  static let keep: Option<String?> = .string(
    "keep", "NAME,NAME", defaultText: "none",
    help:
      "Matrices that are not compressed, by their names or the ends of their names: lm_head, "
      + "down_proj, layers.0.self_attn.k_proj")

  // MARK: - Calibration

  /// The file name of a calibration text in the model's folder, which is the default.
  static let bundledText = "calibration.txt"
  /// The largest calibration text that is read, in bytes.
  static let largestText = 1 << 32

  static let calibration = Option.strings(
    "calibration", "FILE",
    help: "A text to measure activations with; required, except with --dry-run or if the folder of "
      + "the checkpoint has a \(bundledText)")
  static let samples = Option<Int>.integer(
    "samples", "N", in: 1...1_000_000, default: plan.sampleCount,
    help: "The number of calibration samples; without this option, fewer if the text "
      + "has no more")
  static let context: Option<Int?> = .integer(
    "context", short: "c", "C", in: 1...(1 << 20),
    defaultText: "\(plan.contextLength), or the model's context length if that is shorter",
    help: "The number of tokens of a sample")
  static let propagation = optionalChoice(
    "propagate", Propagation.self,
    help: "The weights that the inputs of later layers are computed with",
    defaultText: defaultText { $0.needs.propagation.rawValue })
  static let activations: Option<ActivationType> = .choice(
    "activations", default: plan.activationType,
    help: "The type of the activations in the compressed layers while the samples run through "
      + "them: int8 as in the finished model, or f32")
  static let metric: Option<MetricKind> = .choice(
    "metric", default: plan.metric,
    help:
      "What an error counts: the same at every token, or, with guided, what it does to the loss of the "
      + "original model, for which the samples run backward through it once")
  static let seed = Option<UInt64>.seed(
    "seed", short: "s", "S", default: plan.seed,
    help: "The seed of the rotations and of the choice of samples")

  // MARK: - The run

  static let memoryLimit = Option<Int?>(
    "memory-limit", "SIZE", help: "The memory that the run may use, such as 8GiB", initial: nil,
    defaultText: "the available memory", expected: "a size such as 512MiB or 8GiB",
    read: { text in ByteCount(reading: text).map { .some($0.value) } })
  static let dryRun = Option.flag(
    "dry-run", help: "Print the plan with its bytes, memory and time, and stop")
  static let resume = Option<ResumeMode>.choice(
    "resume", default: .auto, help: "Whether to resume an earlier run; see below")
  static let exportDense: Option<String?> = .string(
    "export-dense", "DIR", defaultText: "none",
    help: "A second folder, for Q + L R as dense F16 weights, which other programs can read")
  static let force = Option.flag(
    "force",
    help: "Write into a folder that is not empty, and overwrite an older compressed model")

  static let command = Command(
    name: "compress",
    summary: "compress the weights of a model to Q + L R, low-bit matrices plus low-rank products",
    options: planned + [part, sharedStates] + run + [exportDense] + messages,
    operands: [folder],
    subcommands: [analysis, tuning, states, merging],
    notes: notes)

  /// The output, and the options that the result depends on.
  static let planned: [any DeclaredOption] =
    [output, method] + methodArguments.map(\.option) + [
      headFormat, embeddingFormat, damping, incoherence, propagation, activations, metric,
      calibration, samples, context, keep, seed,
    ]
  /// The options of how a run goes.
  static let run: [any DeclaredOption] = [
    CommonOptions.threads, memoryLimit, dryRun, resume, force,
  ]
  /// The options of what is printed.
  static let messages: [any DeclaredOption] = [
    CommonOptions.json, CommonOptions.quiet, CommonOptions.verbose,
  ]

  /// The text of a default that depends on the method.
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
