import DuetCommandLine
import DuetRuntime

/// The element types that the dense kernels multiply, as the command line names them.
enum DenseFormat: String, CaseIterable, Sendable {
  case bf16, f16, f32

  var elementType: ElementType {
    switch self {
    case .bf16: .bf16
    case .f16: .f16
    case .f32: .f32
    }
  }
}

/// How the random weights of a shape are stored: dense, or packed.
enum ShapeFormat: String, CaseIterable, Sendable {
  case bf16, f16, f32
  case int2, int3, int4, int8, e8p

  /// The dense format, or nil for packed ones.
  var dense: DenseFormat? { DenseFormat(rawValue: rawValue) }
  /// The packed format, or nil for dense ones.
  var packed: WeightFormat? { WeightFormat(rawValue: rawValue) }
}

/// How the low-rank factors of a packed shape are stored.
enum FactorFormat: String, CaseIterable, Sendable {
  case int4, int8

  var weightFormat: WeightFormat {
    switch self {
    case .int4: .int4
    case .int8: .int8
    }
  }
}

/// How a result is printed.
enum OutputFormat: String, CaseIterable, Sendable {
  case md, json
}

/// The command line of `bench`.
enum Options {
  static let model: Option<String?> = .string(
    "model", short: "m", "DIR", help: "The folder of a checkpoint to measure")
  static let shape: Option<String?> = .string(
    "shape", "NAME",
    help: "Measure random weights of this shape instead: "
      + Configuration.presetNames.joined(separator: ", "))
  static let layers: Option<Int?> = .integer(
    "layers", "N", in: 1...1000, defaultText: "all",
    help: "Decoder layers of the shape; fewer need less memory")
  static let format = Option<ShapeFormat>.choice(
    "format", default: .bf16,
    help: "How the random weights are stored; from int2 on they are packed")
  static let formatToWrite = Option<DenseFormat>.choice(
    "format", default: .bf16, help: "The element type of the random weights")
  static let groupSize = Option<GroupSize>.choice(
    "group-size", default: .columns128, help: "Columns that share a scale in a packed matrix")
  static let rank = Option<Int>.integer(
    "rank", "R", in: 0...4096, default: 128,
    help: "Rank of the low-rank part beside every packed matrix but the head; 0 for none")
  static let factorFormat = Option<FactorFormat>.choice(
    "lr-format", default: .int4, help: "How the low-rank factors are stored")
  static let prompt = Option<Int>.integer(
    "prompt-tokens", short: "p", "N", in: 0...65536, default: 512,
    help: "Tokens of the prompt test; 0 skips it")
  static let generated = Option<Int>.integer(
    "max-tokens", short: "n", "N", in: 0...65536, default: 64,
    help: "Tokens of the generation test; 0 skips it")
  static let threads = Option<[Int]>.integers(
    "threads", short: "t", "N,N", in: 1...1024, default: [SessionOptions.processorCount],
    help: "Numbers of threads to measure with")
  static let repeats = Option<Int>.integer(
    "repeats", short: "r", "N", in: 1...1000, default: 5, help: "Measurements of each test")
  static let output = Option<OutputFormat>.choice(
    "output", short: "o", default: .md, help: "A table, or one JSON document")
  static let cache = Option<KVCacheType>.choice(
    "kv-cache", default: .f16, help: "The type of keys and values in memory")
  static let kernelSet: Option<String?> = .string(
    "kernel-set", "NAME", defaultText: "the best",
    help: "Kernels to use: " + KernelSet.supported.map(\.name).joined(separator: ", "))
  static let shapeToWrite = Option.required(
    "shape", "NAME", help: "The shape: " + Configuration.presetNames.joined(separator: ", "))
  static let shards = Option<Int>.integer(
    "shards", "N", in: 1...99999, default: 1,
    help: "Files that the weights are spread over, at most; as large checkpoints come")
  static let folder = Option.required(
    "output", short: "o", "DIR", help: "The folder to write; it must not exist yet")

  static let command = Command(
    name: "bench",
    summary: "how fast a model runs, as a share of what the machine allows",
    options: [
      model, shape, layers, format, groupSize, rank, factorFormat, prompt, generated, threads,
      repeats, output, cache, kernelSet, CommonOptions.json, CommonOptions.quiet,
    ],
    subcommands: [
      kernelBenchmarkCommand, compressBenchmarkCommand, tokenizerBenchmarkCommand, writing,
    ],
    notes: [
      "Generation is compared with a plain read loop over the same weights, run just before and just "
        + "after each measurement: what no program can beat. A prompt is compared with OpenBLAS's "
        + "own sgemm on the shapes of the linear layers, its weights in F32 and its own threads. The "
        + "share is the median over the measurements, the speed their mean and standard deviation.",
      "With a packed --format it is the linear layers alone that are measured, each with quantising "
        + "its input: no rotation, norms or attention. The output head is int8 in groups of 128 "
        + "without a low-rank part, and of a prompt it sees the last token. A prompt is then compared "
        + "with the peak of the kernels' dot product, counting two operations for each weight, those "
        + "of the low-rank factors included.",
      "With -m it also says how long the checkpoint took to open, when the first token was there, "
        + "and how much memory the process held at most.",
    ])

  static let writing = Command(
    name: "bench write",
    summary: "write a checkpoint of random weights, to measure loading",
    options: [
      shapeToWrite, layers, formatToWrite, shards, folder, CommonOptions.json, CommonOptions.quiet,
    ])
}
