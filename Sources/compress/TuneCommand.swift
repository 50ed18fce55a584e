import DuetCommandLine
import DuetCompressor
import DuetRuntime
import DuetSystem
import DuetText

/// A tuning by the command line, checked before it begins.
struct TuningTask {
  let folder: String
  let originalFolder: String
  let output: String?
  let compressed: Checkpoint
  let original: Checkpoint
  let options: TuningOptions
  /// The samples; nil for a forecast without a text.
  let samples: CalibrationSamples?
  let forecast: TuningForecast
  let machine: MachineState
  let isDryRun: Bool
  private let memoryLimit: Int?
  private let resume: ResumeMode
  private let force: Bool

  /// Reads the models and the texts of the command line, and checks that the run is possible.
  init(_ invocation: Invocation) throws {
    let arguments = invocation.arguments
    isDryRun = arguments[Options.dryRun]
    folder = arguments.operands[0]
    output = arguments[Options.output]
    guard let originalFolder = arguments[Options.original] else {
      throw UsageError.missingOption("--original", placeholder: "DIR")
    }
    self.originalFolder = originalFolder
    if !isDryRun, output == nil {
      throw UsageError.missingOption("--output", placeholder: "DIR")
    }
    if output == "" {
      throw UsageError.invalidValue(option: "--output", value: "", expected: "the name of a folder")
    }
    compressed = try Checkpoint(contentsOf: folder)
    guard compressed.configuration.compression != nil else {
      throw CompressCommandError.notCompressed(folder: folder)
    }
    original = try Checkpoint(contentsOf: originalFolder)
    guard original.configuration.compression == nil else {
      throw CompressCommandError.alreadyCompressed(folder: originalFolder)
    }
    let sizes = [compressed, original].map(\.configuration.vocabularySize)
    guard sizes[0] == sizes[1] else {
      throw CompressCommandError.otherVocabulary(
        folder: originalFolder, size: sizes[1], expected: sizes[0])
    }
    // Both load every tensor, so a missing one is an error now.
    _ = (try Model(compressed), try Model(original))
    var options = TuningOptions()
    options.stepCount = arguments[Options.steps]
    options.batchSize = arguments[Options.batch]
    options.rate = arguments[Options.learningRate]
    options.heldOutCount = arguments[Options.heldOut]
    options.ownSampleCount = arguments[Options.ownSamples]
    options.checkInterval = arguments[Options.checkInterval]
    options.patience = arguments[Options.patience]
    options.seed = arguments[Options.seed]
    self.options = options
    var plan = CompressionPlan(MethodList.standard.init())
    plan.sampleCount = arguments[Options.samples]
    plan.contextLength =
      arguments[Options.context]
      ?? min(plan.contextLength, compressed.configuration.contextLength)
    plan.seed = options.seed
    samples = try .reading(
      folder, arguments, plan, invocation.messages, isNeeded: !isDryRun)
    let count = samples?.sampleCount ?? plan.sampleCount
    guard count >= options.heldOutCount + options.batchSize else {
      throw CompressCommandError.tooFewSamples(
        count: count, needed: options.heldOutCount + options.batchSize)
    }
    forecast = TuningForecast(
      compressed.configuration, options, sampleCount: count, contextLength: plan.contextLength)
    memoryLimit = arguments[Options.memoryLimit]
    resume = arguments[Options.resume]
    force = arguments[Options.force]
    machine = MachineState(
      threadCount: arguments[CommonOptions.threads] ?? SessionOptions.processorCount,
      output: output)
    for line in machine.lines { invocation.messages.detail(line) }
    if let recorded = compressed.sourceDigest,
      try recorded != Fingerprint.digest(ofSource: original)
    {
      invocation.messages.warning(
        "\(printable(originalFolder)): by its checksum this is not the model that \(printable(folder)) was made "
          + "from; it is tuned to predict as this one does")
    }
    if let limit = usableMemory, memory > limit {
      let error = CompressCommandError.notEnoughMemory(
        needed: memory, limit: limit, isGiven: memoryLimit != nil)
      guard isDryRun else { throw error }
      invocation.messages.warning(error.description)
    }
  }

  private var usableMemory: Int? { memoryLimit ?? machine.availableMemory }

  /// The bytes of the original's streams that fit into memory besides everything else.
  private var statesLimit: Int {
    let rest = forecast.memory(threadCount: machine.threadCount)
    return usableMemory.map { max(0, $0 - rest) } ?? Int.max
  }

  /// The memory that the run will use.
  var memory: Int {
    let states = forecast.stateByteCount
    return forecast.memory(threadCount: machine.threadCount) + (states <= statesLimit ? states : 0)
  }

  /// The seconds that the run will take, when it does not end early.
  var seconds: Double { forecast.seconds(rate: machine.rate) }

  /// Tunes the model.
  func run(observer: some TuningObserver) throws -> TuningSummary {
    guard let output, let samples else { preconditionFailure("a forecast cannot be run") }
    let states = forecast.stateByteCount
    let run = CompressorOptions(
      threadCount: machine.threadCount, hiddenStatesLimit: statesLimit, resume: resume,
      force: force,
      neededByteCount: compressed.byteCount + (states <= statesLimit ? 0 : states))
    return try Tuner(compressed, original: original, options: options, run: run).run(
      to: output, samples: samples, observer: observer)
  }
}

extension Checkpoint {
  /// The digest of the model that a compressed one was made from, as its config.json says.
  fileprivate var sourceDigest: String? {
    let document = try? JSONDocument(contentsOf: "\(folder)/config.json", limits: .smallFile)
    return document?.root[CompressedFormat.Key.section]?[CompressedFormat.Key.sourceDigest]?.string
  }
}

/// Runs `compress tune COMPRESSED_DIR`.
func tune(_ invocation: Invocation) throws -> ExitCode {
  let (arguments, output) = (invocation.arguments, invocation.output)
  let isJSON = arguments[CommonOptions.json]
  let task = try TuningTask(invocation)
  if !isJSON {
    try output.writeLine(TuningText.plan(task))
    try output.flush()
  }
  if task.isDryRun {
    if isJSON { try output.write(.object(TuningText.members(task) + [.init("dry_run", true)])) }
    return .success
  }
  InterruptFlag.install()
  let observer = TuningProgress(
    stepCount: task.options.stepCount, output: isJSON ? nil : output,
    messages: invocation.messages)
  // The progress line must be removed before an error is written.
  defer { observer.finishLine() }
  let clock = ContinuousClock()
  let start = clock.now
  let summary = try task.run(observer: observer)
  observer.finishLine()
  if let failure = observer.failure { throw failure }
  guard summary.isComplete else {
    let code = InterruptFlag.isTerminated ? ExitCode.terminated : .resumable
    let message = TuningText.stopped(summary, task)
    if isJSON {
      try output.write([
        "error": ["code": .integer(Int(code.rawValue)), "message": .string(message)]
      ])
    } else {
      invocation.messages.error(message)
    }
    return code
  }
  let seconds = start.duration(to: clock.now) / .seconds(1)
  if isJSON {
    try output.write(TuningText.result(task, summary, seconds: seconds))
  } else {
    try output.writeLine(TuningText.done(task, summary, seconds: seconds))
  }
  return .success
}
