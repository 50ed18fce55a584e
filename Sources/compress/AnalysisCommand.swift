import DuetCommandLine
import DuetCompressor
import DuetRuntime
import DuetSystem
import Glibc

extension Options {
  static let svg: Option<String?> = .string(
    "svg", "FILE", defaultText: "none",
    help: "Write an SVG picture of all matrices, one strip per layer")

  /// `compress analyze`.
  static let analysis = Command(
    name: "compress analyze",
    summary: "describe the weights, the inputs and the rounding error of every matrix",
    options: [
      MethodOptions.format, MethodOptions.groupSize, MethodOptions.grid, MethodOptions.scaleFit,
      MethodOptions.rank,
    ].map { (option: any MethodOptionDeclaration) in MethodArgument(option).option } + [
      incoherence, damping, calibration, samples, context,
      keep, seed, CommonOptions.threads, memoryLimit, svg, CommonOptions.json, CommonOptions.quiet,
      CommonOptions.verbose,
    ],
    operands: [folder],
    notes: [
      "Runs the samples through the original model. eff.rank is (sum of lambda)^2 / sum of lambda^2 "
        + "over the eigenvalues lambda of W H W^T, where W are the weights and H is the second moment "
        + "of the inputs: the number of directions of the outputs if all had the same energy. top r is "
        + "the share of the outputs' energy in the best L R of rank r.",
      "outliers is the number of inputs with more than ten times the median second moment. top share is "
        + "the largest second moment as a share of the sum of all. W_O is the share of |W|_F^2 in the columns of the "
        + "outlier channels that ODLRI would copy into L R: rounding leaves an error in proportion to the rest, so a "
        + "small share can gain little.",
      "Q is the relative error of rounding with feedback. Q + LR is the error expected with L R of rank "
        + "r and exact factors. LR alone is the error expected of L R without Q in the same number of "
        + "bytes. favoured is the method with the smallest expected error, or "
        + "\(MethodList.withoutLowRank.name) if L R reduces the error by less than a twentieth.",
    ])
}

/// Runs `compress analyze MODEL_DIR`.
func analyze(_ invocation: Invocation) throws -> ExitCode {
  let (arguments, output) = (invocation.arguments, invocation.output)
  let folder = arguments.operands[0]
  let checkpoint = try Checkpoint(contentsOf: folder)
  invocation.messages.warnAboutHead(of: checkpoint)
  guard checkpoint.configuration.compression == nil else {
    throw CompressCommandError.alreadyCompressed(folder: folder)
  }
  var plan = try CompressionRequest(arguments).plan(for: checkpoint.configuration)
  plan.propagation = .original
  let samples = try CalibrationSamples.reading(
    folder, arguments, plan, invocation.messages, isNeeded: true)
  guard let samples else { preconditionFailure("samples that were needed") }
  plan.sampleCount = samples.sampleCount
  let forecast = try CompressionForecast(checkpoint, plan: plan)
  guard !forecast.matrices.isEmpty else { throw CompressCommandError.nothingToCompress }
  let threadCount = arguments[CommonOptions.threads] ?? SessionOptions.processorCount
  let machine = MachineState(threadCount: threadCount, output: nil)
  let limit = arguments[Options.memoryLimit] ?? machine.availableMemory
  let statesLimit = forecast.hiddenStatesLimit(memory: limit, threadCount: threadCount)
  let needed = forecast.memory(hiddenStatesLimit: statesLimit, threadCount: threadCount).peak
  if let limit, needed > limit {
    throw CompressCommandError.notEnoughMemory(
      needed: needed, limit: limit, isGiven: arguments[Options.memoryLimit] != nil)
  }
  InterruptFlag.install()
  let observer = TerminalObserver(forecast, output: nil, messages: invocation.messages)
  defer { observer.finishLine() }
  let analysis = try ModelAnalysis(
    checkpoint, plan: plan,
    options: CompressorOptions(
      threadCount: threadCount, hiddenStatesLimit: statesLimit)
  ).run(samples: samples, temporaryFolder: temporaryFolder(), observer: observer)
  observer.finishLine()
  guard let matrices = analysis else {
    invocation.messages.error("stopped; nothing is kept of an analysis")
    return InterruptFlag.isTerminated ? .terminated : .interrupted
  }
  let report = AnalysisReport(
    folder: folder, plan: plan, forecast: forecast, matrices: matrices)
  if let path = arguments[Options.svg] {
    try AtomicFile.write(Array(HeatStrip(report).text.utf8), to: path)
  }
  if arguments[CommonOptions.json] {
    try output.write(report.json)
  } else {
    for line in report.lines { try output.writeLine(line) }
  }
  return .success
}

/// The folder for temporary files: the value of `TMPDIR`, or `/tmp`.
private func temporaryFolder() -> String {
  unsafe getenv("TMPDIR").map { unsafe String(cString: $0) } ?? "/tmp"
}
