import DuetCommandLine
import DuetCompressor
import DuetRuntime
import DuetSystem
import DuetText
import Glibc

/// Runs `bench write`: writes a checkpoint of random weights to a new folder, config.json last.
func writeSyntheticCheckpoint(_ invocation: Invocation) throws {
  let arguments = invocation.arguments
  let folder = arguments[Options.folder]
  try checkFormat(arguments)
  let checkpoint = try randomCheckpoint(arguments[Options.shapeToWrite], arguments)
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
  if let index = plan.index {
    try AtomicFile.write(
      Array(index.indentedText.utf8), to: "\(folder)/\(ShardPlan.indexName)")
  }
  let path = folder + "/config.json"
  var text = Array(configurationDocument(checkpoint.configuration).indentedText.utf8)
  if let compressed = compressedShape(checkpoint.configuration, arguments) {
    text = try QuantizationConfiguration(
      plan: compressed.plan, toolVersion: duetVersion, unconverted: ["model.embed_tokens"],
      sourceDigest: "random weights"
    ).added(to: text, path: path)
  }
  try AtomicFile.write(text, to: path)
  invocation.messages.note(
    "\(printable(folder)): \(checkpoint.byteCount) bytes of weights, files: \(plan.shards.count)")
}

/// The JSON document of config.json for a configuration.
private func configurationDocument(_ configuration: Configuration) -> JSONOutput {
  [
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
}
