import DuetCommandLine
import DuetCompressor
import DuetRuntime
import Glibc

/// `bench -m DIR` and `bench --shape NAME`.
func benchmarkModel(_ invocation: Invocation) throws {
  let arguments = invocation.arguments
  try checkCombination(arguments)
  let kernelSet = try kernelSet(arguments[Options.kernelSet])
  let options = SessionOptions(cacheType: arguments[Options.cache], kernelSet: kernelSet)
  let format = arguments[Options.format]

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
    let configuration = try configuration(shape, arguments[Options.layers])
    if let format = format.packed {
      try measurePacked(shape, configuration, format, kernelSet, invocation)
    } else if let elementType = format.dense?.elementType {
      try SyntheticCheckpoint.memory(configuration, elementType).check(shape)
      let model = try Model(
        SyntheticCheckpoint.inMemory(configuration, elementType: elementType))
      let subject = BenchSubject(
        model, name: shape, format: format.rawValue, kernelSet: kernelSet)
      try measure(model, options, BenchReport(subject: subject, loading: nil), invocation)
    }
  }
}

/// Refuses options that would be ignored.
private func checkCombination(_ arguments: Arguments) throws(UsageError) {
  let isPacked = arguments[Options.format].packed != nil
  let packedOnly = [
    ("--group-size", arguments.isGiven(Options.groupSize)),
    ("--rank", arguments.isGiven(Options.rank)),
    ("--lr-format", arguments.isGiven(Options.factorFormat)),
  ]
  for (name, isGiven) in packedOnly where isGiven && !isPacked {
    throw .conflict(
      "\(name) is for packed weights: give --format "
        + WeightFormat.allCases.map(\.rawValue).joined(separator: ", ") + " too")
  }
  if isPacked, arguments.isGiven(Options.cache) {
    throw .conflict("--kv-cache is for whole models: packed weights are measured without attention")
  }
  if arguments[Options.model] != nil, arguments.isGiven(Options.format) {
    throw .conflict("--format is for random weights: a checkpoint has a format of its own")
  }
}

/// The set called `name`, or the one to use unless another is asked for.
func kernelSet(_ name: String?) throws(BenchError) -> KernelSet {
  guard let name else { return .standard }
  guard let set = KernelSet(named: name) else { throw .unknownKernelSet(name) }
  return set
}

/// Measures a model with every number of threads and prints the report.
private func measure(
  _ model: Model, _ options: SessionOptions, _ report: BenchReport, _ invocation: Invocation
) throws {
  let repeats = invocation.arguments[Options.repeats]
  var options = options
  try printReport(report, invocation) { threadCount in
    options.threadCount = threadCount
    let benchmark = ModelBenchmark(model: model, options: options, repeats: repeats)
    return (benchmark.prompt, benchmark.generation)
  }
}

/// Measures the packed linear layers of a shape with every number of threads and prints the report.
private func measurePacked(
  _ shape: String, _ configuration: Configuration, _ format: WeightFormat, _ kernelSet: KernelSet,
  _ invocation: Invocation
) throws {
  let arguments = invocation.arguments
  let recipe = PackedRecipe(
    format: format, groupSize: arguments[Options.groupSize], rank: arguments[Options.rank],
    factorFormat: arguments[Options.factorFormat].weightFormat)
  let plan = PackedPlan(configuration: configuration, recipe: recipe)
  try plan.memory.check(shape)
  invocation.messages.note("random weights: \(gib(plan.memory.byteCount))")
  let layers = try RandomPackedLayers(plan)
  let subject = BenchSubject(layers, name: shape, kernelSet: kernelSet)
  try printReport(BenchReport(subject: subject, loading: nil), invocation) { threadCount in
    let benchmark = PackedBenchmark(
      layers: layers, kernelSet: kernelSet, threadCount: threadCount,
      repeats: arguments[Options.repeats])
    return (benchmark.prompt, benchmark.generation)
  }
}

/// A test with a number of tokens.
private typealias Test = (_ tokenCount: Int) throws -> Measurement

/// Adds the tests that `tests` makes for each number of threads to `report`, and prints it.
private func printReport(
  _ report: BenchReport, _ invocation: Invocation,
  _ tests: (_ threadCount: Int) throws -> (prompt: Test, generation: Test)
) throws {
  let arguments = invocation.arguments
  let (prompt, generated) = (arguments[Options.prompt], arguments[Options.generated])
  var report = report
  for threadCount in arguments[Options.threads] {
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
  if arguments[CommonOptions.json] || arguments[Options.output] == .json {
    try invocation.output.write(report.json)
  } else {
    for line in report.lines { try invocation.output.writeLine(line) }
  }
}

/// Opens a checkpoint and evaluates one prompt and one token, taking the time and the memory.
private func load(_ folder: String, _ options: SessionOptions) throws -> (Model, LoadingCost) {
  let clock = ContinuousClock()
  let start = clock.now
  let checkpoint = try Checkpoint(contentsOf: folder)
  let model = try Model(checkpoint)
  let opened = start.duration(to: clock.now)
  var session = try Session(model, options: options)
  try session.append([0])
  let first = start.duration(to: clock.now)
  // A whole batch touches the buffers of a long prompt too.
  let batch = min(options.batchSize, session.contextLength - 1)
  try session.append([Int](repeating: 0, count: batch))
  let cache = KVCache.byteCount(
    model.configuration, capacity: session.contextLength, type: options.cacheType)
  return (
    model,
    LoadingCost(
      openSeconds: seconds(opened), firstTokenSeconds: seconds(first),
      fileByteCount: checkpoint.byteCount, cacheByteCount: cache ?? 0,
      peakByteCount: peakResidentByteCount() ?? 0)
  )
}

/// The shape called `name`, with fewer layers if asked.
private func configuration(_ name: String, _ layerCount: Int?) throws -> Configuration {
  guard var configuration = Configuration.preset(named: name) else {
    throw BenchError.unknownShape(name)
  }
  if let layerCount { configuration.layerCount = layerCount }
  return configuration
}

/// `bench write`: a checkpoint of random weights in a new folder, config.json last.
func writeSyntheticCheckpoint(_ invocation: Invocation) throws {
  let arguments = invocation.arguments
  let folder = arguments[Options.folder]
  let configuration = try configuration(
    arguments[Options.shapeToWrite], arguments[Options.layers])
  let checkpoint = try SyntheticCheckpoint.inMemory(
    configuration, elementType: arguments[Options.formatToWrite].elementType)
  guard unsafe mkdir(folder, 0o777) == 0 else {
    throw errno == EEXIST
      ? BenchError.outputExists(path: folder) : BenchError.cannotCreate(path: folder)
  }
  var tensors: [StoredTensor] = []
  for name in checkpoint.names {
    if let tensor = try checkpoint.tensor(named: name) { tensors.append(tensor) }
  }
  let plan = try ShardPlan(tensors, atMost: arguments[Options.shards])
  for shard in plan.shards {
    try SafeTensorsWriter.write(shard.tensors, to: "\(folder)/\(shard.name)")
  }
  if let index = plan.index { try write(index, to: "\(folder)/\(ShardPlan.indexName)") }
  try writeConfiguration(configuration, to: folder + "/config.json")
  invocation.messages.note(
    "\(printable(folder)): \(checkpoint.byteCount) bytes of weights, files: \(plan.shards.count)")
}

private func writeConfiguration(_ configuration: Configuration, to path: String) throws {
  let document: JSONOutput = [
    "model_type": .string(configuration.architecture.rawValue),
    "hidden_size": .integer(configuration.hiddenSize),
    "intermediate_size": .integer(configuration.intermediateSize),
    "num_hidden_layers": .integer(configuration.layerCount),
    "num_attention_heads": .integer(configuration.headCount),
    "num_key_value_heads": .integer(configuration.keyValueHeadCount),
    "head_dim": .integer(configuration.headSize),
    "vocab_size": .integer(configuration.vocabularySize),
    "max_position_embeddings": .integer(configuration.contextLength),
    "rms_norm_eps": .number(configuration.normEpsilon),
    "rope_theta": .number(configuration.rotaryBase),
    "sliding_window": configuration.slidingWindow.map { .integer($0) } ?? .null,
    "tie_word_embeddings": .boolean(configuration.tiesEmbeddings),
    "hidden_act": "silu",
  ]
  try write(document, to: path)
}

/// Writes a document to a new file.
private func write(_ document: JSONOutput, to path: String) throws {
  let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_EXCL, 0o666)
  guard descriptor >= 0 else { throw BenchError.cannotCreate(path: path) }
  let file = StandardOutput(descriptor: descriptor)
  try file.write(document)
  try file.flush()
  close(descriptor)
}
