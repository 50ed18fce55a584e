/// The writing of safetensors files.
public enum SafeTensorsWriter {
  /// Where the data start is a multiple of this many bytes: a cache line and the widest register.
  private static let dataAlignment = 64

  /// Writes `tensors` to a file at `path`, replacing what is there.
  ///
  /// The tensors are ordered by descending alignment of their elements, then by the bytes of their
  /// names, so that all of them are aligned; the header is padded with spaces so that the data start
  /// at a multiple of 64 bytes. The file appears complete or not at all.
  ///
  /// - Precondition: No two tensors have the same name, none is called "__metadata__", and no two
  ///   keys of `metadata` are the same.
  /// - Throws: `SafeTensorsError.file` when the file cannot be written, or `headerTooLarge`.
  public static func write(
    _ tensors: [StoredTensor], metadata: [(key: String, value: String)] = [], to path: String
  ) throws(SafeTensorsError) {
    let ordered = tensors.sorted {
      $0.elementType.alignment == $1.elementType.alignment
        ? $0.name.precedesInBytes($1.name)
        : $0.elementType.alignment > $1.elementType.alignment
    }
    let header = header(of: ordered, metadata: metadata)
    guard header.count <= JSONLimits.safeTensorsHeader.byteCount else {
      throw .headerTooLarge(path: path, headerBytes: UInt64(header.count))
    }
    do throws(FileError) {
      var file = try AtomicFile(path: path)
      try file.append((0..<8).map { UInt8(truncatingIfNeeded: header.count >> (8 * $0)) })
      try file.append(header)
      for tensor in ordered { try file.append(tensor.bytes) }
      try file.commit()
    } catch {
      throw .file(error)
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
