import DuetRuntime
import DuetText
import Foundation
import TestSupport
import Testing

@Suite("Regular expressions")
struct RegularExpressionTests {
  private func matches(_ expression: RegularExpression, _ text: String) -> [String] {
    let bytes = Array(text.utf8)
    var result: [String] = []
    expression.forEachMatch(in: bytes, bytes.indices) {
      result.append(String(decoding: bytes[$0], as: UTF8.self))
    }
    return result
  }

  private func refusal(of pattern: String) -> RegularExpressionError? {
    do {
      _ = try RegularExpression(pattern)
      return nil
    } catch {
      return error
    }
  }

  @Test("scanners find the words of the engine", arguments: WordPattern.allCases)
  func scannersAgreeWithTheEngine(pattern: WordPattern) throws {
    let expression = try RegularExpression(pattern.regularExpression)
    var generator = RandomGenerator(seed: 7)
    for length in 0..<400 {
      var text = ""
      for _ in 0..<length {
        text += PreTokenizerTests.alphabet.randomElement(using: &generator) ?? ""
      }
      let bytes = Array(text.utf8)
      var position = 0
      expression.forEachMatch(in: bytes, bytes.indices) { match in
        #expect(match.lowerBound == position)
        #expect(match.upperBound == pattern.endOfWord(in: bytes, from: position, to: bytes.count))
        position = match.upperBound
      }
      #expect(position == bytes.count)
    }
  }

  @Test("only the given part of a text is read")
  func readsItsPartOnly() throws {
    let bytes = Array("xéab éab".utf8)
    for (pattern, expected) in [
      (#"\Aa"#, [3..<4]), (#"b\z"#, [4..<5]), (#"(?<=é)a"#, []), (#"b(?! )"#, [4..<5]),
      (#"$"#, [5..<5]), (#"\b"#, [3..<3, 5..<5]),
    ] as [(String, [Range<Int>])] {
      var found: [Range<Int>] = []
      try RegularExpression(pattern).forEachMatch(in: bytes, 3..<5) { found.append($0) }
      #expect(found == expected, "\(pattern)")
    }
  }

  @Test(
    "what is beyond the engine is refused by name",
    arguments: [
      (#"(a)\1"#, #"a back reference \1"#), (#"(?<n>a)\k<n>"#, #"a back reference \k"#),
      (#"(?<n>a\g<n>?)"#, #"a call of a group \g"#), ("(?(1)a|b)", "a conditional"),
      ("(?>a|ab)c", "an atomic group"), ("(?:ab)++", "a possessive quantifier"),
      ("(?<=ab)c", "a look-behind"), (#"\Ka"#, #"\K"#), (#"\X"#, #"\X"#), (#"\Ga"#, #"\G"#),
      ("(?~a)", "an absent operator"), ("(?x)a", "the group (?x...)"),
      (#"\p{Klingon}"#, #"the property \p{Klingon}"#), ("(?i:ss)", "in any case"),
      ("(?i:ß)", "in any case"), ("(?i:[a-zß])", "in any case"), ("a{1,100000}", "8192 states"),
      ("(?:a{100}){100}", "8192 states"),
      ("(?:(?:){9999}){9999}", "a counted repetition of what can be empty"),
      (String(repeating: "(?:", count: 40) + "a" + String(repeating: ")*", count: 40), "8192"),
      ("a{2,1}", "whose first number is the larger"), ("a******", "quantifiers in a row"),
      (String(repeating: "(", count: 65), "nested more than 64 deep"),
      (String(repeating: "[", count: 65), "nested more than 64 deep"),
      (String(repeating: "(", count: 1_000_000), "nested more than 64 deep"),
    ])
  func refusesByName(pattern: String, construct: String) {
    guard case .unsupported(let named) = refusal(of: pattern) else {
      Issue.record("\(pattern) is not refused")
      return
    }
    #expect(named.contains(construct))
  }

  @Test(
    "what breaks the grammar is refused",
    arguments: [
      "(a", "a)", "[a", "[]", "[z-a]", #"[a-\d]"#, "*a", "a|*", "{1}", #"\"#, "(?", "(?<", "(?#a",
      #"\p{L"#, #"\x{110000}"#, #"\x{D800}"#, #"\u12"#, #"\x"#, "[[:foo:]]", "a{1,100001}",
    ])
  func refusesMalformedExpressions(pattern: String) {
    guard case .malformed = refusal(of: pattern) else {
      Issue.record("\(pattern) is not refused")
      return
    }
  }

  @Test("the deepest expressions leave room on a small stack")
  func needsLittleStack() throws {
    let deep = String(repeating: "(?:(?:", count: 32) + "a" + String(repeating: ")?b)*", count: 32)
    let classes = String(repeating: "[", count: 64) + "a" + String(repeating: "]", count: 64)
    nonisolated(unsafe) var count = 0
    let thread = Thread {
      for pattern in [deep, classes] where (try? RegularExpression(pattern)) != nil {
        unsafe count += 1
      }
    }
    // The threads of libdispatch have as much.
    thread.stackSize = 512 * 1024
    thread.start()
    while !thread.isFinished { Thread.sleep(forTimeInterval: 0.01) }
    #expect(unsafe count == 2)
  }

  /// Expressions for which engines that go back and try again take quadratic or exponential time.
  private static let hostile = [
    "(?:a|a)*b", "a+b|a", "(?:(?:a+)+)+b|a", "(?:a*)*b", "(?=a*b)a|(?!a*c)a", #"\s+(?!\S)|\w"#,
    "a{1,20}b|a",
  ]

  @Test("time is proportional to the text", arguments: hostile)
  func isLinear(pattern: String) throws {
    let expression = try RegularExpression(pattern)
    /// The least processor time of a few, in seconds, for a run of "a".
    func seconds(_ length: Int) -> Double {
      let text = [UInt8](repeating: UInt8(ascii: "a"), count: length)
      return (0..<3).map { _ in
        let begun = threadSeconds()
        expression.forEachMatch(in: text, text.indices) { _ in }
        return threadSeconds() - begun
      }.min() ?? 0
    }
    _ = seconds(1000)
    // Four times the text takes 4 times as long; 16 times if it were quadratic.
    #expect(seconds(100_000) < 10 * seconds(25_000))
  }

  @Test("look-behind at too many characters is refused soon")
  func refusesManyContexts() {
    let pattern = (0..<3000).compactMap(Unicode.Scalar.init).filter { $0.value > 0x7F }
      .map { "(?<=\($0))" }.joined()
    #expect(refusal(of: pattern)?.problem.contains("look-behind") == true)
  }

  @Test("matches cross the borders of blocks", arguments: [1, 8191, 8192, 8193, 40_000])
  func crossesBlocks(length: Int) throws {
    let text = String(repeating: "é", count: length) + "x" + String(repeating: "a b", count: length)
    let whole = NSRange(location: 0, length: text.utf16.count)
    for pattern in [#"\p{L}+|\s"#, "é+xa|(?=.{3}$).", "é*?x.*b", "(?!é)[^b]+"] {
      let expected = try NSRegularExpression(pattern: pattern).matches(in: text, range: whole)
      let found = try matches(RegularExpression(pattern), text)
      #expect(found.map(\.utf16.count) == expected.map(\.range.length), "\(pattern)")
    }
  }

  @Test("tables that are full are made again")
  func forgetsTables() throws {
    // 2^14 sets of viable states: more than are kept at a time.
    let expression = try RegularExpression("b[ab]{13}c|a|b|c")
    var generator = RandomGenerator(seed: 3)
    let letters = (0..<120_000).map { _ in Int.random(in: 0..<9, using: &generator) }
    let text = letters.map { $0 < 4 ? "a" : $0 < 8 ? "b" : "c" }.joined()
    let expected = try NSRegularExpression(pattern: "b[ab]{13}c|a|b|c").numberOfMatches(
      in: text, range: NSRange(location: 0, length: letters.count))
    #expect(matches(expression, text).count == expected)
  }

  @Test("no expression and no text traps", arguments: 0..<20 as Range<UInt64>)
  func neverTraps(seed: UInt64) throws {
    let parts = [
      "a", "b", "é", ".", "^", "$", "|", "(", ")", "(?:", "(?=", "(?!", "(?<=", "(?i:", "(?i)",
      "(?>", "[", "]", "[^", "&&", "-", "*", "+", "?", "{2}", "{1,3}", "{,2}", "{", "}", ",", "1",
      #"\"#,
      #"\p{L}"#, #"\P{Lu}"#, #"\s"#, #"\w"#, #"\b"#, #"\R"#, #"\x{41}"#, #"\u0041"#, "[:alpha:]",
      " ", "\0",
    ]
    var generator = RandomGenerator(seed: seed)
    var compiled = 0
    for _ in 0..<60 {
      var pattern = ""
      for _ in 0..<Int.random(in: 1...12, using: &generator) {
        pattern += parts.randomElement(using: &generator) ?? ""
      }
      guard let expression = try? RegularExpression(pattern) else { continue }
      compiled += 1
      for text in ["", "a", "abé A1 \n\r\n\0b", "aaaaaaaab"] {
        var last = 0
        let bytes = Array(text.utf8)
        expression.forEachMatch(in: bytes, bytes.indices) { match in
          #expect(match.lowerBound >= last && match.upperBound <= bytes.count)
          last = match.upperBound
        }
      }
    }
    #expect(compiled > 0)
  }
}
