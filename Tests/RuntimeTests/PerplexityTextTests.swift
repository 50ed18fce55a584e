import DuetEvaluation
import DuetSystem
import Foundation
import TestSupport
import Testing

@Suite("Texts for perplexity")
struct PerplexityTextTests {
  private func read(
    _ text: String, path: String = "a.txt", _ name: PerplexityProtocol = .paper,
    _ options: EvaluationText.Options = .init()
  ) throws(PerplexityError) -> EvaluationText {
    try EvaluationText(Array(text.utf8), path: path, protocol: name, options: options)
  }

  /// String equality in Swift takes canonically equal texts for the same; these tests do not.
  private func expectSame(_ actual: String, _ expected: String, _ comment: Comment? = nil) {
    #expect(Array(actual.utf8) == Array(expected.utf8), comment)
  }

  // MARK: - WikiText

  private struct Golden: Decodable {
    struct Case: Decodable {
      let text: String
      let rows: String
      let pages: [Page]
    }
    struct Page: Decodable {
      let page: String
      let detokenized: String
      let words: Int
      let bytes: Int
    }
    struct File: Decodable {
      let sha256: String
      let pages: Int
      let words: Int
      let bytes: Int
      let detokenized_sha256: String
      let rows_sha256: String
    }
    let cases: [Case]
    let wiki: File

    enum CodingKeys: String, CodingKey {
      case cases
      case wiki = "wiki.test.raw"
    }
  }

  private func golden() throws -> Golden {
    let path = SharedData.project("Tests/Golden/wikitext.json")
    return try JSONDecoder().decode(
      Golden.self, from: Data(contentsOf: URL(fileURLWithPath: path)))
  }

  @Test("WikiText is joined and split into pages as in the golden files")
  func wikiTextEqualsTheOracle() throws {
    for (index, expected) in try golden().cases.enumerated() {
      let options = EvaluationText.Options(format: .wikitextLines)
      let joined = try read(expected.text, .paper, options).documents
      #expect(joined.count == 1)
      expectSame(joined[0].text, expected.rows, "case \(index)")
      let pages = try read(expected.text, .lmEval, options).documents
      #expect(pages.count == expected.pages.count, "case \(index)")
      for (page, expected) in zip(pages, expected.pages) {
        expectSame(page.text, expected.detokenized, "case \(index)")
        #expect(page.wordCount == expected.words, "case \(index)")
        #expect(page.byteCount == expected.bytes, "case \(index)")
      }
    }
  }

  @Test(
    "the real WikiText file has the golden pages, words and bytes",
    .enabled(if: SharedData.path("text/wiki.test.raw") != nil))
  func wikiTextOfTheRealFile() throws {
    let path = try #require(SharedData.path("text/wiki.test.raw"))
    let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    let expected = try golden().wiki
    #expect(SHA256.hexadecimalDigest(of: bytes) == expected.sha256)
    // No options: this is also the test that `auto` knows the file.
    let pages = try EvaluationText(bytes, path: path, protocol: .lmEval)
    #expect(pages.format == .wikitextLines)
    #expect(pages.documents.count == expected.pages)
    #expect(pages.documents.reduce(0) { $0 + $1.wordCount } == expected.words)
    #expect(pages.documents.reduce(0) { $0 + $1.byteCount } == expected.bytes)
    let joined = pages.documents.map(\.text).joined(separator: "\0")
    #expect(SHA256.hexadecimalDigest(of: Array(joined.utf8)) == expected.detokenized_sha256)
    let rows = try EvaluationText(bytes, path: path, protocol: .paper)
    #expect(rows.format == .wikitextLines)
    #expect(
      SHA256.hexadecimalDigest(of: Array(rows.documents[0].text.utf8)) == expected.rows_sha256)
    let raw = try EvaluationText(bytes, path: path, protocol: .llamaCpp)
    #expect(raw.format == .raw)
    #expect(Array(raw.documents[0].text.utf8) == bytes)
  }

  @Test("the detokenizer repairs examples made by hand")
  func detokenizerByHand() {
    expectSame(
      WikiTextDetokenizer.detokenize(
        " the boys ' ( size 10 @.@ 5 ) , \" large \" N x 20 ° C 's \n"),
      " the boys'(size 10.5), \"large\" 1 x 20°C's\n")
    // A quotation mark pairs with the next one; one that is left over stays.
    expectSame(WikiTextDetokenizer.detokenize("\" a \" b \" c"), "\"a\" b \" c")
    // The pattern that the harness writes out instead of the digit.
    expectSame(WikiTextDetokenizer.detokenize("x/' 7/y"), "x/'[0-9]/y")
    expectSame(WikiTextDetokenizer.detokenize(""), "")
  }

  // MARK: - Formats

  @Test("the format is found out from the text and its name")
  func automaticFormat() throws {
    let wiki = " \n = Title = \n \n Text . \n"
    #expect(try read(wiki, .paper).format == .wikitextLines)
    #expect(try read(wiki, .lmEval).format == .wikitextLines)
    #expect(try read(wiki, .llamaCpp).format == .raw)
    #expect(try read("\n = Title = \n", .paper).format == .wikitextLines)
    for text in ["", "\n", " = Title = \n", "x\n = Title = \n", " \n = = Section = = \n", " \n\n"] {
      #expect(try read(text, .paper).format == .raw, "\(text)")
    }
    #expect(try read("{\"text\":\"a\"}", path: "b.jsonl", .llamaCpp).format == .jsonl)
    let raw = EvaluationText.Options(format: .raw)
    expectSame(try read(wiki, .paper, raw).documents[0].text, wiki)
  }

  @Test("texts of a jsonl file are joined, or documents of their own")
  func jsonLines() throws {
    let lines = "{\"text\": \"one\\ntwo\", \"n\": 1}\n\n \t\r\n{\"text\":\"drei \\u00e9\"}"
    let joined = try read(lines, path: "a.jsonl")
    #expect(joined.documents.map(\.text) == ["one\ntwo\n\ndrei é"])
    let documents = try read(lines, path: "a.jsonl", .lmEval).documents
    #expect(documents.map(\.text) == ["one\ntwo", "drei é"])
    #expect(documents.map(\.wordCount) == [2, 2])
    #expect(documents.map(\.byteCount) == [7, 7])
    let part = try read(lines, path: "a.jsonl", .paper, .init(characterLimit: lines.count - 5))
    #expect(part.documents.map(\.text) == ["one\ntwo"])
    #expect(try read("", path: "a.jsonl", .lmEval).documents.isEmpty)
  }

  @Test(
    "a malformed line is refused with its number",
    arguments: [
      "{", "[1]", "{\"text\":3}", "{\"txt\":\"a\"}", "{\"text\":\"a\"} x", "\u{FEFF}{}",
    ])
  func malformedLine(line: String) throws {
    let error = #expect(throws: PerplexityError.self) {
      try read("{\"text\":\"a\"}\n" + line, path: "a.jsonl")
    }
    guard case .malformedLine(path: "a.jsonl", line: 2, _) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(error?.category == .refusedData)
    #expect(error?.description.contains("\n") == false)
  }

  // MARK: - Bytes

  @Test("text that is not UTF-8 is refused with its place, or repaired")
  func invalidUTF8() throws {
    let bytes = Array("aé".utf8) + [0xC3, 0x28, 0xFF]
    #expect(throws: PerplexityError.invalidUTF8(path: "x", byteOffset: 3)) {
      try EvaluationText(bytes, path: "x", protocol: .paper)
    }
    let repaired = try EvaluationText(
      bytes, path: "x", protocol: .paper, options: .init(isLossy: true))
    expectSame(repaired.documents[0].text, "aé\u{FFFD}(\u{FFFD}")
  }

  @Test("a byte order mark, carriage returns and zeros stay")
  func byteOrderMarkCarriageReturnsAndZerosStay() throws {
    let text = "\u{FEFF}a\r\nb\0c\r"
    expectSame(try read(text).documents[0].text, text)
    let stripped = try read(text, .paper, .init(stripsByteOrderMark: true))
    expectSame(stripped.documents[0].text, "a\r\nb\0c\r")
    expectSame(
      try read("a\u{FEFF}", .paper, .init(stripsByteOrderMark: true)).documents[0].text, "a\u{FEFF}"
    )
  }

  @Test("a limit of characters counts Unicode scalars")
  func characterLimitCountsScalars() throws {
    // Four scalars, two of them in one grapheme, and a line break of two scalars.
    let text = "e\u{301}\r\nx"
    for (limit, expected) in [(0, ""), (1, "e"), (2, "e\u{301}"), (3, "e\u{301}\r")] {
      let part = try read(text, .paper, .init(characterLimit: limit))
      expectSame(part.documents[0].text, expected)
      #expect(part.isPartial)
    }
    for limit in [5, 6] {
      let whole = try read(text, .paper, .init(characterLimit: limit))
      expectSame(whole.documents[0].text, text)
      #expect(!whole.isPartial)
    }
  }
}
