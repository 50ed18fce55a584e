import DuetSystem
import DuetText
import Foundation
import TestSupport
import Testing

/// One line of a golden file.
struct GoldenLine: Decodable {
  let text: String
  let ids: [Int]
  let idsWithSpecial: [Int]
  let decoded: String

  enum CodingKeys: String, CodingKey {
    case text, ids, decoded
    case idsWithSpecial = "ids_with_special"
  }

  /// All lines for the tokenizer `name`.
  static func all(_ name: String) throws -> [GoldenLine] {
    let path = try #require(SharedData.path("golden/tokenizers/\(name).jsonl"))
    let text = try String(contentsOfFile: path, encoding: .utf8)
    return try text.utf8.split(separator: UInt8(ascii: "\n")).map {
      try JSONDecoder().decode(GoldenLine.self, from: Data($0))
    }
  }
}

/// The tokenizers of the shared folder, each read once for all tests.
enum SharedTokenizers {
  /// Those whose vocabulary can express every text.
  static let completeNames = ["llama2", "llama3", "mistral-v0.1", "mistral-v0.3", "deepseek"]
  static let names = completeNames + ["smollm2"]
  static let sentencePieceNames = ["llama2", "mistral-v0.1", "mistral-v0.3"]
  static let arePresent = SharedData.path("golden/tokenizers") != nil

  private static let loaded: [String: Result<Tokenizer, any Error>] = Dictionary(
    uniqueKeysWithValues: names.map { name in
      (name, Result { try Tokenizer(contentsOf: SharedData.path("tokenizers/\(name)") ?? name) })
    })

  static func named(_ name: String) throws -> Tokenizer {
    try #require(loaded[name]).get()
  }
}

@Suite(
  "Tokenizers against the reference",
  .enabled(if: SharedTokenizers.arePresent, "../shared is absent"))
struct TokenizerGoldenTests {
  @Test("ids and texts agree with the reference", arguments: SharedTokenizers.names)
  func agreesWithTheReference(name: String) throws {
    let lines = try GoldenLine.all(name)
    #expect(lines.count == (["deepseek", "smollm2"].contains(name) ? 577 : 584))
    try expectAgreement(SharedTokenizers.named(name), lines)
  }

  private func expectAgreement(_ tokenizer: Tokenizer, _ lines: [GoldenLine]) {
    for line in lines {
      #expect(tokenizer.encode(line.text, addingSpecialTokens: false) == line.ids)
      #expect(tokenizer.encode(line.text) == line.idsWithSpecial)
      // Compared by scalars: canonically equal strings are not good enough.
      let decoded = tokenizer.decode(line.ids)
      #expect(decoded.unicodeScalars.elementsEqual(line.decoded.unicodeScalars), "\(decoded)")
    }
  }
}
