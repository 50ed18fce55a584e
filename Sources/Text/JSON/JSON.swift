internal import DuetSystem

/// The limits of size and depth of the JSON texts that a caller accepts.
package struct JSONLimits: Sendable, Hashable {
  /// The largest text accepted, in bytes.
  package let byteCount: Int
  /// The deepest nesting of arrays and objects accepted.
  package let depth: Int

  /// Limits of `byteCount` bytes and `depth` levels of nesting.
  ///
  /// - Precondition: `byteCount` is in `0 ... 2^31 - 1` (positions are stored in 32 bits) and `depth`
  ///   is in `1 ... 1024`.
  package init(byteCount: Int, depth: Int = 64) {
    precondition((0...Int(Int32.max)).contains(byteCount), "a limit of \(byteCount) bytes")
    precondition((1...1024).contains(depth), "a limit of \(depth) levels")
    self.byteCount = byteCount
    self.depth = depth
  }

  /// The limits for config.json, an index and other small files: 1 MB.
  package static let smallFile = JSONLimits(byteCount: 1_000_000)
  /// The limits for tokenizer.json: 64 MB.
  package static let tokenizer = JSONLimits(byteCount: 64_000_000)
  /// The limits for the header of a safetensors file: 100 MB, as in the reference reader.
  package static let safeTensorsHeader = JSONLimits(byteCount: 100_000_000)
}

/// A JSON text that was read in full and found to obey RFC 8259.
///
/// Stricter than the RFC asks in three points: the text must be UTF-8 without a byte order mark,
/// an object may not hold a key twice, and escaped surrogates must come in pairs. Keys are compared
/// byte by byte, so that keys which look alike (canonically equal Unicode) stay distinct.
///
/// The text is kept as it was, with a tape of the byte positions of its values; strings and numbers
/// are decoded when asked for.
///
/// Memory: besides the text 4 bytes for each value and key and 4 more for each array and object,
/// which is at most four times the text (deeply nested empty arrays) and for a vocabulary about once;
/// while the keys of an object are compared, at most 12 bytes more for each of them.
package struct JSONDocument: Sendable {
  private let storage: JSONStorage

  /// Reads `bytes` as one JSON value.
  ///
  /// - Parameters:
  ///   - bytes: The text.
  ///   - path: Where the text comes from, for messages.
  ///   - limits: How large and how deep the text may be.
  /// - Throws: `JSONError` at the first thing wrong.
  /// - Complexity: O(bytes), without recursion.
  package init(
    parsing bytes: consuming [UInt8], path: String, limits: JSONLimits
  ) throws(JSONError) {
    guard bytes.count <= limits.byteCount else {
      throw .tooLarge(path: path, byteCount: bytes.count, limit: limits.byteCount)
    }
    do throws(JSONFault) {
      let tape = try JSONParser.tape(of: bytes, depth: limits.depth)
      storage = JSONStorage(bytes: bytes, tape: tape)
    } catch {
      switch error {
      case .malformed(let offset, let problem):
        throw .malformed(path: path, offset: offset, problem: problem)
      case .tooDeep(let offset):
        throw .tooDeep(path: path, offset: offset, limit: limits.depth)
      case .duplicateKey(let offset):
        throw .duplicateKey(path: path, offset: offset, key: JSONText.string(bytes, at: offset))
      }
    }
  }

  /// Reads the file at `path` as one JSON value.
  ///
  /// - Throws: `JSONError`, of which `file` says that the file cannot be read or is too large.
  package init(contentsOf path: String, limits: JSONLimits) throws(JSONError) {
    let bytes: [UInt8]
    do throws(FileError) {
      bytes = try readFile(path, limit: limits.byteCount)
    } catch {
      throw .file(error)
    }
    try self.init(parsing: bytes, path: path, limits: limits)
  }

  /// The outermost value.
  package var root: JSONValue { JSONValue(storage: storage, index: 0) }
}

/// The text of a document and the tape that says where its values are.
///
/// The tape holds the values in the order of the text. A value begins with the position of its
/// first byte, which also gives its kind; an array or object has a second word, the tape index
/// after its last value. The members of an object are keys and values in turn.
final class JSONStorage: Sendable {
  let bytes: [UInt8]
  let tape: [UInt32]

  init(bytes: [UInt8], tape: [UInt32]) {
    self.bytes = bytes
    self.tape = tape
  }
}
