import DuetCommandLine
import DuetCompressor
import DuetRuntime
import DuetSystem

/// A compression by the command line, checked before it begins.
struct CompressionTask {
  let work: Work
  let folder: String
  let output: String?
  /// The calibration samples; nil for a forecast without a text.
  let samples: CalibrationSamples?
  let checkpoint: Checkpoint
  let plan: CompressionPlan
  let forecast: CompressionForecast
  /// The part to compress, or nil.
  let part: PlannedPart?
  let machine: MachineState
  let memoryLimit: Int?
  let resume: ResumeMode
  let force: Bool
  /// The folder for the dense weights, or nil if they are not written.
  let denseFolder: String?
  let isDryRun: Bool

  /// Reads the checkpoint and the texts of the command line, and checks that the run is possible.
  init(_ invocation: Invocation) throws {
    let arguments = invocation.arguments
    isDryRun = arguments[Options.dryRun]
    work = try Work(arguments)
    folder = arguments.operands[0]
    output = arguments[Options.output]
    if !isDryRun || work == .merge, output == nil {
      throw UsageError.missingOption("--output", placeholder: "DIR")
    }
    let paths = [("--output", output), ("--export-dense", arguments[Options.exportDense])]
    for (option, path) in paths where path == "" {
      throw UsageError.invalidValue(option: option, value: "", expected: "the name of a folder")
    }
    let request = try CompressionRequest(arguments)
    checkpoint = try Checkpoint(contentsOf: folder)
    guard checkpoint.configuration.compression == nil else {
      throw CompressCommandError.alreadyCompressed(folder: folder)
    }
    invocation.messages.warnAboutHead(of: checkpoint)
    // The model loads every tensor, so a missing one is an error now.
    let model = try Model(checkpoint)
    let configuration = checkpoint.configuration
    var plan = try request.plan(for: configuration)
    if work.isInParts { try plan.checkParts() }
    samples = try .reading(
      folder, arguments, plan, invocation.messages, isNeeded: !isDryRun || work == .merge)
    if let samples { plan.sampleCount = samples.sampleCount }
    self.plan = plan
    forecast = try CompressionForecast(checkpoint, plan: plan)
    guard !forecast.matrices.isEmpty else { throw CompressCommandError.nothingToCompress }
    part = try PlannedPart(work, forecast)
    memoryLimit = arguments[Options.memoryLimit]
    resume = arguments[Options.resume]
    force = arguments[Options.force]
    denseFolder = arguments[Options.exportDense]
    machine = MachineState(
      threadCount: arguments[CommonOptions.threads] ?? SessionOptions.processorCount,
      output: output)
    for line in machine.lines { invocation.messages.detail(line) }
    if let name = model.unusedTensorNames.first {
      invocation.messages.warning(
        "\(printable(folder)): the tensor \"\(printable(name))\" is not used; it is copied")
    }
    if plan.contextLength > configuration.contextLength {
      invocation.messages.warning(
        "samples of \(plan.contextLength) tokens are longer than the "
          + "\(configuration.contextLength) that the model was made for")
    }
    if let error = memoryError {
      guard isDryRun else { throw error }
      invocation.messages.warning(error.description)
    }
  }

  /// The memory that the run may use in bytes, or nil when it is unknown.
  var usableMemory: Int? { memoryLimit ?? machine.availableMemory }

  /// The bytes of the states of samples that fit into memory in addition to everything else.
  var hiddenStatesLimit: Int {
    forecast.hiddenStatesLimit(memory: usableMemory, threadCount: machine.threadCount)
  }

  /// Whether the residual streams of all samples stay in memory.
  var keepsHiddenStates: Bool { forecast.keepsHiddenStates(limit: hiddenStatesLimit) }

  /// The memory that the run will use.
  var memory: CompressionForecast.Memory {
    forecast.memory(hiddenStatesLimit: hiddenStatesLimit, threadCount: machine.threadCount)
  }

  private var memoryError: CompressCommandError? {
    let needed = memory.peak
    // The files of the parts are mapped, and nothing is computed.
    if work == .merge { return nil }
    guard let limit = usableMemory, needed > limit else { return nil }
    return .notEnoughMemory(needed: needed, limit: limit, isGiven: memoryLimit != nil)
  }

  /// The bytes that the work will write.
  var neededByteCount: Int {
    switch work {
    case .whole: forecast.diskByteCount(hiddenStatesLimit: hiddenStatesLimit)
    case .part, .states: part?.diskByteCount ?? 0
    case .merge: forecast.byteCount
    }
  }

  private var compressor: Compressor {
    get throws {
      let options = CompressorOptions(
        threadCount: machine.threadCount, hiddenStatesLimit: hiddenStatesLimit,
        resume: resume, force: force, neededByteCount: neededByteCount, denseFolder: denseFolder)
      return try Compressor(checkpoint, plan: plan, options: options)
    }
  }

  /// Compresses the model or a part of it, or joins the parts.
  ///
  /// - Parameter observer: The observer of the progress, which may stop the run.
  /// - Returns: The summary of the run.
  /// - Throws: The compressor's errors: of files, of the calibration text, of numbers.
  func run(observer: some CompressionObserver) throws -> CompressionSummary {
    guard let output, let samples else { preconditionFailure("a forecast cannot be run") }
    let compressor = try compressor
    return switch work {
    case .whole: try compressor.run(to: output, samples: samples, observer: observer)
    case .part(let number, let sharesStates):
      try compressor.run(
        part: number, sharesStates: sharesStates, to: output, samples: samples, observer: observer)
    case .states(let number):
      try compressor.saveStates(share: number, to: output, samples: samples, observer: observer)
    case .merge: try compressor.merge(to: output, samples: samples, observer: observer)
    }
  }

  /// What there is of the parts.
  func foundParts() throws -> [PartSummary] {
    guard let output, let samples else { preconditionFailure("parts without an output") }
    return try compressor.parts(of: output, samples: samples)
  }
}
