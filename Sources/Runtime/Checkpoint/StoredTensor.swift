package import DuetSystem

/// A tensor as a read-only view of bytes of a file or of memory, which costs nothing to copy.
package struct StoredTensor: Sendable {
  /// The name, verbatim from the checkpoint.
  package let name: String
  /// The type of the elements.
  package let elementType: ElementType
  /// The sizes of the dimensions, outermost first.
  package let shape: [Int]
  /// The file or memory that holds the elements.
  package let file: MappedFile
  /// Where the first element is in `file`, in bytes, a multiple of the element's alignment.
  package let byteOffset: Int
  /// The size of all elements in bytes.
  package let byteCount: Int

  /// The tensor at `byteOffset` of `file`.
  ///
  /// - Precondition: The elements lie inside the file and `byteOffset` is a multiple of the element
  ///   type's alignment.
  package init(
    name: String, elementType: ElementType, shape: [Int], file: MappedFile, byteOffset: Int
  ) {
    // In the order of `SafeTensorsHeader`, so that what passed there cannot overflow here.
    let byteCount = shape.reduce(1, *) * elementType.bitCount / 8
    precondition(
      byteOffset >= 0 && byteOffset <= file.count && byteCount <= file.count - byteOffset,
      "\(byteCount) bytes at \(byteOffset) of a file of \(file.count)")
    precondition(
      byteOffset % elementType.alignment == 0, "\(elementType.rawValue) at byte \(byteOffset)")
    self.name = name
    self.elementType = elementType
    self.shape = shape
    self.file = file
    self.byteOffset = byteOffset
    self.byteCount = byteCount
  }

  /// The number of elements.
  package var elementCount: Int { shape.reduce(1, *) }

  /// The bytes of the elements, row major and little-endian.
  package var bytes: RawSpan {
    @_lifetime(borrow self)
    get { file.bytes.extracting(byteOffset..<(byteOffset + byteCount)) }
  }

  /// The address of the first element, valid while `file` lives.
  @unsafe
  package var pointer: UnsafeRawPointer { unsafe file.pointer + byteOffset }
}
