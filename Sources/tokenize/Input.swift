import DuetCommandLine
import DuetSystem
import Glibc

/// The largest text that is read, in bytes.
let inputLimit = 1 << 30

/// An error of the input text.
enum TokenizeError: DuetError, Equatable {
  /// The text is not UTF-8 at a byte offset.
  case notUTF8(path: String, offset: Int)
  /// A line of a JSON Lines file is not an object with a string `text`.
  case noText(path: String, line: Int)
  /// Standard input could not be read.
  case unreadableInput(code: Int32)
  /// Standard input has more bytes than allowed.
  case inputTooLarge

  var category: FailureCategory {
    if case .unreadableInput = self { .inputOutput } else { .refusedData }
  }

  var description: String {
    switch self {
    case .notUTF8(let path, let offset):
      "\(printable(path)): not UTF-8 at byte \(offset); convert the text to UTF-8 first"
    case .noText(let path, let line):
      "\(printable(path)), line \(line): not an object with a string \"text\""
    case .unreadableInput(let code): "standard input cannot be read (error \(code))"
    case .inputTooLarge: "standard input has more than the \(inputLimit) bytes allowed"
    }
  }
}

/// The bytes of the file at `path`, or of standard input for "-".
func readInput(_ path: String) throws -> [UInt8] {
  guard path == "-" else { return try readFile(path, limit: inputLimit) }
  var result: [UInt8] = []
  var chunk = [UInt8](repeating: 0, count: 65_536)
  while true {
    let count = unsafe chunk.withUnsafeMutableBytes { unsafe read(0, $0.baseAddress, $0.count) }
    if count == 0 { return result }
    if count > 0 {
      guard result.count + count <= inputLimit else { throw TokenizeError.inputTooLarge }
      result += chunk[..<count]
    } else if errno != EINTR {
      throw TokenizeError.unreadableInput(code: errno)
    }
  }
}
