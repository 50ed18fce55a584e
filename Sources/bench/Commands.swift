import DuetCommandLine
import DuetRuntime
import Glibc

/// `bench -m DIR` and `bench --shape NAME`.
func benchmarkModel(_ invocation: Invocation) throws {
  let arguments = invocation.arguments
  var kernelSet = KernelSet.standard
  if let name = arguments[Options.kernelSet] {
    guard let set = KernelSet(named: name) else { throw BenchError.unknownKernelSet(name) }
    kernelSet = set
  }
  var options = SessionOptions(
    cacheType: arguments[Options.cache], kernelSet: kernelSet)

  let name: String
  let model: Model
  var format = arguments[Options.format].rawValue
  var loading: LoadingCost?
  switch (arguments[Options.model], arguments[Options.shape]) {
  case (nil, nil): throw BenchError.neitherModelNorShape
  case (.some, .some): throw BenchError.modelAndShape
  case (.some(let folder), nil):
    name = printable(folder)
    (model, loading) = try load(folder, options)
    format = model.layers.first?.linears.first?.elementTypeName ?? "?"
  case (nil, .some(let shape)):
    name = shape
    let configuration = try configuration(shape, arguments[Options.layers])
    model = try Model(
      SyntheticCheckpoint.inMemory(
        configuration, elementType: arguments[Options.format].elementType))
  }

  var report = BenchReport(
    name: name, model: model, format: format, kernelSet: kernelSet, loading: loading)
  for threadCount in arguments[Options.threads] {
    options.threadCount = threadCount
    let benchmark = ModelBenchmark(
      model: model, options: options, repeats: arguments[Options.repeats])
    if arguments[Options.prompt] > 0 {
      invocation.messages.note("\(threadCount) threads: prompt of \(arguments[Options.prompt])")
      report.measurements.append(try benchmark.prompt(tokenCount: arguments[Options.prompt]))
    }
    if arguments[Options.generated] > 0 {
      invocation.messages.note(
        "\(threadCount) threads: generation of \(arguments[Options.generated])")
      report.measurements.append(
        try benchmark.generation(tokenCount: arguments[Options.generated]))
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
    configuration, elementType: arguments[Options.format].elementType)
  guard unsafe mkdir(folder, 0o777) == 0 else {
    throw errno == EEXIST
      ? BenchError.outputExists(path: folder) : BenchError.cannotCreate(path: folder)
  }
  var tensors: [StoredTensor] = []
  for name in checkpoint.names {
    if let tensor = try checkpoint.tensor(named: name) { tensors.append(tensor) }
  }
  try SafeTensorsWriter.write(tensors, to: folder + "/model.safetensors")
  try writeConfiguration(configuration, to: folder + "/config.json")
  invocation.messages.note("\(printable(folder)): \(checkpoint.byteCount) bytes of weights")
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
  let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_EXCL, 0o666)
  guard descriptor >= 0 else { throw BenchError.cannotCreate(path: path) }
  let file = StandardOutput(descriptor: descriptor)
  try file.write(document)
  try file.flush()
  close(descriptor)
}
