import DuetRuntime
import DuetSystem
import TestSupport
import Testing

/// Packed embeddings: the rows that are looked up, and the logits where the head is tied to them.
@Suite("Packed embeddings")
struct EmbeddingTests {
  /// A model with a packed embedding, and the dense one that it stands for.
  private struct Pair {
    let packed: Model
    /// The numbers of the embedding by the formula of the format, in Double where it matters.
    let values: [Float]
    let oracle: ForwardPassOracle

    init(
      vocabularySize: Int, hiddenSize: Int, _ storage: EmbeddingStorage, isTied: Bool,
      hasPackedHead: Bool = false
    ) throws {
      var configuration = Configuration(
        hiddenSize: hiddenSize, intermediateSize: 24, layerCount: 1, headCount: 2,
        keyValueHeadCount: 1, headSize: 8, vocabularySize: vocabularySize, contextLength: 64,
        tiesEmbeddings: isTied)
      let layout = PackedLayout(
        storage.format, groupSize: storage.groupSize, outputSize: vocabularySize,
        inputSize: hiddenSize)
      var sample = PackedMatrixTests.Sample(
        layout, seed: UInt64(1000 * vocabularySize + hiddenSize))
      // Numbers of at most about 1.
      let unit = 2 / Float(storage.format.largestCode)
      sample.scales = sample.scales.map { Float(Float16($0 * unit)) }
      values = (0..<vocabularySize * hiddenSize).map {
        sample.value($0 / hiddenSize, $0 % hiddenSize)
      }
      var dense = TinyCheckpoint(configuration)
      dense.tensors["model.embed_tokens.weight"]?.values = values
      oracle = ForwardPassOracle(checkpoint: dense)
      let source = try dense.inMemory()
      var tensors = try sample.packed().storedTensors(named: "model.embed_tokens")
      for name in source.names where name != "model.embed_tokens.weight" {
        tensors.append(try #require(try source.tensor(named: name)))
      }
      configuration.compression = CompressedFormat(
        format: .int2, groupSize: .columns32, rank: 4, factors: FactorStorage(.int4),
        incoherence: .both, embedding: storage)
      packed = try Model(Checkpoint(configuration: configuration, tensors: tensors))
    }
  }

  private static let storages: [EmbeddingStorage] = [WeightFormat.int4, .int8].flatMap { format in
    GroupSize.allCases.map { EmbeddingStorage(format, groupSize: $0) }
  }

  @Test(
    "a row is what the format says, to the last bit, in every shape", arguments: storages,
    [false, true])
  func rows(storage: EmbeddingStorage, isTied: Bool) throws {
    // Panels have 16 rows, groups 32, 64 or 128 columns, words 4 columns.
    for (vocabularySize, hiddenSize) in [
      (1, 1), (15, 37), (16, 32), (17, 64), (33, 127), (50, 129), (20, 48), (31, 6),
    ] {
      let pair = try Pair(
        vocabularySize: vocabularySize, hiddenSize: hiddenSize, storage, isTied: isTied)
      let tokens = Array((0..<vocabularySize).reversed())
      // One number more than is needed, which must stay.
      var hidden = Buffer<Float>(count: vocabularySize * hiddenSize + 1)
      hidden[vocabularySize * hiddenSize] = 7
      try pair.packed.embed(tokens[...], into: &hidden)
      var isEqual = true
      for (index, token) in tokens.enumerated() {
        for column in 0..<hiddenSize {
          let expected = pair.values[token * hiddenSize + column]
          if hidden[index * hiddenSize + column].bitPattern != expected.bitPattern {
            isEqual = false
          }
        }
      }
      #expect(isEqual, "\(vocabularySize) x \(hiddenSize)")
      #expect(hidden[vocabularySize * hiddenSize] == 7)
      #expect(throws: GenerationError.self) {
        try pair.packed.embed([vocabularySize], into: &hidden)
      }
    }
  }

  @Test(
    "logits of a tied model are those of its numbers",
    arguments: [
      EmbeddingStorage(.int8, groupSize: .columns64), .init(.int4, groupSize: .columns32),
    ]
  )
  func logits(storage: EmbeddingStorage) throws {
    let pair = try Pair(vocabularySize: 50, hiddenSize: 37, storage, isTied: true)
    let tokens = (0..<20).map { $0 * 7 % 50 }
    let expected = pair.oracle.logits(tokens).flatMap { $0 }
    let size = (expected.reduce(0) { $0 + $1 * $1 } / Double(expected.count)).squareRoot()
    for (activations, threads) in [(ActivationType.f32, 1), (.int8, 1), (.int8, 3)] {
      var session = try Session(
        pair.packed,
        options: SessionOptions(
          contextLength: 64, threadCount: threads, cacheType: .f32, activations: activations))
      var logits: [Float] = []
      try session.evaluate(tokens) { _, row in
        for id in row.indices { logits.append(row[id]) }
      }
      var (square, worst) = (0.0, 0.0)
      for (x, y) in zip(logits, expected) {
        let error = abs(Double(x) - y)
        worst = max(worst, error)
        square += error * error
      }
      if activations == .f32 {
        // Sums of 37 products in single precision after one layer, of numbers near 1: as for dense models.
        #expect(worst < 1e-4)
      } else {
        // The normalised stream is rounded to steps of 1/127 of its largest number, which among 37 is 2 to 3
        // times their root mean square: an error of 3/127/sqrt(12) = 0.7 % at most of a vector, and as much of
        // the logits, which are its products with rows that are independent of the error.
        #expect((square / Double(expected.count)).squareRoot() < 0.01 * size)
        #expect(worst > 1e-4, "activations of the head were not rounded")
      }
    }
  }

  @Test("a tied embedding counts once, and no tensor of it is unused")
  func onceOnly() throws {
    let storage = EmbeddingStorage(.int8, groupSize: .columns64)
    for isTied in [false, true] {
      let model = try Pair(vocabularySize: 33, hiddenSize: 48, storage, isTied: isTied).packed
      #expect(model.unusedTensorNames.isEmpty)
      #expect(model.firstNonFiniteWeight() == nil)
      // 3 panels of 16 rows of 64 columns, and their scales; an untied head is dense, in F32.
      #expect(model.head.byteCount == (isTied ? 3 * 16 * (64 + 2) : 33 * 48 * 4))
    }
  }

  @Test("a packed embedding that is missing or of another shape is refused by name")
  func refusals() throws {
    var configuration = Configuration(
      hiddenSize: 48, intermediateSize: 24, layerCount: 1, headCount: 2, headSize: 8,
      vocabularySize: 33, tiesEmbeddings: true)
    let dense = try TinyCheckpoint(configuration).inMemory()
    configuration.compression = CompressedFormat(
      format: .int2, groupSize: .columns32, rank: 4, factors: FactorStorage(.int4),
      incoherence: .none, embedding: EmbeddingStorage(.int8, groupSize: .columns64))
    let others = try dense.names.compactMap { try dense.tensor(named: $0) }
    #expect(
      throws: CheckpointError.tensorNotFound(path: "memory", tensor: "model.embed_tokens.codes")
    ) {
      try Model(Checkpoint(configuration: configuration, tensors: others))
    }
    // Of groups of 32 columns, and with two rows too many, which are beyond the padding.
    for (group, rows) in [(GroupSize.columns32, 33), (.columns64, 49)] {
      let layout = PackedLayout(.int8, groupSize: group, outputSize: rows, inputSize: 48)
      let tensors = try randomPacked(layout, seed: 1).storedTensors(named: "model.embed_tokens")
      let error = #expect(throws: CheckpointError.self) {
        try Model(Checkpoint(configuration: configuration, tensors: others.dropFirst() + tensors))
      }
      #expect("\(String(describing: error))".contains("model.embed_tokens"))
    }
  }

  private func format(_ members: String) throws -> CompressedFormat? {
    let text = """
      {"model_type":"llama","hidden_size":64,"intermediate_size":64,"num_hidden_layers":1,
       "num_attention_heads":4,"vocab_size":32,"quantization_config":{"quant_method":"duet",
       "format":"int2","group_size":32,"rank":4,"lr_format":"int4","incoherence":"none",\(members)}}
      """
    return try Configuration(parsing: Array(text.utf8), path: "c").compression
  }

  @Test("config.json says how the embedding is stored; older ones, and null, that it is not packed")
  func configuration() throws {
    #expect(try format(#""format_version":1"#)?.embedding == nil)
    #expect(
      try format(
        #""format_version":1,"embedding_format":null,"embedding_group_size":null"#)?.embedding
        == nil)
    #expect(
      try format(#""format_version":2,"embedding_format":"int4","embedding_group_size":32"#)?
        .embedding == EmbeddingStorage(.int4, groupSize: .columns32))
    for (members, mention) in [
      (#""format_version":2,"embedding_format":"int3","embedding_group_size":32"#, "int4, int8"),
      (#""format_version":2,"embedding_format":"int8""#, "embedding_group_size"),
      (#""format_version":2,"embedding_format":"int8","embedding_group_size":48"#, "48"),
      (#""format_version":2,"embedding_format":8,"embedding_group_size":32"#, "a string"),
      (#""format_version":4"#, "format_version"),
    ] {
      let error = #expect(throws: ConfigurationError.self) { try format(members) }
      #expect(error?.description.contains(mention) == true, "\(String(describing: error))")
    }
  }
}
