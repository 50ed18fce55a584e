import DuetCommandLine
import DuetCompressor
import DuetRuntime
import DuetSystem
import Glibc

/// Runs `bench -m DIR` and `bench --shape NAME`.
func benchmarkModel(_ invocation: Invocation) throws {
  let arguments = invocation.arguments
  try checkCombination(arguments)
  let kernelSet = try kernelSet(arguments[Options.kernelSet])
  let options = SessionOptions(
    cacheType: arguments[Options.cache], activations: arguments[Options.activations],
    kernelSet: kernelSet)

  switch (arguments[Options.model], arguments[Options.shape]) {
  case (nil, nil): throw BenchError.neitherModelNorShape
  case (.some, .some): throw BenchError.modelAndShape
  case (.some(let folder), nil):
    let (model, loading) = try load(folder, options)
    let subject = BenchSubject(
      model, name: printable(folder),
      format: model.layers.first?.linears.first?.elementTypeName ?? "?", kernelSet: kernelSet)
    try measure(model, options, BenchReport(subject: subject, loading: loading), invocation)
  case (nil, .some(let shape)):
    let model = try Model(try randomCheckpoint(shape, arguments))
    let subject = BenchSubject(
      model, name: shape, format: arguments[Options.format].rawValue, kernelSet: kernelSet)
    try measure(model, options, BenchReport(subject: subject, loading: nil), invocation)
  }
}

/// Makes random weights of the shape and the format of the arguments, in memory.
///
/// - Throws: `BenchError.doesNotFit` before memory is allocated.
func randomCheckpoint(_ shape: String, _ arguments: Arguments) throws -> Checkpoint {
  let configuration = try configuration(shape, arguments[Options.layers])
  let format = arguments[Options.format]
  guard let compressed = compressedShape(configuration, arguments) else {
    let elementType = format.dense ?? .bf16
    try SyntheticCheckpoint.memory(configuration, elementType).check(shape)
    return try SyntheticCheckpoint.inMemory(configuration, elementType: elementType)
  }
  try compressed.memory.check(shape)
  return try compressed.checkpoint()
}

/// The compressed shape of the arguments, or nil for dense weights.
func compressedShape(
  _ configuration: Configuration, _ arguments: Arguments
) -> CompressedShape? {
  arguments[Options.format].packed.map { format in
    CompressedShape(
      configuration,
      CompressedFormat(
        format: format,
        groupSize: format.coding == .trellis ? .row : arguments[Options.groupSize],
        rank: arguments[Options.rank],
        factors: FactorStorage(arguments[Options.factorFormat]), incoherence: .both))
  }
}

/// Throws an error for options that would be ignored.
private func checkCombination(_ arguments: Arguments) throws(UsageError) {
  try checkFormat(arguments)
  if arguments[Options.model] != nil, arguments.isGiven(Options.format) {
    throw .conflict("--format is for random weights: a checkpoint has a format of its own")
  }
  if arguments[Options.scaling] != nil, arguments.isGiven(Options.threads) {
    throw .conflict("--scaling chooses the numbers of threads itself: leave --threads out")
  }
}

/// Throws an error for options of compressed weights when the weights are dense, and for groups of a format
/// that has none.
func checkFormat(_ arguments: Arguments) throws(UsageError) {
  let isPacked = arguments[Options.format].packed != nil
  let packedOnly = [
    ("--group-size", arguments.isGiven(Options.groupSize)),
    ("--rank", arguments.isGiven(Options.rank)),
    ("--lr-format", arguments.isGiven(Options.factorFormat)),
  ]
  for (name, isGiven) in packedOnly where isGiven && !isPacked {
    throw .conflict(
      "\(name) is for compressed weights: give --format "
        + ShapeFormat.allCases.filter { $0.packed != nil }.map(\.rawValue).joined(separator: ", ")
        + " too")
  }
  if let format = arguments[Options.format].packed, format.coding == .trellis,
    arguments.isGiven(Options.groupSize), arguments[Options.groupSize] != .row
  {
    throw .conflict(
      "--format \(format.rawValue) has one scale for each row: leave --group-size out")
  }
}

/// The kernel set called `name`, or the standard one for nil.
func kernelSet(_ name: String?) throws(BenchError) -> KernelSet {
  guard let name else { return .standard }
  guard let set = KernelSet(named: name) else { throw .unknownKernelSet(name) }
  return set
}

/// Measures a model with each number of threads and prints the report.
private func measure(
  _ model: Model, _ options: SessionOptions, _ report: BenchReport, _ invocation: Invocation
) throws {
  let repeats = invocation.arguments[Options.repeats]
  var options = options
  var report = report
  if invocation.arguments[Options.generated] > 0 {
    report.kernelRatio = try ModelBenchmark(
      model: model, options: options, repeats: repeats
    ).kernelRatio()
  }
  try printReport(report, invocation) { threadCount in
    options.threadCount = threadCount
    let benchmark = ModelBenchmark(
      model: model, options: options, repeats: repeats,
      contextLength: invocation.arguments[Options.context])
    return (benchmark.prompt, benchmark.generation)
  }
}

/// A test with a number of tokens.
private typealias Test = (_ tokenCount: Int) throws -> Measurement

/// Runs the tests that `tests` makes for each number of threads, and prints `report` with them.
private func printReport(
  _ report: BenchReport, _ invocation: Invocation,
  _ tests: (_ threadCount: Int) throws -> (prompt: Test, generation: Test)
) throws {
  let arguments = invocation.arguments
  let (prompt, generated) = (arguments[Options.prompt], arguments[Options.generated])
  var report = report
  let scaling = arguments[Options.scaling]
  // A place that cannot be written is refused before anything is measured; nothing remains of this attempt.
  if let scaling { _ = try AtomicFile(path: scaling) }
  let threadCounts =
    scaling == nil
    ? arguments[Options.threads]
    : ScalingPlot.threadCounts(processorCount: SessionOptions.processorCount)
  for threadCount in threadCounts {
    let tests = try tests(threadCount)
    if prompt > 0 {
      invocation.messages.note("\(threadCount) threads: prompt of \(prompt)")
      report.measurements.append(try tests.prompt(prompt))
    }
    if generated > 0 {
      invocation.messages.note("\(threadCount) threads: generation of \(generated)")
      report.measurements.append(try tests.generation(generated))
    }
  }
  if let scaling {
    let plot = ScalingPlot(
      title: "\(report.subject.name) \(report.subject.format), \(report.subject.kernelSet.name)",
      measurements: report.measurements)
    try AtomicFile.write(Array(plot.svg.utf8), to: scaling)
  }
  if arguments[CommonOptions.json] || arguments[Options.output] == .json {
    try invocation.output.write(report.json)
  } else {
    for line in report.lines { try invocation.output.writeLine(line) }
  }
}

/// Opens a checkpoint, evaluates one token and one prompt, and measures time and memory.
private func load(_ folder: String, _ options: SessionOptions) throws -> (Model, LoadingCost) {
  let clock = ContinuousClock()
  let start = clock.now
  let checkpoint = try Checkpoint(contentsOf: folder)
  let model = try Model(checkpoint)
  let opened = start.duration(to: clock.now)
  var session = try Session(model, options: options)
  try session.append([0])
  let first = start.duration(to: clock.now)
  // A full batch also uses the buffers of a long prompt.
  let batch = min(options.batchSize, session.contextLength - 1)
  try session.append([Int](repeating: 0, count: batch))
  let cache = KVCache.byteCount(
    model.configuration, capacity: session.contextLength, type: options.cacheType)
  return (
    model,
    LoadingCost(
      openSeconds: opened / .seconds(1), firstTokenSeconds: first / .seconds(1),
      fileByteCount: checkpoint.byteCount, cacheByteCount: cache ?? 0,
      peakByteCount: peakResidentByteCount() ?? 0)
  )
}

/// The configuration of the shape called `name`, with `layerCount` layers if it is not nil.
func configuration(_ name: String, _ layerCount: Int?) throws -> Configuration {
  guard var configuration = Configuration.preset(named: name) else {
    throw BenchError.unknownShape(name)
  }
  if let layerCount { configuration.layerCount = layerCount }
  return configuration
}
