import DuetRuntime
import DuetSystem
import DuetText
import Foundation
import TestSupport
import Testing

/// A SentencePiece model, written field by field.
private struct ModelWriter {
  var bytes: [UInt8] = []

  static func varint(_ value: UInt64) -> [UInt8] {
    var value = value
    var result: [UInt8] = []
    while value >= 0x80 {
      result.append(UInt8(value & 0x7F) | 0x80)
      value >>= 7
    }
    return result + [UInt8(value)]
  }

  mutating func append(_ field: UInt64, _ contents: [UInt8]) {
    bytes += Self.varint(field << 3 | 2) + Self.varint(UInt64(contents.count)) + contents
  }

  mutating func append(_ field: UInt64, number: UInt64) {
    bytes += Self.varint(field << 3) + Self.varint(number)
  }

  mutating func appendPiece(_ text: String, score: Float, kind: UInt64 = 1) {
    var piece = ModelWriter()
    piece.append(1, Array(text.utf8))
    piece.bytes += [2 << 3 | 5]
    for shift in stride(from: 0, to: 32, by: 8) {
      piece.bytes.append(UInt8(truncatingIfNeeded: score.bitPattern >> UInt32(shift)))
    }
    piece.append(3, number: kind)
    append(1, piece.bytes)
  }

  /// A model of a few pieces with byte fallback; the trainer's and the normalizer's part can be changed.
  static func model(
    type: UInt64 = 2, trainer: (inout ModelWriter) -> Void = { _ in },
    normalizer: (inout ModelWriter) -> Void = { _ in },
    pieces: (inout ModelWriter) -> Void = { _ in }
  ) -> [UInt8] {
    var model = ModelWriter()
    model.appendPiece("<unk>", score: 0, kind: 2)
    model.appendPiece("<s>", score: 0, kind: 3)
    model.appendPiece("</s>", score: 0, kind: 3)
    for byte in 0..<256 { model.appendPiece(String(format: "<0x%02X>", byte), score: 0, kind: 6) }
    for (rank, piece) in ["ab", "abc", "\u{2581}ab", "bc"].enumerated() {
      model.appendPiece(piece, score: -Float(rank) - 1)
    }
    for piece in ["\u{2581}", "a", "b", "c"] { model.appendPiece(piece, score: -100) }
    pieces(&model)
    var trainerPart = ModelWriter()
    trainerPart.append(3, number: type)
    trainerPart.append(35, number: 1)
    trainer(&trainerPart)
    model.append(2, trainerPart.bytes)
    var normalizerPart = ModelWriter()
    normalizerPart.append(3, number: 1)
    normalizerPart.append(4, number: 0)
    normalizer(&normalizerPart)
    model.append(3, normalizerPart.bytes)
    return model.bytes
  }
}

@Suite("SentencePiece")
struct SentencePieceTests {
  private func tokenizer(_ bytes: [UInt8], configuration: String? = nil) throws -> Tokenizer {
    let folder = try TemporaryFolder()
    try folder.write("tokenizer.model", bytes)
    if let configuration { try folder.write("tokenizer_config.json", configuration) }
    return try Tokenizer(contentsOf: folder.path)
  }

  @Test("pieces are merged by score")
  func mergesByScore() throws {
    let tokenizer = try tokenizer(ModelWriter.model())
    func ids(_ pieces: [String]) -> [Int?] { pieces.map { tokenizer.token($0) } }
    #expect(tokenizer.encode("abc", addingSpecialTokens: false) == ids(["\u{2581}", "abc"]))
    #expect(tokenizer.encode("ab") == ids(["<s>", "\u{2581}ab"]))
    #expect(tokenizer.encode("é") == ids(["<s>", "\u{2581}", "<0xC3>", "<0xA9>"]))
    #expect(tokenizer.beginningOfSequence == 1)
    #expect(tokenizer.endOfSequence == 2)
    #expect(tokenizer.unknown == 0)
    #expect(tokenizer.addsBeginningOfSequence)
    #expect(tokenizer.encode("") == [1])
  }

  @Test("tokenizer_config.json is obeyed")
  func obeysTheConfiguration() throws {
    let tokenizer = try tokenizer(
      ModelWriter.model(),
      configuration: #"""
        {"add_bos_token": false, "add_eos_token": true, "bos_token": {"content": "<|start|>"},
         "added_tokens_decoder": {"267": {"content": "<|start|>", "special": true}}}
        """#)
    #expect(!tokenizer.addsBeginningOfSequence)
    #expect(tokenizer.beginningOfSequence == 267)
    #expect(tokenizer.isControl(267))
    #expect(tokenizer.encode("<|start|>") == [267, 2])
  }

  @Test("models that are not supported are refused by name")
  func refusesOtherModels() throws {
    let cases: [([UInt8], String)] = [
      (ModelWriter.model(type: 3), "model type word"),
      (ModelWriter.model(type: 9), "model type 9"),
      (ModelWriter.model(trainer: { $0.append(24, number: 1) }), "white space as suffix"),
      (ModelWriter.model(normalizer: { $0.append(2, [1, 2]) }), "a malformed character map"),
      (ModelWriter.model(normalizer: { $0.append(5, number: 0) }), "unescaped white space"),
      (ModelWriter.model(pieces: { $0.appendPiece("ab", score: 0) }), "\"ab\" appears twice"),
      (ModelWriter.model(pieces: { $0.appendPiece("x", score: 0, kind: 5) }), "unused pieces"),
      (ModelWriter.model(pieces: { $0.appendPiece("x", score: 0, kind: 7) }), "unknown kind 7"),
      (ModelWriter.model(pieces: { $0.appendPiece("x", score: 0, kind: 2) }), "two unknown"),
      (ModelWriter.model(pieces: { $0.appendPiece("", score: 0) }), "empty, not UTF-8"),
      (ModelWriter.model(pieces: { $0.appendPiece("x", score: .nan) }), "without a score"),
      (
        ModelWriter.model(pieces: {
          $0.appendPiece(String(repeating: "x", count: 257), score: 0)
        }), "257 bytes"
      ),
      ([], "the vocabulary is empty"),
      (Array("IQ== 0\nIg== 1\n".utf8), "tiktoken"),
      ([0x0A], "unfinished number"),
      ([0x0A, 0x05, 0x0A], "beyond the end"),
      ([0x0A] + [UInt8](repeating: 0xFF, count: 12), "more than 64 bits"),
      ([0x0A] + [UInt8](repeating: 0xFF, count: 9) + [0x01], "beyond the end"),
      ([0x0B], "wire type 3"),
      ([0x02, 0x00], "field number 0"),
      ([0x0D, 0x00], "beyond the end"),
    ]
    for (bytes, fragment) in cases {
      let error = #expect(throws: TokenizerError.self, "\(fragment)") {
        _ = try tokenizer(bytes)
      }
      #expect(error?.description.contains(fragment) == true, "\(error?.description ?? "")")
      #expect(error?.category == .refusedData)
    }
  }

  @Test("mutated files do no harm", arguments: 0..<20 as Range<UInt64>)
  func survivesMutations(seed: UInt64) throws {
    let original = ModelWriter.model()
    var generator = RandomGenerator(seed: seed)
    for _ in 0..<50 {
      guard let tokenizer = try? tokenizer(mutated(original, using: &generator)) else { continue }
      _ = tokenizer.decode(tokenizer.encode("ab  abc <s> é \u{0} 🦙"))
    }
  }

  @Test(
    "ids agree with those of tokenizer.json",
    .enabled(if: SharedTokenizers.arePresent, "../shared is absent"),
    arguments: SharedTokenizers.sentencePieceNames)
  func agreesWithTheTokenizerFile(name: String) throws {
    let source = try #require(SharedData.path("tokenizers/\(name)"))
    let folder = try TemporaryFolder()
    try folder.copy("\(source)/tokenizer.model")
    try folder.copy("\(source)/tokenizer_config.json")
    let tokenizer = try Tokenizer(contentsOf: folder.path)
    let other = try SharedTokenizers.named(name)
    #expect(tokenizer.vocabularySize == other.vocabularySize)
    // Only the SentencePiece file of Mistral 0.3 has user-defined pieces besides.
    #expect(tokenizer.addedTokens.filter(\.isSpecial) == other.addedTokens)
    #expect(tokenizer.beginningOfSequence == other.beginningOfSequence)
    #expect(tokenizer.endOfSequence == other.endOfSequence)
    for line in try GoldenLine.all(name) {
      #expect(tokenizer.encode(line.text) == line.idsWithSpecial)
      #expect(Array(tokenizer.decode(line.ids).utf8) == Array(line.decoded.utf8))
    }
  }

  @Test(
    "ids agree with those published",
    .enabled(if: SharedTokenizers.arePresent, "../shared is absent"))
  func agreesWithPublishedVectors() throws {
    let cases: [(String, [Int])] = [
      ("Hello world", [15043, 3186]), (" Hello world", [29871, 15043, 3186]),
      ("\n", [29871, 13]), ("", []),
      (" this is 🦙.cpp", [29871, 445, 338, 29871, 243, 162, 169, 156, 29889, 8223]),
    ]
    let llama2 = try SharedTokenizers.named("llama2")
    for (text, ids) in cases { #expect(llama2.encode(text, addingSpecialTokens: false) == ids) }
    let llama3 = try SharedTokenizers.named("llama3")
    for (text, ids) in [
      ("Hello world", [9906, 1917]), (" Hello world", [22691, 1917]),
      ("hello world", [15339, 1917]), ("0000000", [931, 931, 15]),
    ] {
      #expect(llama3.encode(text, addingSpecialTokens: false) == ids)
    }
  }
}
