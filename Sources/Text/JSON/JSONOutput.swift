internal import DuetSystem

/// A JSON document to be printed or written.
///
/// Literals work: `["text": "a", "tokens": 3, "seconds": .number(0.5)]`. The members of an object
/// keep the order in which they were given.
public indirect enum JSONOutput: Sendable, Equatable {
  /// The value `null`.
  case null
  /// The value `true` or `false`.
  case boolean(Bool)
  /// An integer.
  case integer(Int)
  /// An integer that may exceed `Int`, such as a seed.
  case unsigned(UInt64)
  /// A number, printed in the fewest digits that read back as the same Double.
  ///
  /// JSON has no infinities and no not-a-number: those are printed as `null`.
  case number(Double)
  /// A text.
  case string(String)
  /// An array.
  case array([JSONOutput])
  /// An object; the caller makes sure that no name occurs twice.
  case object([Member])

  /// A name and its value.
  public struct Member: Sendable, Equatable {
    /// The name.
    public let name: String
    /// The value.
    public let value: JSONOutput

    /// Makes a member of an object.
    public init(_ name: String, _ value: JSONOutput) {
      self.name = name
      self.value = value
    }
  }

  /// The document on one line.
  public var text: String {
    var result = ""
    append(to: &result)
    return result
  }

  /// The document with each member and element on its own line, and a line feed at the end.
  ///
  /// Arrays and objects of plain values stay on one line when they are short.
  public var indentedText: String {
    var result = ""
    append(to: &result, indentation: "\n")
    return result + "\n"
  }

  /// The longest array or object that `indentedText` keeps on one line, in bytes.
  private static let shortLine = 80

  private func append(to result: inout String, indentation: String) {
    let text = text
    let inner = indentation + "  "
    switch self {
    case .array(let values) where text.utf8.count > Self.shortLine || isNested:
      for (index, value) in values.enumerated() {
        result += (index == 0 ? "[" : ",") + inner
        value.append(to: &result, indentation: inner)
      }
      result += indentation + "]"
    case .object(let members) where text.utf8.count > Self.shortLine || isNested:
      for (index, member) in members.enumerated() {
        result += (index == 0 ? "{" : ",") + inner
        Self.append(member.name, to: &result)
        result += ": "
        member.value.append(to: &result, indentation: inner)
      }
      result += indentation + "}"
    default: result += text
    }
  }

  /// Whether there are arrays or objects inside.
  private var isNested: Bool {
    func isContainer(_ value: JSONOutput) -> Bool {
      switch value {
      case .array, .object: true
      default: false
      }
    }
    return switch self {
    case .array(let values): values.contains(where: isContainer)
    case .object(let members): members.contains { isContainer($0.value) }
    default: false
    }
  }

  private func append(to result: inout String) {
    switch self {
    case .null: result += "null"
    case .boolean(let value): result += value ? "true" : "false"
    case .integer(let value): result += String(value)
    case .unsigned(let value): result += String(value)
    case .number(let value): result += value.isFinite ? "\(value)" : "null"
    case .string(let value): Self.append(value, to: &result)
    case .array(let values):
      result += "["
      for (index, value) in values.enumerated() {
        if index > 0 { result += "," }
        value.append(to: &result)
      }
      result += "]"
    case .object(let members):
      result += "{"
      for (index, member) in members.enumerated() {
        if index > 0 { result += "," }
        Self.append(member.name, to: &result)
        result += ":"
        member.value.append(to: &result)
      }
      result += "}"
    }
  }

  /// Appends a quoted text in which everything that could act on a terminal is escaped.
  private static func append(_ string: String, to result: inout String) {
    result += "\""
    for scalar in string.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      default:
        if isSafeToDisplay(scalar) {
          result.unicodeScalars.append(scalar)
        } else {
          // All unsafe scalars are below U+10000, so four digits are enough.
          let digits = String(scalar.value, radix: 16)
          result += "\\u" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits
        }
      }
    }
    result += "\""
  }
}

extension JSONOutput: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral,
  ExpressibleByFloatLiteral, ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral,
  ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
  /// A text.
  public init(stringLiteral value: String) { self = .string(value) }
  /// An integer.
  public init(integerLiteral value: Int) { self = .integer(value) }
  /// A number.
  public init(floatLiteral value: Double) { self = .number(value) }
  /// A truth value.
  public init(booleanLiteral value: Bool) { self = .boolean(value) }
  /// The value `null`.
  public init(nilLiteral: ()) { self = .null }
  /// An array.
  public init(arrayLiteral elements: JSONOutput...) { self = .array(elements) }
  /// An object, its members in the order written.
  public init(dictionaryLiteral elements: (String, JSONOutput)...) {
    self = .object(elements.map { Member($0.0, $0.1) })
  }
}
