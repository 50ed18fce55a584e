package import DuetSystem

/// One tensor as the header of a safetensors file describes it.
package struct TensorInfo: Sendable, Hashable {
  /// The name, verbatim.
  package let name: String
  /// The type of the elements.
  package let elementType: ElementType
  /// The sizes of the dimensions, outermost first; none for a single number.
  package let shape: [Int]
  /// Where the elements are, in bytes from the start of the file.
  package let byteRange: Range<Int>
}

/// A safetensors file: a header that names tensors and the mapped bytes of all of them.
///
/// Everything the header says is checked before this value exists: the tensors fill the data without
/// hole or overlap, and each has as many bytes as its shape and type demand. Values are not looked at.
///
/// Layout: eight bytes N, little-endian; N bytes of JSON, padded with white space; the data.
///
/// Source: the format description in the README of huggingface/safetensors.
package struct SafeTensorsFile: Sendable {
  /// The bytes of the file.
  package let file: MappedFile
  /// The tensors in the order of their data.
  package let tensors: [TensorInfo]
  /// The strings under `__metadata__`, in the order of the file.
  package let metadata: [(key: String, value: String)]

  /// Positions in `tensors` in the order of the names' bytes.
  private let nameOrder: [Int32]

  /// Maps the file at `path` and checks its header.
  package init(contentsOf path: String) throws(SafeTensorsError) {
    let file: MappedFile
    do throws(FileError) {
      file = try MappedFile(contentsOf: path)
    } catch {
      throw .file(error)
    }
    try self.init(file)
  }

  /// Checks the header of `file`.
  ///
  /// - Complexity: O(header), plus sorting the tensors.
  package init(_ file: MappedFile) throws(SafeTensorsError) {
    let header = try SafeTensorsHeader(file)
    self.file = file
    tensors = header.tensors
    metadata = header.metadata
    nameOrder = Self.nameOrder(of: tensors)
  }

  /// The indices of the tensors in the order of the bytes of their names.
  ///
  /// The names are copied into one array first: comparing a million strings, each with its own memory
  /// and reference count, takes three times as long.
  private static func nameOrder(of tensors: [TensorInfo]) -> [Int32] {
    var bytes: [UInt8] = []
    var starts = [0]
    for tensor in tensors {
      bytes.append(contentsOf: tensor.name.utf8)
      starts.append(bytes.count)
    }
    return tensors.indices.map(Int32.init(truncatingIfNeeded:)).sorted { first, second in
      var (left, right) = (starts[Int(first)], starts[Int(second)])
      let (leftEnd, rightEnd) = (starts[Int(first) + 1], starts[Int(second) + 1])
      while left < leftEnd, right < rightEnd, bytes[left] == bytes[right] {
        left += 1
        right += 1
      }
      if left == leftEnd || right == rightEnd { return left == leftEnd && right < rightEnd }
      return bytes[left] < bytes[right]
    }
  }

  /// The tensors in the order of the bytes of their names.
  package var tensorsByName: some RandomAccessCollection<TensorInfo> {
    nameOrder.lazy.map { [tensors] in tensors[Int($0)] }
  }

  /// The tensor whose name has exactly the bytes of `name`, or nil.
  ///
  /// - Complexity: O(log(tensors)).
  package func tensor(named name: String) -> TensorInfo? {
    placeOfName(name, count: nameOrder.count) { tensors[Int(nameOrder[$0])].name }
      .map { tensors[Int(nameOrder[$0])] }
  }
}

/// The index of a name among `count` names sorted by their bytes, or nil when it is not among them.
///
/// - Complexity: O(log(count)).
func placeOfName(_ name: String, count: Int, nameAt: (_ place: Int) -> String) -> Int? {
  var low = 0
  var high = count
  while low < high {
    let middle = (low + high) / 2
    if nameAt(middle).precedesInBytes(name) { low = middle + 1 } else { high = middle }
  }
  return low < count && !name.precedesInBytes(nameAt(low)) ? low : nil
}
