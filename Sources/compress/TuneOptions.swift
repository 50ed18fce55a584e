import DuetCommandLine
import DuetCompressor

extension Options {
  private static let tuningDefaults = TuningOptions()

  // Options of compress with another help; a value is found by the name of its option.
  private static let tunedOutput: Option<String?> = .string(
    "output", short: "o", "DIR",
    help: "The folder of the tuned model; required, except with --dry-run")
  private static let trainingText = Option.strings(
    "calibration", "FILE",
    help:
      "A text to train with; required, except with --dry-run or if COMPRESSED_DIR has a \(bundledText)"
  )
  private static let trainingSamples = Option<Int>.integer(
    "samples", "N", in: 1...1_000_000, default: plan.sampleCount,
    help: "The samples of the text; without this option, fewer if the text has no more")
  private static let trainingSeed = Option<UInt64>.seed(
    "seed", short: "s", "S", default: plan.seed,
    help: "The seed of the choice and order of samples, and of those that the original writes")

  static let original: Option<String?> = .string(
    "original", "DIR", help: "The model that the compressed one was made from; required")
  static let steps = Option<Int>.integer(
    "steps", "N", in: 1...1_000_000, default: tuningDefaults.stepCount,
    help: "The number of steps, if tuning does not end before")
  static let batch = Option<Int>.integer(
    "batch", "N", in: 1...10_000, default: tuningDefaults.batchSize,
    help: "The samples of a step")
  static let learningRate = Option<Double>.number(
    "learning-rate", "R", in: 1e-9...1, default: tuningDefaults.rate,
    help: "The largest change of a number in a step, relative to a scale or a gain")
  static let heldOut = Option<Int>.integer(
    "held-out", "N", in: 1...10_000, default: tuningDefaults.heldOutCount,
    help: "The samples that are not trained with, on which the model is judged")
  static let ownSamples = Option<Int>.integer(
    "tune-samples", "N", in: 0...1_000_000, default: tuningDefaults.ownSampleCount,
    help:
      "More samples, which the original model writes itself from beginnings of the text's samples")
  static let checkInterval = Option<Int>.integer(
    "check-every", "N", in: 1...1_000_000, default: tuningDefaults.checkInterval,
    help: "The steps between two judgements")
  static let patience = Option<Int>.integer(
    "patience", "N", in: 1...1_000_000, default: tuningDefaults.patience,
    help: "The judgements without a better model after which tuning ends")

  /// `compress tune`.
  static let tuning = Command(
    name: "compress tune",
    summary: "train the scales and norms of a compressed model to predict as the original does",
    options: [
      tunedOutput, original, steps, batch, learningRate, heldOut, ownSamples, checkInterval,
      patience, trainingText, trainingSamples, context, trainingSeed,
    ] + run + messages,
    operands: [compressedFolder],
    notes: [
      "COMPRESSED_DIR is a model that compress has written, --original the one it was made from. The codes stay; "
        + "the scales and offsets beside them, factors in half precision, biases and the gains of norms are trained "
        + "with Adam to lower the Kullback-Leibler divergence from the original on the calibration text. The output "
        + "takes as many bits as before, and every program reads it like the model that was tuned.",
      "The model is judged on samples that are not trained with, and the best one is written, which may be the one "
        + "that was read. Memory holds one layer as dense weights, never the whole model.",
      "A run that was stopped is resumed when the same command is given again; at most one step is computed again.",
    ])

  private static let compressedFolder = Operand(
    "COMPRESSED_DIR", help: "The folder of a compressed model")
}
