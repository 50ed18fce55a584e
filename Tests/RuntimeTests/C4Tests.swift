import DuetEvaluation
import DuetSystem
import DuetText
import Foundation
import TestSupport
import Testing

/// Random numbers and windows against Python's `random`, from Scripts/golden/c4.py.
@Suite("Windows of C4")
struct C4Tests {
  private struct Golden: Decodable {
    struct Numbers: Decodable {
      let seed: String
      let first: [UInt32]
      let sha256: String
      let bounded: [Int]
    }
    struct Sample: Decodable {
      let context: Int
      let windowCount: Int
      let seed: String
      let windows: [[Int]]
      let exact: Int
      let sha256: String
    }
    struct Joined: Decodable {
      let context: Int
      let count: Int
      let sha256: String
    }
    let numbers: [Numbers]
    let texts: [String]
    let longest: Int
    let samples: [Sample]
    let joined: [Joined]
  }

  private let golden: Golden
  private let tokenizer: Tokenizer

  init() throws {
    let path = SharedData.project("Tests/Golden/c4.json")
    golden = try JSONDecoder().decode(
      Golden.self, from: Data(contentsOf: URL(fileURLWithPath: path)))
    tokenizer = try Tokenizer(contentsOf: SharedData.project("models/stories"))
  }

  private func file(_ texts: [String]) throws -> C4File {
    let lines = texts.map { JSONOutput.object([.init("text", .string($0))]).text + "\n" }
    return try C4File(Array(lines.joined().utf8), path: "c4.json")
  }

  private func tokens(
    _ texts: [String], joined: Bool = false, context: Int, windows: Int = 256,
    bos: BeginningRule = .auto, seed: UInt64 = 0, tokenizer: Tokenizer? = nil
  ) throws -> C4Tokens {
    try C4Tokens(
      file(texts), isJoined: joined, contextLength: context, windowCount: windows, beginning: bos,
      seed: seed, tokenizer: tokenizer ?? self.tokenizer)
  }

  private func digest(_ numbers: [some CustomStringConvertible], _ separator: String) -> String {
    SHA256.hexadecimalDigest(
      of: Array(numbers.map(\.description).joined(separator: separator).utf8))
  }

  @Test("random numbers are those of Python for the same seed")
  func randomNumbers() throws {
    #expect(golden.numbers.count == 5)
    for expected in golden.numbers {
      var generator = MersenneTwister(seed: try #require(UInt64(expected.seed)))
      let words = (0..<1300).map { _ in generator.next() }
      #expect(Array(words.prefix(6)) == expected.first, "seed \(expected.seed)")
      #expect(digest(words, ",") == expected.sha256, "seed \(expected.seed)")
      let limits = [1, 1, 2, 3, 4, 1000, 45576, 1 << 31, Int(UInt32.max)]
      let bounded = limits.flatMap { limit in
        (0..<5).map { _ in generator.next(below: limit) }
      }
      #expect(bounded == expected.bounded, "seed \(expected.seed)")
    }
    // The published sequence of random.seed(0).
    var generator = MersenneTwister(seed: 0)
    #expect(
      (0..<4).map { _ in generator.next() } == [
        3_626_764_237, 1_654_615_998, 3_255_389_356, 3_823_568_514,
      ])
    var indices = MersenneTwister(seed: 0)
    #expect(
      (0..<8).map { _ in indices.next(below: 45_576) } == [
        25247, 27562, 2653, 16968, 33506, 31845, 26537, 19877,
      ])
  }

  @Test("windows are those that Python draws")
  func drawnWindows() throws {
    let encoded = golden.texts.map { tokenizer.encode($0) }
    #expect(encoded.map(\.count).max() == golden.longest)
    for expected in golden.samples {
      let sample = try tokens(
        golden.texts, context: expected.context, windows: expected.windowCount,
        seed: #require(UInt64(expected.seed)))
      let windows = expected.windows.map { window in
        Array(encoded[window[0]][window[1]..<window[1] + expected.context])
      }
      #expect(sample.tokens == windows.flatMap(\.self))
      #expect(digest(sample.tokens, " ") == expected.sha256)
      #expect(sample.documentCount == Set(expected.windows.map { $0[0] }).count)
      #expect(sample.exactLengthCount == expected.exact)
    }
  }

  @Test("fewer windows are the first of more")
  func fewerWindows() throws {
    let all = try tokens(golden.texts, context: 16)
    #expect(all.tokens.count == 256 * 16)
    let some = try tokens(golden.texts, context: 16, windows: 9)
    #expect(some.tokens == Array(all.tokens.prefix(9 * 16)))
  }

  @Test("joined texts are the first 1100, cut after 256 windows")
  func joinedTexts() throws {
    let texts = (0..<1150).map { "Document \($0) is short." }
    for expected in golden.joined {
      let sample = try tokens(texts, joined: true, context: expected.context)
      #expect(sample.tokens.count == expected.count)
      #expect(digest(sample.tokens, " ") == expected.sha256)
      #expect(sample.documentCount == 1100)
    }
  }

  @Test("more windows than can be counted are as many as there are")
  func windowsBeyondAnyText() throws {
    let sample = try tokens(["a dog", "a cat"], joined: true, context: 2, windows: .max)
    #expect(sample.tokens == tokenizer.encode("a dog a cat"))
  }

  @Test("every text begins as the tokenizer or the rule says")
  func beginnings() throws {
    let llama = try TokenizerFixture.tokenizer(TokenizerFixture.sentencePiece())
    func first(_ rule: BeginningRule) throws -> [Int] {
      let sample = try tokens(["abc"], context: 1, windows: 40, bos: rule, tokenizer: llama)
      return Set(sample.tokens).sorted()
    }
    // BOS, "▁", "abc": the last is never drawn, as positions end at n - C - 1, here 1.
    #expect(llama.encode("abc") == [1, 259, 264])
    #expect(try first(.auto) == [1, 259])
    #expect(try first(.first) == [1, 259])
    #expect(try first(.never) == [259])
    var object = TokenizerFixture.sentencePiece()
    object["post_processor"] = NSNull()
    let bare = try TokenizerFixture.tokenizer(object)
    let none = try tokens(["abc"], context: 1, windows: 40, tokenizer: bare)
    #expect(Set(none.tokens) == [259])
    let joined = try tokens(["a", "b"], joined: true, context: 2, tokenizer: llama)
    #expect(joined.tokens == llama.encode("a b"))
  }

  @Test("a file without a document longer than the window is refused")
  func noLongDocument() throws {
    for (texts, count, longest) in [
      (golden.texts, 60, golden.longest), (["", "dog"], 2, tokenizer.encode("dog").count),
      ([], 0, 0),
    ] {
      let error = #expect(throws: PerplexityError.self) {
        try tokens(texts, context: golden.longest)
      }
      #expect(
        error
          == .noLongDocument(
            path: "c4.json", documentCount: count, longest: longest,
            contextLength: golden.longest))
    }
    #expect(try tokens(golden.texts, context: golden.longest - 1, windows: 1).documentCount == 1)
  }

  @Test("malformed files are refused")
  func malformedFiles() {
    let error = #expect(throws: PerplexityError.self) {
      try C4File(Array("{\"text\":\"a\"}\n{\"text\":1}\n".utf8), path: "a.json")
    }
    #expect(
      error == .malformedLine(path: "a.json", line: 2, problem: "no string \"text\""))
  }

  @Test("a plan of C4 has windows of C tokens and no further BOS")
  func plan() throws {
    let plan = try WindowPlan(
      documents: [Array(10..<22)], protocol: .paperC4, contextLength: 4, beginningToken: 1,
      addsBeginning: true, path: "c4.json")
    let windows = (0..<plan.windowCount).map { plan[$0] }
    #expect(windows.map(\.inputs) == [[10, 11, 12], [14, 15, 16], [18, 19, 20]])
    #expect(windows.map(\.targets) == [[11, 12, 13], [15, 16, 17], [19, 20, 21]])
    #expect(plan.beginning == .first)
    for name in [PerplexityProtocol.paperC4, .c4New] {
      #expect(
        throws: PerplexityError.ruleNotInProtocol(option: "--bos", value: "every", protocol: name)
      ) {
        try WindowPlan(
          documents: [[1, 2, 3]], protocol: name, contextLength: 2, beginning: .every,
          beginningToken: 1, addsBeginning: true, path: "c4.json")
      }
      #expect(
        throws: PerplexityError.ruleNotInProtocol(option: "--tail", value: "score", protocol: name)
      ) {
        try WindowPlan(
          documents: [[1, 2, 3]], protocol: name, contextLength: 2, tail: .score,
          beginningToken: 1, addsBeginning: true, path: "c4.json")
      }
    }
  }
}
