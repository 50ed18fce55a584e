package import DuetSystem
internal import DuetText

/// The writing of safetensors files.
package enum SafeTensorsWriter {
  /// The alignment of the start of the data in bytes: the size of a cache line and of the widest
  /// register.
  private static let dataAlignment = 64

  /// Writes `tensors` to a file at `path`, replacing what is there.
  ///
  /// The header is padded with spaces so that the data start at a multiple of 64 bytes. Tensors whose
  /// sizes are multiples of 64 bytes come first, so that all of these, the large ones, begin at
  /// multiples of 64 too; then by descending alignment of the elements, so that the others are aligned;
  /// then by the bytes of the names. The file appears complete or not at all.
  ///
  /// - Precondition: No two tensors have the same name, none is called "__metadata__", and no two
  ///   keys of `metadata` are the same.
  /// - Throws: `SafeTensorsError.file` when the file cannot be written, or `headerTooLarge`.
  package static func write(
    _ tensors: [StoredTensor], metadata: [(key: String, value: String)] = [], to path: String
  ) throws(SafeTensorsError) {
    _ = try write(tensors, metadata: metadata, to: path, operations: .system)
  }

  /// Writes `tensors` to a file with `operations` and returns the SHA-256 digest of the file.
  ///
  /// The layout is that of `write(_:metadata:to:)`. The space on the disk is reserved first. Tensors are
  /// written piece by piece, so that a file may be larger than the memory.
  package static func write(
    _ tensors: [StoredTensor], metadata: [(key: String, value: String)] = [], to path: String,
    operations: FileOperations
  ) throws(SafeTensorsError) -> [UInt8] {
    let ordered = ordered(tensors)
    let header = header(of: ordered, metadata: metadata)
    guard header.count <= JSONLimits.safeTensorsHeader.byteCount else {
      throw .headerTooLarge(path: path, headerBytes: UInt64(header.count))
    }
    let prefix = (0..<8).map { UInt8(truncatingIfNeeded: header.count >> (8 * $0)) }
    let byteCount = ordered.reduce(prefix.count + header.count) { $0 + $1.byteCount }
    var hash = SHA256()
    do throws(FileError) {
      var file = try AtomicFile(path: path, byteCount: byteCount, operations: operations)
      for bytes in [prefix, header] {
        hash.update(bytes.span)
        try file.append(bytes)
      }
      for tensor in ordered {
        // A piece is hashed and written while the cache holds it.
        for start in stride(from: 0, to: tensor.byteCount, by: pieceBytes) {
          let piece = tensor.bytes.extracting(start..<min(start + pieceBytes, tensor.byteCount))
          hash.update(piece)
          try file.append(piece)
        }
      }
      try file.commit()
    } catch {
      throw .file(error)
    }
    return hash.finalized()
  }

  /// The bytes that are hashed and written at a time.
  private static let pieceBytes = 1 << 20

  /// The tensors in the order in which their data are written.
  package static func ordered(_ tensors: [StoredTensor]) -> [StoredTensor] {
    tensors.sorted { left, right in
      let isWhole = left.byteCount % dataAlignment == 0
      guard isWhole == (right.byteCount % dataAlignment == 0) else { return isWhole }
      let (alignment, other) = (left.elementType.alignment, right.elementType.alignment)
      return alignment == other ? left.name.precedesInBytes(right.name) : alignment > other
    }
  }

  private static func header(
    of tensors: [StoredTensor], metadata: [(key: String, value: String)]
  ) -> [UInt8] {
    var entries: [String] = []
    if !metadata.isEmpty {
      let texts = metadata.map { "\(quoted($0.key)):\(quoted($0.value))" }
      entries.append("\"__metadata__\":{\(texts.joined(separator: ","))}")
    }
    var position = 0
    for tensor in tensors {
      let shape = tensor.shape.map { "\($0)" }.joined(separator: ",")
      let end = position + tensor.byteCount
      entries.append(
        "\(quoted(tensor.name)):{\"dtype\":\"\(tensor.elementType.rawValue)\","
          + "\"shape\":[\(shape)],\"data_offsets\":[\(position),\(end)]}")
      position = end
    }
    var header = Array("{\(entries.joined(separator: ","))}".utf8)
    while (SafeTensorsHeader.prefixBytes + header.count) % dataAlignment != 0 {
      header.append(UInt8(ascii: " "))
    }
    return header
  }

  /// `text` as a JSON string.
  private static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"", "\\":
        result += "\\"
        result.unicodeScalars.append(scalar)
      case "\u{0}"..<"\u{20}":
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}
