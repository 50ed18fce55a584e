import DuetCommandLine
import DuetCompressor
import DuetRuntime
import DuetSystem
import Glibc

extension Options {
  static let svg: Option<String?> = .string(
    "svg", "FILE", defaultText: "none", help: "A picture of all matrices, a strip for each layer")

  /// `compress analyze`.
  static let analysis = Command(
    name: "compress analyze",
    summary: "say of every matrix what its weights, its inputs and their rounding are like",
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
      "Runs the samples through the model as it is. eff.rank is (sum of lambda)^2 / sum of lambda^2 over the "
        + "eigenvalues lambda of W H W^T, H the second moment of the inputs: the number of directions "
        + "that would hold the outputs if all held as much. top r is the share of their energy in the "
        + "best L R of rank r.",
      "outliers are inputs of more than ten times the median second moment, top share the part of the sum of "
        + "all that the largest one has.",
      "Q is the relative error of rounding with feedback, Q + LR what is expected with L R of rank r, exact "
        + "factors; LR alone what L R would leave that takes the bytes of both. favoured is the "
        + "method with the least of these expected errors, or \(MethodList.withoutLowRank.name) where L R buys less than a twentieth.",
    ])
}

/// `compress analyze MODEL_DIR`.
func analyze(_ invocation: Invocation) throws -> ExitCode {
  let (arguments, output) = (invocation.arguments, invocation.output)
  let folder = arguments.operands[0]
  let checkpoint = try Checkpoint(contentsOf: folder)
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
  let keepsStates =
    forecast.memory(keepsHiddenStates: true, threadCount: threadCount).peak <= limit ?? .max
  let needed = forecast.memory(keepsHiddenStates: keepsStates, threadCount: threadCount).peak
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
      threadCount: threadCount, hiddenStatesLimit: keepsStates ? .max : 0)
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

/// Where temporary files go, as the environment has it.
private func temporaryFolder() -> String {
  unsafe getenv("TMPDIR").map { unsafe String(cString: $0) } ?? "/tmp"
}
