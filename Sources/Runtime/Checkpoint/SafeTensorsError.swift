public import DuetSystem
public import DuetText

/// A reason to refuse a safetensors file.
public enum SafeTensorsError: DuetError, Equatable {
  /// The file could not be read or written.
  case file(FileError)
  /// The file is too short to hold even the size of a header.
  case noHeader(path: String, byteCount: Int)
  /// The header claims more than 100,000,000 bytes.
  case headerTooLarge(path: String, headerBytes: UInt64)
  /// The header claims to end after the end of the file.
  case headerBeyondFile(path: String, headerBytes: UInt64, fileBytes: Int)
  /// The header is not UTF-8.
  case headerNotUTF8(path: String, offset: Int)
  /// The header is not valid JSON, or has a name twice (`JSONError.duplicateKey`).
  case headerNotJSON(JSONError)
  /// The header is JSON of the wrong shape; `entry` is the tensor or key.
  case malformedEntry(path: String, entry: String, problem: String)
  /// A tensor has a type that is not known.
  case unknownElementType(path: String, tensor: String, name: String)
  /// The first tensor does not start where the data start.
  case gapAtStart(path: String, tensor: String, begin: UInt64)
  /// A tensor does not begin where the one before ends: a hole or an overlap.
  case notContiguous(path: String, tensor: String, begin: UInt64, previousEnd: UInt64)
  /// A tensor ends before it begins.
  case reversedOffsets(path: String, tensor: String, begin: UInt64, end: UInt64)
  /// The number of elements or bits of a tensor does not fit into 64 bits.
  case sizeOverflow(path: String, tensor: String)
  /// The elements of a tensor, of four or six bits each, do not fill whole bytes.
  case partialByte(path: String, tensor: String)
  /// The offsets of a tensor span a number of bytes other than shape and type demand.
  case sizeMismatch(path: String, tensor: String, expectedBytes: UInt64, actualBytes: UInt64)
  /// The file has fewer or more bytes than its header describes.
  case fileSizeMismatch(path: String, expectedBytes: UInt64, actualBytes: Int)

  /// The kind of trouble, for the exit code.
  public var category: FailureCategory {
    if case .file(let error) = self { error.category } else { .refusedData }
  }

  /// One sentence that names the file, the tensor and what is wrong.
  public var description: String {
    switch self {
    case .file(let error): error.description
    case .headerNotJSON(let error): error.description
    case .noHeader(let path, let byteCount):
      "\(printable(path)): not a safetensors file: it has only \(byteCount) bytes"
    case .headerTooLarge(let path, let headerBytes):
      "\(printable(path)): not a safetensors file: it claims a header of \(headerBytes) bytes, "
        + "more than the 100000000 allowed; download it again"
    case .headerBeyondFile(let path, let headerBytes, let fileBytes):
      "\(printable(path)): the file has \(fileBytes) bytes but claims a header of \(headerBytes); "
        + "it is truncated or not a safetensors file"
    case .headerNotUTF8(let path, let offset):
      "\(printable(path)): the header is not UTF-8 at byte \(offset) of the file"
    case .malformedEntry(let path, let entry, let problem):
      "\(printable(path)): the header entry \"\(printable(entry))\" \(problem)"
    case .unknownElementType(let path, let tensor, let name):
      "\(Self.name(path, tensor)) has the unknown type \"\(printable(name))\""
    case .gapAtStart(let path, let tensor, let begin):
      "\(Self.name(path, tensor)) is the first but begins at byte \(begin) of the data, not 0"
    case .notContiguous(let path, let tensor, let begin, let previousEnd):
      "\(Self.name(path, tensor)) begins at byte \(begin) of the data, but the tensor before it "
        + "ends at \(previousEnd)"
    case .reversedOffsets(let path, let tensor, let begin, let end):
      "\(Self.name(path, tensor)) begins at byte \(begin) and ends at \(end)"
    case .sizeOverflow(let path, let tensor):
      "\(Self.name(path, tensor)) has a shape too large to count its bytes"
    case .partialByte(let path, let tensor):
      "\(Self.name(path, tensor)) does not fill whole bytes"
    case .sizeMismatch(let path, let tensor, let expected, let actual):
      "\(Self.name(path, tensor)) needs \(expected) bytes for its shape and type "
        + "but spans \(actual)"
    case .fileSizeMismatch(let path, let expected, let actual):
      "\(printable(path)): the file has \(actual) bytes but its header describes \(expected); "
        + (UInt64(actual) < expected ? "it is truncated, copy it again" : "it has trailing bytes")
    }
  }

  private static func name(_ path: String, _ tensor: String) -> String {
    "\(printable(path)): tensor \"\(printable(tensor))\""
  }
}
