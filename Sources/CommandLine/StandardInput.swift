package import DuetSystem
internal import Glibc

/// An error of reading a text from standard input.
package enum InputError: DuetError, Equatable {
  /// The system refused to read.
  case failed(code: Int32)
  /// The bytes at an offset are not UTF-8.
  case notUTF8(offset: Int)
  /// The text has more bytes than the caller accepts.
  case tooLong(limit: Int)

  /// A failed read is an input error; a text that cannot be used is refused data.
  package var category: FailureCategory {
    if case .failed = self { .inputOutput } else { .refusedData }
  }

  /// A sentence that describes the error.
  package var description: String {
    switch self {
    case .failed(let code):
      "cannot read standard input: \(unsafe String(cString: strerror(code)))"
    case .notUTF8(let offset): "standard input is not UTF-8 at byte \(offset)"
    case .tooLong(let limit): "standard input has more than \(limit) bytes"
    }
  }
}

/// Functions that read standard input.
package enum StandardInput {
  /// Whether standard input is a terminal.
  package static var isTerminal: Bool { isatty(0) == 1 }

  /// All of standard input as text.
  ///
  /// - Parameter limit: The largest number of bytes accepted.
  /// - Returns: The text, including carriage returns and a byte order mark.
  /// - Throws: `InputError`.
  package static func readText(limit: Int) throws(InputError) -> String {
    var bytes: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = unsafe block.withUnsafeMutableBytes { unsafe read(0, $0.baseAddress, $0.count) }
      if count == 0 { break }
      if count < 0 {
        if errno == EINTR { continue }
        throw .failed(code: errno)
      }
      guard bytes.count + count <= limit else { throw .tooLong(limit: limit) }
      bytes += block[..<count]
    }
    do {
      return String(copying: try UTF8Span(validating: bytes.span))
    } catch {
      throw .notUTF8(offset: error.byteOffsets.lowerBound)
    }
  }
}
