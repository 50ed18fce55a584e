import Foundation

/// A float32 array in NumPy's `.npy` format, version 1, in row-major order.
package struct NumPyArray {
  /// The sizes of the dimensions, outermost first.
  package let shape: [Int]
  /// The elements.
  package let values: [Float]

  /// Reads the array in the file at `path`.
  package init(contentsOf path: String) throws {
    let data = try Data(contentsOf: URL(fileURLWithPath: path))
    // 6 bytes of magic, 2 of version, 2 of header length, then a Python dictionary.
    let headerLength = Int(data[8]) | Int(data[9]) << 8
    let header = String(decoding: data[10..<10 + headerLength], as: UTF8.self)
    guard header.contains("'descr': '<f4'"), header.contains("'fortran_order': False"),
      let open = header.firstIndex(of: "("), let close = header.firstIndex(of: ")")
    else { throw CocoaError(.fileReadCorruptFile) }
    shape = header[header.index(after: open)..<close].split(separator: ",").compactMap {
      Int($0.trimmingCharacters(in: .whitespaces))
    }
    let bytes = Array(data[(10 + headerLength)...])
    values = stride(from: 0, to: bytes.count, by: 4).map { index in
      Float(
        bitPattern: UInt32(bytes[index]) | UInt32(bytes[index + 1]) << 8
          | UInt32(bytes[index + 2]) << 16 | UInt32(bytes[index + 3]) << 24)
    }
  }
}
