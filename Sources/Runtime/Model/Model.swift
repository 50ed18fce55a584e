/// A language model of the Llama, Mistral or Qwen2 architecture, ready to run.
///
/// Immutable: its weights are views of mapped files, and everything that changes while it runs lives
/// in a `Session`. Several sessions may use one model at once.
public struct Model: Sendable {
  /// The sizes and constants of the architecture.
  public let configuration: Configuration
  /// The checkpoint that holds the weights.
  public let checkpoint: Checkpoint
  /// The embedding, one row for each token, (vocabularySize, hiddenSize).
  let embedding: Embedding
  /// The decoder layers, first to last.
  package let layers: [DecoderLayer]
  /// The gains of the norm before the output head, (hiddenSize).
  let outputNorm: [Float]
  /// The output head, from the residual stream to logits, (vocabularySize, hiddenSize); the embedding
  /// when tied.
  package let head: Linear

  /// Loads the checkpoint in `folder`: maps its files and checks every tensor against config.json.
  ///
  /// Only small tensors are read, such as norms, biases, scales and half-precision factors. The other
  /// weights are read with the first token.
  ///
  /// - Throws: `CheckpointError`.
  public init(contentsOf folder: String) throws(CheckpointError) {
    try self.init(Checkpoint(contentsOf: folder))
  }

  /// The model of an open checkpoint.
  ///
  /// - Throws: `CheckpointError` naming the first tensor that is missing or not what the configuration
  ///   says, or that a layer has in addition to those of `LayerTensors`.
  public init(_ checkpoint: Checkpoint) throws(CheckpointError) {
    let configuration = checkpoint.configuration
    self.checkpoint = checkpoint
    self.configuration = configuration
    func rows(of name: String) throws(CheckpointError) -> Linear {
      try Linear(
        checkpoint, [(name, configuration.vocabularySize)], inputSize: configuration.hiddenSize)
    }
    let embeddingRows = try rows(of: Self.storedEmbeddingName(checkpoint))
    embedding = Embedding(embeddingRows)
    var layers: [DecoderLayer] = []
    let rotations = try ModelRotations(checkpoint)
    for index in 0..<configuration.layerCount {
      layers.append(try DecoderLayer(checkpoint, index: index, rotations: rotations))
    }
    self.layers = layers
    try LayerTensors.check(checkpoint)
    outputNorm = try checkpoint.vector(
      named: "model.norm.weight", count: configuration.hiddenSize)
    head =
      configuration.tiesEmbeddings ? embeddingRows : try rows(of: CompressedFormat.headName)
  }

  /// The name of the embedding in a checkpoint, without ".weight".
  ///
  /// A tied matrix is stored once, usually as the embedding, by some writers as the head.
  package static func storedEmbeddingName(_ checkpoint: Checkpoint) -> String {
    let (name, headName) = (CompressedFormat.embeddingName, CompressedFormat.headName)
    let configuration = checkpoint.configuration
    let isStoredAsHead =
      configuration.tiesEmbeddings && configuration.compression?.embedding == nil
      && !checkpoint.contains("\(name).weight") && checkpoint.contains("\(headName).weight")
    return isStoredAsHead ? headName : name
  }

  /// The bytes of weights that one generated token reads: all linear layers and the head.
  public var byteCountPerToken: Int {
    layers.reduce(head.byteCount) { $0 + $1.linears.reduce(0) { $0 + $1.byteCount } }
  }

  /// The weights that one generated token multiplies: all linear layers and the head.
  public var multipliedWeightCount: Int {
    func count(_ linear: Linear) -> Int { linear.inputSize * linear.outputSize }
    return layers.reduce(count(head)) { $0 + $1.linears.reduce(0) { $0 + count($1) } }
  }
}
