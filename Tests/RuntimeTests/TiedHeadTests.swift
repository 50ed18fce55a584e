import DuetRuntime
import DuetSystem
import Foundation
import TestSupport
import Testing

/// A head that is stored although config.json says that it is the embedding.
@Suite("Tied head")
struct TiedHeadTests {
  private static let name = "lm_head.weight"

  /// A model that has a head of its own, in a folder whose config.json ties it to the embedding.
  private func folder(
    vocabularySize: Int = 50, change: (inout TinyCheckpoint) -> Void = { _ in }
  ) throws -> (TinyCheckpoint, TemporaryFolder) {
    var tiny = TinyCheckpoint(
      Configuration(
        hiddenSize: 24, intermediateSize: 40, layerCount: 2, headCount: 4, keyValueHeadCount: 2,
        headSize: 6, vocabularySize: vocabularySize, contextLength: 128))
    change(&tiny)
    let folder = try TemporaryFolder()
    try tiny.write(to: folder)
    let text = tiny.configurationText
    let tied = text.replacingOccurrences(
      of: "\"tie_word_embeddings\": false", with: "\"tie_word_embeddings\": true")
    #expect(tied != text)
    try folder.write("config.json", tied)
    return (tiny, folder)
  }

  private func logits(_ model: Model, _ tokens: [Int]) throws -> [[Float]] {
    var session = try Session(
      model, options: SessionOptions(threadCount: 1, cacheType: .f32))
    var result: [[Float]] = []
    try session.evaluate(tokens) { _, logits in
      result.append(logits.indices.map { logits[$0] })
    }
    return result
  }

  @Test("a head that differs is used")
  func differs() throws {
    let (tiny, folder) = try folder()
    let model = try Model(contentsOf: folder.path)
    #expect(model.checkpoint.hasOwnHead && !model.configuration.tiesEmbeddings)
    #expect(model.unusedTensorNames == [])
    let tokens = [3, 10, 17, 24, 31]
    // The oracle reads "lm_head": its configuration ties nothing. The bound is that of `ModelTests`.
    let expected = ForwardPassOracle(checkpoint: tiny).logits(tokens)
    for (row, other) in zip(try logits(model, tokens), expected) {
      for (one, two) in zip(row, other) { #expect(abs(Double(one) - two) < 1e-4) }
    }
  }

  // 1200 numbers, and 4800, which are compared in two pieces.
  @Test("one number in the last place is a difference", arguments: [50, 200])
  func lastNumber(vocabularySize: Int) throws {
    let (_, folder) = try folder(vocabularySize: vocabularySize) { tiny in
      var values = tiny.tensors["model.embed_tokens.weight"]?.values ?? []
      values[values.count - 1] = values[values.count - 1].nextUp
      tiny.tensors[Self.name] = ([vocabularySize, 24], values)
    }
    #expect(try Checkpoint(contentsOf: folder.path).hasOwnHead)
  }

  @Test("the same numbers in another shape are a head of that shape")
  func otherShape() throws {
    let (_, folder) = try folder { tiny in
      let values = tiny.tensors["model.embed_tokens.weight"]?.values ?? []
      tiny.tensors[Self.name] = ([24, 50], values)
    }
    #expect(try Checkpoint(contentsOf: folder.path).hasOwnHead)
    #expect(
      throws: CheckpointError.shapeMismatch(
        path: "\(folder.path)/model.safetensors", tensor: Self.name, expected: [50, 24],
        actual: [24, 50])
    ) { try Model(contentsOf: folder.path) }
  }

  @Test("a head that is the embedding is tied, also with zeros of other signs")
  func equal() throws {
    for sign in [Float(1), -1] {
      let (_, folder) = try folder { tiny in
        var values = tiny.tensors["model.embed_tokens.weight"]?.values ?? []
        values[7] = 0
        tiny.tensors["model.embed_tokens.weight"] = ([50, 24], values)
        values[7] = 0 * sign
        tiny.tensors[Self.name] = ([50, 24], values)
      }
      let model = try Model(contentsOf: folder.path)
      #expect(!model.checkpoint.hasOwnHead && model.configuration.tiesEmbeddings)
      #expect(model.unusedTensorNames == [])
    }
  }

  @Test("numbers are compared, not types")
  func types() throws {
    // The same halves as F16 and as F32.
    let header = """
      {"lm_head.weight":{"dtype":"F16","shape":[2,2],"data_offsets":[0,8]},
      "model.embed_tokens.weight":{"dtype":"F32","shape":[2,2],"data_offsets":[8,24]}}
      """
    for difference in [Float(0), 0.5] {
      let numbers: [Float16] = [1, -2, 0.5, 4]
      var data = numbers.flatMap {
        [UInt8(truncatingIfNeeded: $0.bitPattern), UInt8($0.bitPattern >> 8)]
      }
      for (index, number) in numbers.enumerated() {
        let bits = (Float(number) + (index == 3 ? difference : 0)).bitPattern
        data += (0..<4).map { UInt8(truncatingIfNeeded: bits >> (8 * UInt32($0))) }
      }
      let folder = try TemporaryFolder()
      try folder.write(
        "config.json", #"{"model_type":"llama","tie_word_embeddings":true}"#)
      let file = safeTensorsBytes(header: header, dataBytes: 0) + data
      try folder.write("model.safetensors", file)
      #expect(try Checkpoint(contentsOf: folder.path).hasOwnHead == (difference != 0))
    }
  }

  @Test("without a head the embedding is the head, and one that is needed is missed")
  func missing() throws {
    let (_, tied) = try folder { $0.tensors[Self.name] = nil }
    #expect(try Model(contentsOf: tied.path).configuration.tiesEmbeddings)
    let (tiny, untied) = try folder { $0.tensors[Self.name] = nil }
    try untied.write("config.json", tiny.configurationText)
    let error = CheckpointError.tensorNotFound(path: untied.path, tensor: Self.name)
    #expect(throws: error) { try Model(contentsOf: untied.path) }
    #expect(error.description.contains("\"tie_word_embeddings\" to true"))
  }
}
