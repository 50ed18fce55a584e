import DuetCompressor
import DuetEvaluation
import DuetSystem
import DuetText
import TestSupport
import Testing

@Suite("CalibrationSamples")
struct CalibrationSamplesTests {
  private func samples(
    _ tokens: [Int], count: Int, length: Int, seed: UInt64 = 0
  ) throws -> CalibrationSamples {
    try CalibrationSamples(
      tokens: tokens, sources: [], sampleCount: count, contextLength: length, seed: seed)
  }

  @Test("samples are whole windows of the text, in order, none twice", arguments: 0..<20)
  func windows(seed: Int) throws {
    let tokens = (0..<1007).map { 3 * $0 }
    let samples = try samples(tokens, count: 40, length: 10, seed: UInt64(seed))
    #expect(samples.windows.count == 40)
    #expect(zip(samples.windows, samples.windows.dropFirst()).allSatisfy { $0 < $1 })
    #expect(samples.windows.allSatisfy { (0..<100).contains($0) })
    for (sample, window) in samples.windows.enumerated() {
      #expect(Array(samples.tokens(of: sample)) == Array(tokens[window * 10..<window * 10 + 10]))
    }
    #expect(samples.availableTokenCount == 1007)
  }

  @Test("the same seed draws the same samples, another seed others")
  func seeds() throws {
    let tokens = Array(0..<5000)
    let first = try samples(tokens, count: 7, length: 20, seed: 1)
    #expect(try samples(tokens, count: 7, length: 20, seed: 1) == first)
    let other = try samples(tokens, count: 7, length: 20, seed: 2)
    #expect(other.windows != first.windows)
    #expect(other.digest != first.digest)
  }

  @Test("every window is drawn equally often")
  func evenDraw() throws {
    var counts = [Int](repeating: 0, count: 10)
    let tokens = Array(0..<10)
    for seed in 0..<2000 {
      for window in try samples(tokens, count: 3, length: 1, seed: UInt64(seed)).windows {
        counts[window] += 1
      }
    }
    // 2000 draws of 3 of 10: 600 each with a deviation of sqrt(2000 * 0.3 * 0.7) = 20.5; five of them.
    for count in counts { #expect(abs(count - 600) < 103) }
  }

  @Test("all windows are taken when they just suffice, and one token fewer is refused")
  func tooShort() throws {
    let all = try samples(Array(0..<60), count: 4, length: 15)
    #expect(all.windows == [0, 1, 2, 3])
    #expect(throws: CompressionDataError.calibrationTooShort(tokenCount: 59, needed: 60)) {
      try samples(Array(0..<59), count: 4, length: 15)
    }
    #expect(throws: CompressionDataError.calibrationTooShort(tokenCount: 5, needed: Int.max)) {
      try samples(Array(0..<5), count: Int.max, length: 2)
    }
  }

  @Test("the digest is that of the ids as four bytes each")
  func digest() throws {
    let samples = try samples([1, 258, 65536, 7], count: 2, length: 2)
    let bytes: [UInt8] = [1, 0, 0, 0, 2, 1, 0, 0, 0, 0, 1, 0, 7, 0, 0, 0]
    #expect(samples.digest == SHA256.hexadecimalDigest(of: bytes))
  }

  @Test("documents are tokenized one by one, each with its beginning token")
  func documents() throws {
    let tokenizer = try TokenizerFixture.tokenizer(TokenizerFixture.sentencePiece())
    let text = CalibrationText(path: "a", digest: "d", documents: ["ab abc", "", "abc"])
    let expected = tokenizer.encode("ab abc") + tokenizer.encode("abc")
    #expect(expected.filter { $0 == tokenizer.beginningOfSequence }.count == 2)
    let samples = try CalibrationSamples(
      [text], tokenizer: tokenizer, sampleCount: 1, contextLength: expected.count, seed: 5)
    #expect(Array(samples.tokens(of: 0)) == expected)
    #expect(samples.sources == [.init(path: "a", digest: "d")])
  }

  @Test("lines of a jsonl file are documents, other files are one")
  func texts() throws {
    let lines = Array(#"{"text": "one"}"#.utf8) + [10] + Array(#"{"text": "two\nlines"}"#.utf8)
    let text = try CalibrationText(lines, path: "x.jsonl")
    #expect(text.documents == ["one", "two\nlines"])
    #expect(text.digest == SHA256.hexadecimalDigest(of: lines))
    #expect(try CalibrationText(lines, path: "x.txt", format: .jsonl).documents.count == 2)
    #expect(try CalibrationText(lines, path: "x.txt").documents.count == 1)
    let page = Array(" \n = Title = \n \n some text \n".utf8)
    let wiki = try CalibrationText(page, path: "wiki.raw")
    #expect(wiki.documents.count == 1)
    #expect(wiki.documents != [String(decoding: page, as: UTF8.self)])
    #expect(throws: PerplexityError.invalidUTF8(path: "y", byteOffset: 1)) {
      try CalibrationText([65, 0xFF], path: "y")
    }
  }
}
