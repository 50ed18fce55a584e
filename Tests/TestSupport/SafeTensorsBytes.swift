public import DuetSystem

/// The bytes of a safetensors file with this header, valid or not, and `dataBytes` bytes of data.
///
/// The data count 0, 1, 2, ... so that every byte has a known value.
package func safeTensorsBytes(header: String, dataBytes: Int) -> [UInt8] {
  let text = Array(header.utf8)
  let size = (0..<8).map { UInt8(truncatingIfNeeded: text.count >> (8 * $0)) }
  return size + text + (0..<dataBytes).map { UInt8(truncatingIfNeeded: $0) }
}

extension MappedFile {
  /// A file in memory with the given bytes.
  public convenience init(_ bytes: [UInt8], path: String = "memory") throws(FileError) {
    try self.init(anonymousByteCount: bytes.count, path: path) { span in
      for (offset, byte) in bytes.enumerated() {
        span.storeBytes(of: byte, toByteOffset: offset, as: UInt8.self)
      }
    }
  }
}
