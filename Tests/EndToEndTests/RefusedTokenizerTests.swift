import Foundation
import TestSupport
import Testing

/// Malformed tokenizer files given to an executable; `TokenizerRefusalTests` has many more.
@Suite("Refused tokenizer files")
struct RefusedTokenizerTests {
  @Test(
    "a malformed tokenizer.json is refused",
    arguments: [
      ("", "not valid JSON"), ("[]", "should be an object"), ("{\"model\": null}", "is missing"),
      ("{\"model\": {\"type\": \"WordPiece\"}}", "\"WordPiece\""),
      (
        "{\"model\": {\"type\": \"BPE\", \"vocab\": {}, \"merges\": []}}", "the vocabulary is empty"
      ),
      ("{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": -1}, \"merges\": []}}", "id -1"),
      (
        "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 16777216}, \"merges\": []}}", "2^24"
      ),
      (
        "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 0}, \"merges\": []}}",
        "belongs to both"
      ),
      ("{\"added_tokens\": {}, \"model\": {}}", "should be an array"),
      ("{\"\u{1B}]0;x\u{7}\": 1, \"model\": {}}", "tokenizer.json"),
    ])
  func refuses(text: String, fragment: String) throws {
    let folder = try TemporaryFolder()
    try folder.write("tokenizer.json", text)
    let result = try runExecutable("tokenize", ["-m", folder.path, "-p", "x"])
    expectRefusal(result, code: 3, "tokenize: ", "tokenizer.json", fragment)
    #expect(!result.errorBytes.contains(0x1B))
  }

  /// SentencePiece files: cut off, of another kind, and with lengths that lie.
  @Test(
    "a malformed SentencePiece file is refused",
    arguments: [
      [], [0x0A], [0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F], [0x0A, 0x03, 0x0A, 0x09, 0x61],
      [UInt8](repeating: 0xFF, count: 64), Array("{\"model\": {}}".utf8),
    ] as [[UInt8]])
  func refusesSentencePieceFiles(bytes: [UInt8]) throws {
    let folder = try TemporaryFolder()
    try folder.write("tokenizer.model", bytes)
    let result = try runExecutable("tokenize", ["-m", folder.path, "-p", "x"])
    expectRefusal(result, code: 3, "tokenize: ", "tokenizer.model")
  }

  @Test("a file beyond the limit is refused")
  func refusesAFileBeyondTheLimit() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write("tokenizer.json", "{")
    let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
    // A hole: 64 MB and one byte that take no room on the disk.
    try handle.truncate(atOffset: 64_000_001)
    let result = try runExecutable("tokenize", ["-m", folder.path, "-p", "x"])
    expectRefusal(result, code: 3, "more than the 64000000 allowed")
  }
}
