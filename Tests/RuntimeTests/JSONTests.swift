import DuetRuntime
import DuetSystem
import DuetText
import TestSupport
import Testing

@Suite("JSON")
struct JSONTests {
  private func parse(_ text: String) throws(JSONError) -> JSONValue {
    try parse(bytes: Array(text.utf8))
  }

  private func parse(bytes: [UInt8]) throws(JSONError) -> JSONValue {
    try JSONDocument(parsing: bytes, path: "a.json", limits: JSONLimits(byteCount: 10_000_000)).root
  }

  private func problem(_ text: String) -> JSONProblem? {
    do throws(JSONError) {
      _ = try parse(text)
      return nil
    } catch {
      guard case .malformed(_, _, let problem) = error else { return nil }
      return problem
    }
  }

  // MARK: - Values

  @Test("every kind of value is read")
  func readsEveryKind() throws {
    let root = try parse(
      #" { "a" : [1, -2.5e1, true, false, null, "x"], "b": {}, "c": [], "": {"d": [[]]} } "#)
    #expect(root.kind == .object)
    #expect(root.members?.map(\.name) == ["a", "b", "c", ""])
    let list = try #require(root["a"]?.elements)
    #expect(list.map(\.kind) == [.number, .number, .boolean, .boolean, .null, .string])
    #expect(list.map(\.double) == [1, -25, nil, nil, nil, nil])
    #expect(list.map(\.bool) == [nil, nil, true, false, nil, nil])
    #expect(list.map(\.string) == [nil, nil, nil, nil, nil, "x"])
    #expect(list.map(\.isNull) == [false, false, false, false, true, false])
    #expect(root["b"]?.members?.isEmpty == true)
    #expect(root["c"]?.elements?.isEmpty == true)
    #expect(root[""]?["d"]?.elements?.first?.elements?.isEmpty == true)
    #expect(root["e"] == nil)
    #expect(root["a"]?["x"] == nil)
    #expect(root.elements == nil)
    #expect(root["a"]?.members == nil)
    #expect(root["b"]?.byteOffset == 51)
  }

  @Test("a text may be a single value")
  func readsScalarsAtTheTop() throws {
    #expect(try parse("7").int == 7)
    #expect(try parse(" null\n").isNull)
    #expect(try parse("\"\"").string == "")
  }

  @Test(
    "numbers are read as far as a type holds them",
    arguments: [
      ("0", 0, 0, 0.0), ("-0", 0, nil, 0), ("12", 12, 12, 12), ("-7", -7, nil, -7),
      ("1.0", nil, nil, 1), ("1e2", nil, nil, 100), ("2E-1", nil, nil, 0.2),
      ("9223372036854775807", .max, 9_223_372_036_854_775_807, 9.223372036854775807e18),
      ("9223372036854775808", nil, 9_223_372_036_854_775_808, 9.223372036854775808e18),
      ("-9223372036854775808", .min, nil, -9.223372036854775808e18),
      ("-9223372036854775809", nil, nil, -9.223372036854775809e18),
      ("18446744073709551615", nil, .max, 1.8446744073709551615e19),
      ("18446744073709551616", nil, nil, 1.8446744073709551616e19),
      ("1e999", nil, nil, nil), ("-1e999", nil, nil, nil),
    ] as [(String, Int?, UInt64?, Double?)])
  func readsNumbers(text: String, int: Int?, uint64: UInt64?, double: Double?) throws {
    // At the end of the text and before another byte, because numbers have no closing mark.
    for value in [try parse(text), try #require(parse("[\(text)]").elements?.first)] {
      #expect(value.kind == .number)
      #expect(value.int == int)
      #expect(value.uint64 == uint64)
      #expect(value.double == double)
    }
  }

  @Test("escapes are decoded")
  func decodesEscapes() throws {
    let value = try parse(#""\"\\\/\b\f\n\r\t\u0041\u00e9\u20AC\ud83d\uDE00é€😀\u0000""#)
    let expected = "\"\\/\u{8}\u{c}\n\r\tA\u{e9}\u{20ac}\u{1f600}\u{e9}\u{20ac}\u{1f600}\u{0}"
    #expect(value.string == expected)
    #expect(value.utf8 == Array(expected.utf8))
    #expect(value.isString(expected))
    #expect(!value.isString(String(expected.dropLast())))
    #expect(!value.isString(expected + "x"))
    var bytes: [UInt8] = [1]
    #expect(value.appendUTF8(to: &bytes))
    #expect(bytes == [1] + Array(expected.utf8))
    #expect(try parse("1").appendUTF8(to: &bytes) == false)
  }

  @Test("keys that Unicode calls equal stay apart")
  func keepsCanonicallyEqualKeysDistinct() throws {
    // U+03AC and U+1F71 are canonically equal, as are "é" and "e" + U+0301.
    let root = try parse("{\"\u{3ac}\": 1, \"\u{1f71}\": 2, \"\u{e9}\": 3, \"e\u{301}\": 4}")
    #expect(root.members?.map(\.value.int) == [1, 2, 3, 4])
    #expect(root["\u{3ac}"]?.int == 1)
    #expect(root["\u{1f71}"]?.int == 2)
    #expect(root["\u{e9}"]?.int == 3)
    #expect(root["e\u{301}"]?.int == 4)
  }

  // MARK: - Refusals

  @Test(
    "malformed text is refused with its problem",
    arguments: [
      ("", .endOfText), ("  ", .endOfText), ("[", .endOfText), ("[1", .endOfText),
      ("[1,", .endOfText), ("{\"a\"", .endOfText), ("{\"a\":", .endOfText), ("\"a", .endOfText),
      ("\"\\", .endOfText), ("\"\\u12", .endOfText), ("tru", .endOfText), ("{", .endOfText),
      ("[1,]", .unexpectedByte(0x5D)), ("{\"a\":1,}", .unexpectedByte(0x7D)),
      ("[,1]", .unexpectedByte(0x2C)), ("[1 2]", .unexpectedByte(0x32)),
      ("{1:2}", .unexpectedByte(0x31)), ("{\"a\" 1}", .unexpectedByte(0x31)),
      ("{a:1}", .unexpectedByte(0x61)), ("['a']", .unexpectedByte(0x27)),
      ("[1}", .unexpectedByte(0x7D)), ("{\"a\":1]", .unexpectedByte(0x5D)),
      ("NaN", .unexpectedByte(0x4E)), ("Infinity", .unexpectedByte(0x49)),
      ("nul1", .unexpectedByte(0x31)), ("+1", .unexpectedByte(0x2B)),
      (".5", .unexpectedByte(0x2E)), ("\u{feff}1", .unexpectedByte(0xEF)),
      ("// x\n1", .unexpectedByte(0x2F)), ("\u{0}", .unexpectedByte(0)),
      ("-Infinity", .number), ("-", .number), ("01", .number), ("-01", .number), ("1.", .number),
      ("1.e2", .number), ("1e", .number), ("1e+", .number), ("00", .number),
      ("1 2", .trailingText), ("{} x", .trailingText), ("1,", .trailingText),
      ("1\u{0}", .trailingText), ("0x10", .trailingText),
      ("\"\\x\"", .escape), ("\"\\u12g4\"", .escape), ("\"\\U0041\"", .escape),
      ("\"\\ud800\"", .loneSurrogate), ("\"\\udc00\"", .loneSurrogate),
      ("\"\\ud800x\"", .loneSurrogate), ("\"\\ud800\\n\"", .loneSurrogate),
      ("\"\\ud800\\u0041\"", .loneSurrogate), ("\"\\ud800\\ud800\"", .loneSurrogate),
      ("\"a\nb\"", .controlCharacter), ("\"\u{0}\"", .controlCharacter),
      ("{\"\t\":1}", .controlCharacter), ("\"\u{1f}\"", .controlCharacter),
    ] as [(String, JSONProblem)])
  func refuses(text: String, expected: JSONProblem) {
    #expect(problem(text) == expected)
  }

  @Test(
    "strings that are not UTF-8 are refused",
    arguments: [
      [0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xC3], [0x80],
      [0xE0, 0x80, 0x80],
    ] as [[UInt8]])
  func refusesInvalidUTF8(sequence: [UInt8]) {
    let error = JSONError.malformed(path: "a.json", offset: 1, problem: .notUTF8)
    #expect(throws: error) { try parse(bytes: [0x22] + sequence + [0x22]) }
  }

  @Test("the message names the byte")
  func reportsTheByte() {
    #expect(
      throws: JSONError.malformed(path: "a.json", offset: 6, problem: .unexpectedByte(0x5D))
    ) { try parse("{\"a\": ]}") }
    let error = JSONError.malformed(path: "a.json", offset: 6, problem: .unexpectedByte(0x5D))
    #expect(error.description == "a.json: not valid JSON at byte 6: unexpected \"]\"")
    #expect(error.category == .refusedData)
  }

  @Test("size and depth are limited")
  func capsSizeAndDepth() throws {
    let limits = JSONLimits(byteCount: 8, depth: 2)
    _ = try JSONDocument(parsing: Array("[[1,2 ]]".utf8), path: "p", limits: limits)
    #expect(throws: JSONError.tooLarge(path: "p", byteCount: 9, limit: 8)) {
      try JSONDocument(parsing: Array("[[1,2 ]] ".utf8), path: "p", limits: limits)
    }
    #expect(throws: JSONError.tooDeep(path: "p", offset: 2, limit: 2)) {
      try JSONDocument(parsing: Array("[[[]]]".utf8), path: "p", limits: limits)
    }
    let nested = String(repeating: "[", count: 64) + String(repeating: "]", count: 64)
    #expect(try parse(nested).kind == .array)
    #expect(throws: JSONError.tooDeep(path: "a.json", offset: 64, limit: 64)) {
      try parse("[" + nested + "]")
    }
    #expect(throws: JSONError.tooDeep(path: "a.json", offset: 64, limit: 64)) {
      try parse(String(repeating: "[", count: 1_000_000))
    }
    #expect(throws: JSONError.tooDeep(path: "a.json", offset: 64 * 5, limit: 64)) {
      try parse(String(repeating: "{\"a\":", count: 1_000_000))
    }
  }

  @Test("duplicate keys are refused")
  func refusesDuplicateKeys() {
    #expect(throws: JSONError.duplicateKey(path: "a.json", offset: 8, key: "a")) {
      try parse("{\"a\":1, \"a\":2}")
    }
    // Equal after decoding; nested values between; inside an inner object only.
    #expect(throws: JSONError.duplicateKey(path: "a.json", offset: 25, key: "a")) {
      try parse("{\"a\":{\"a\":[1,{\"b\":[]}]} ,\"\\u0061\":2}")
    }
    #expect(throws: JSONError.duplicateKey(path: "a.json", offset: 12, key: "")) {
      try parse("[{\"x\":{\"\":1,\"\":2}}]")
    }
  }

  /// Objects of more than eight members take the hashed way: a duplicate is found wherever it is.
  @Test("duplicate keys are found among many", arguments: [9, 10, 1000])
  func findsDuplicatesAmongMany(count: Int) throws {
    let members = (0..<count).map { "\"k\($0)\":[\($0)]" }
    let root = try parse("{" + members.joined(separator: ",") + "}")
    #expect(root.members?.count == count)
    #expect(root["k\(count - 1)"]?.elements?.first?.int == count - 1)
    for duplicated in [0, count / 2, count - 1] {
      let text = "{" + members.joined(separator: ",") + ",\"\\u006b\(duplicated)\":0}"
      #expect(throws: JSONError.self) { try parse(text) }
    }
  }

  @Test("files are read up to a limit, and a missing one is named")
  func readsFiles() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write("a.json", "[1, 2]")
    #expect(try JSONDocument(contentsOf: path, limits: .smallFile).root.elements?.count == 2)
    let limits = JSONLimits(byteCount: 5)
    let tooLarge = JSONError.file(.tooLarge(path: path, byteCount: 6, limit: 5))
    #expect(throws: tooLarge) { try JSONDocument(contentsOf: path, limits: limits) }
    #expect(tooLarge.category == .refusedData)
    let missing = JSONError.file(.notFound(path: path + "x"))
    #expect(throws: missing) { try JSONDocument(contentsOf: path + "x", limits: limits) }
    #expect(missing.category == .inputOutput)
    #expect(missing.description == "\(path)x: no such file")
  }

  // MARK: - Mutations

  /// Reads every value of a document through every accessor.
  private func visit(_ value: JSONValue) -> Int {
    var count = value.int ?? 0 == 1 ? 1 : 0
    count &+= value.uint64.map { Int($0 & 1) } ?? 0
    count &+= value.double.map { $0 > 0 ? 1 : 0 } ?? 0
    count &+= value.string?.utf8.count ?? 0
    count &+= value.utf8?.count ?? 0
    for element in value.elements.map(Array.init) ?? [] { count &+= visit(element) }
    for member in value.members.map(Array.init) ?? [] {
      count &+= member.key.count &+ visit(member.value)
    }
    return count
  }

  /// No text traps, and what is accepted can be read.
  @Test("mutated texts do no harm", arguments: 0..<20)
  func survivesMutations(seed: Int) {
    var generator = RandomGenerator(seed: UInt64(seed))
    let original = Array(
      #"{"a":[1,-2.5e1,true,false,null,"x\u00e9\ud83d\ude00\n"],"b":{"c":{}},"é":[[],[0]]}"#.utf8)
    for _ in 0..<500 {
      let bytes = mutated(original, using: &generator)
      if let root = try? parse(bytes: bytes) { _ = visit(root) }
    }
  }
}
