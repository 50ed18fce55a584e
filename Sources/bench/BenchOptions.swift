import DuetCommandLine
import DuetRuntime
import DuetText

/// The storage format of the random weights of a shape: dense or compressed.
enum ShapeFormat: String, CaseIterable, Sendable {
  case bf16, f16, f32
  case int2, int3, int4, e8p, trellis2
  case trellis2_5 = "trellis2.5"
  case trellis3

  /// The element type of dense weights, or nil for compressed ones.
  var dense: ElementType? {
    switch self {
    case .bf16: .bf16
    case .f16: .f16
    case .f32: .f32
    case .int2, .int3, .int4, .e8p, .trellis2, .trellis2_5, .trellis3: nil
    }
  }

  /// The format of Q, or nil for dense weights.
  var packed: WeightFormat? { WeightFormat(rawValue: rawValue) }
}

/// The format in which a result is printed.
enum OutputFormat: String, CaseIterable, Sendable {
  case md, json
}

/// The command line of `bench`.
enum Options {
  static let model: Option<String?> = .string(
    "model", short: "m", "DIR", help: "The folder of a checkpoint to measure")
  static let shape: Option<String?> = .string(
    "shape", "NAME",
    help: "Measure random weights of this shape instead of a checkpoint: "
      + Configuration.presetNames.joined(separator: ", "))
  static let layers: Option<Int?> = .integer(
    "layers", "N", in: 1...1000, defaultText: "all",
    help: "The number of decoder layers of the shape; fewer need less memory")
  static let format = Option<ShapeFormat>.choice(
    "format", default: .bf16,
    help: "How the random weights are stored: dense as bf16, f16 or f32, otherwise compressed")
  static let groupSize = Option<GroupSize>.choice(
    "group-size", default: .columns128,
    help: "Columns that share a scale in a compressed matrix; always row with a trellis code")
  static let rank = Option<Int>.integer(
    "rank", "R", in: 0...4096, default: 128,
    help: "Rank of the low-rank part of every compressed matrix except the head; 0 for none")
  static let factorFormat = Option<FactorFormat>.choice(
    "lr-format", default: .int4, help: "How the low-rank factors are stored")
  static let prompt = Option<Int>.integer(
    "prompt-tokens", short: "p", "N", in: 0...65536, default: 512,
    help: "The number of tokens of the prompt test; 0 skips it")
  static let generated = Option<Int>.integer(
    "max-tokens", short: "n", "N", in: 0...65536, default: 64,
    help: "The number of tokens of the generation test; 0 skips it")
  static let context = Option<Int>.integer(
    "context", short: "c", "N", in: 0...(1 << 20), default: 0,
    help: "The number of positions in the KV cache before each test, with random keys and values")
  static let threads = Option<[Int]>.integers(
    "threads", short: "t", "N,N", in: 1...1024, default: [SessionOptions.processorCount],
    help: "Numbers of threads to measure with")
  static let scaling: Option<String?> = .string(
    "scaling", "FILE",
    help:
      "Measure with 1, 2, 4 and so on up to all threads, and plot the speeds with their limits into "
      + "FILE, an SVG picture")
  static let repeats = Option<Int>.integer(
    "repeats", short: "r", "N", in: 1...1000, default: 5,
    help: "The number of measurements of each test")
  static let output = Option<OutputFormat>.choice(
    "output", short: "o", default: .md, help: "A table, or one JSON document")
  static let cache = Option<KVCacheType>.choice(
    "kv-cache", default: .f16, help: "The element type of keys and values in memory")
  static let activations = CommonOptions.activations
  static let kernelSet: Option<String?> = .string(
    "kernel-set", "NAME", defaultText: "the best",
    help: "Kernels to use: " + KernelSet.supported.map(\.name).joined(separator: ", "))
  static let shapeToWrite = Option.required(
    "shape", "NAME", help: "The shape: " + Configuration.presetNames.joined(separator: ", "))
  static let shards = Option<Int>.integer(
    "shards", "N", in: 1...99999, default: 1,
    help: "The largest number of files that the weights are divided into, as in large checkpoints")
  static let folder = Option.required(
    "output", short: "o", "DIR", help: "The folder to write; it must not exist yet")

  static let command = Command(
    name: "bench",
    summary: "the speed of a model, also as a share of a limit of the machine",
    options: [
      model, shape, layers, format, groupSize, rank, factorFormat, prompt, generated, context,
      threads, scaling, repeats, output, cache, activations, kernelSet, CommonOptions.json,
      CommonOptions.quiet,
    ],
    subcommands: [
      kernelBenchmarkCommand, compressBenchmarkCommand, tokenizerBenchmarkCommand, writing,
    ],
    notes: [
      "Generation is compared with a loop that only reads the same weights, run immediately before and "
        + "after each measurement: no program can be faster. A prompt is compared with the sgemm of "
        + "OpenBLAS on the shapes of the linear layers, with weights in F32 and OpenBLAS's threads. "
        + "The share is the median over the measurements; the speed is their mean and standard "
        + "deviation.",
      "With --context, generation reads the keys and values of N positions too, and they are counted: "
        + "the share is that of all bytes. The name of the test then ends in @N.",
      "A compressed --format makes a complete compressed model: Q in that format and L R, rotated on "
        + "both sides, the output head in eight bits in groups of 128, and the embedding in half "
        + "precision. A prompt of a compressed model is compared with the peak of the kernels' dot "
        + "product, counting two operations for each weight of the linear layers and of the low-rank "
        + "factors; the operations of norms, rotations and attention are not counted, but their time is.",
      "With -m, also prints the time to open the checkpoint, the time to the first token, and the "
        + "largest memory of the process.",
    ])

  static let writing = Command(
    name: "bench write",
    summary: "write a checkpoint of random weights, to measure loading",
    options: [
      shapeToWrite, layers, format, groupSize, rank, factorFormat, shards, folder,
      CommonOptions.json, CommonOptions.quiet,
    ])
}
