public import DuetSystem

/// A reason to refuse a JSON text, with the file and the position of the byte.
public enum JSONError: DuetError, Equatable {
  /// The file could not be read.
  case file(FileError)
  /// The text is longer than the caller allows for this kind of file.
  case tooLarge(path: String, byteCount: Int, limit: Int)
  /// The text breaks the grammar of RFC 8259 or is not UTF-8.
  case malformed(path: String, offset: Int, problem: JSONProblem)
  /// Arrays and objects are nested more deeply than the caller allows.
  case tooDeep(path: String, offset: Int, limit: Int)
  /// An object holds the same key twice, compared byte by byte after decoding escapes.
  case duplicateKey(path: String, offset: Int, key: String)

  /// The kind of trouble, for the exit code.
  public var category: FailureCategory {
    if case .file(let error) = self { error.category } else { .refusedData }
  }

  /// One sentence that names the file, the byte and what is wrong.
  public var description: String {
    switch self {
    case .file(let error): error.description
    case .tooLarge(let path, let byteCount, let limit):
      "\(printable(path)): the JSON text has \(byteCount) bytes, more than the \(limit) allowed"
    case .malformed(let path, let offset, let problem):
      "\(printable(path)): not valid JSON at byte \(offset): \(problem.description)"
    case .tooDeep(let path, let offset, let limit):
      "\(printable(path)): JSON nested more than \(limit) levels deep at byte \(offset)"
    case .duplicateKey(let path, let offset, let key):
      "\(printable(path)): the JSON key \"\(printable(key))\" at byte \(offset) appears twice "
        + "in one object"
    }
  }
}

/// What is wrong with a JSON text at one byte.
public enum JSONProblem: Sendable, Hashable, CustomStringConvertible {
  /// The text ends in the middle of a value.
  case endOfText
  /// A byte that is not allowed here.
  case unexpectedByte(UInt8)
  /// Something follows the value that should be the whole text.
  case trailingText
  /// A sequence of bytes that is not UTF-8.
  case notUTF8
  /// A number that is not spelled as RFC 8259 demands.
  case number
  /// A backslash followed by something other than an escape.
  case escape
  /// A `\u` escape of one half of a surrogate pair without the other.
  case loneSurrogate
  /// A control character, such as a line break, inside a string without escape.
  case controlCharacter

  /// A few words that complete the sentence "not valid JSON: ...".
  public var description: String {
    switch self {
    case .endOfText: "the text ends too early"
    case .unexpectedByte(let byte) where (0x21...0x7E).contains(byte):
      "unexpected \"\(Character(Unicode.Scalar(byte)))\""
    case .unexpectedByte(let byte): "unexpected byte \(byte)"
    case .trailingText: "something follows the value"
    case .notUTF8: "not UTF-8"
    case .number: "malformed number"
    case .escape: "unknown escape in a string"
    case .loneSurrogate: "half of a surrogate pair in a string"
    case .controlCharacter: "unescaped control character in a string"
    }
  }
}
