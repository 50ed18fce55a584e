internal import DuetSystem
internal import DuetText

/// The checked header of a safetensors file.
///
/// This is the only place that computes with the sizes and offsets of a file, always with checks for
/// overflow; later code can rely on numbers that fit the file.
struct SafeTensorsHeader {
  private(set) var tensors: [TensorInfo] = []
  private(set) var metadata: [(key: String, value: String)] = []

  /// The size of the number at the start that gives the size of the header, in bytes.
  static let prefixBytes = 8

  private let path: String

  /// A tensor as the header describes it, not yet checked.
  private struct Claim {
    let name: String
    let elementType: ElementType
    let shape: [Int]
    let begin: UInt64
    let end: UInt64
  }

  /// Checks the header of `file`.
  init(_ file: MappedFile) throws(SafeTensorsError) {
    path = file.path
    let headerBytes = try headerByteCount(file)
    let dataStart = Self.prefixBytes + headerBytes
    let text = file.copyBytes(Self.prefixBytes..<dataStart)
    // A header of 100 MB need not be held twice.
    file.release(0..<dataStart)
    var claims = try parse(text)
    claims.sort { ($0.begin, $0.end) < ($1.begin, $1.end) }

    var dataEnd: UInt64 = 0
    for claim in claims {
      try checkOffsets(claim, previousEnd: dataEnd)
      try checkSize(claim)
      dataEnd = claim.end
    }
    let dataBytes = file.count - dataStart
    guard dataEnd == UInt64(dataBytes) else {
      let (expected, overflow) = dataEnd.addingReportingOverflow(UInt64(dataStart))
      throw .fileSizeMismatch(
        path: path, expectedBytes: overflow ? .max : expected, actualBytes: file.count)
    }
    // The last end is the size of the data and no end is beyond it, so all of them fit in `Int`.
    tensors = claims.map { claim in
      TensorInfo(
        name: claim.name, elementType: claim.elementType, shape: claim.shape,
        byteRange: dataStart + Int(claim.begin)..<dataStart + Int(claim.end))
    }
  }

  // MARK: - Sizes

  private func headerByteCount(_ file: MappedFile) throws(SafeTensorsError) -> Int {
    // A header begins with a brace. Without this, a header of 559,903 bytes would be taken for gzip.
    let start = file.copyBytes(0..<min(file.count, ForeignFile.prefixByteCount))
    if start.dropFirst(Self.prefixBytes).first != UInt8(ascii: "{"), let kind = ForeignFile(start) {
      throw .file(.foreign(path: path, kind))
    }
    guard file.count >= Self.prefixBytes else {
      throw .noHeader(path: path, byteCount: file.count)
    }
    let count = file.copyBytes(0..<Self.prefixBytes).reversed().reduce(UInt64(0)) {
      $0 << 8 | UInt64($1)
    }
    guard count <= UInt64(JSONLimits.safeTensorsHeader.byteCount) else {
      throw .headerTooLarge(path: path, headerBytes: count)
    }
    guard count <= UInt64(file.count - Self.prefixBytes) else {
      throw .headerBeyondFile(path: path, headerBytes: count, fileBytes: file.count)
    }
    return Int(count)
  }

  private func checkOffsets(_ claim: Claim, previousEnd: UInt64) throws(SafeTensorsError) {
    guard claim.begin == previousEnd else {
      throw previousEnd == 0
        ? .gapAtStart(path: path, tensor: claim.name, begin: claim.begin)
        : .notContiguous(
          path: path, tensor: claim.name, begin: claim.begin, previousEnd: previousEnd)
    }
    guard claim.end >= claim.begin else {
      throw .reversedOffsets(
        path: path, tensor: claim.name, begin: claim.begin, end: claim.end)
    }
  }

  private func checkSize(_ claim: Claim) throws(SafeTensorsError) {
    // In `Int`, so that a later product of the shape in this order cannot overflow.
    var bits = 1
    for factor in claim.shape + [claim.elementType.bitCount] {
      let (product, overflow) = bits.multipliedReportingOverflow(by: factor)
      guard !overflow else { throw .sizeOverflow(path: path, tensor: claim.name) }
      bits = product
    }
    guard bits % 8 == 0 else { throw .partialByte(path: path, tensor: claim.name) }
    guard claim.end - claim.begin == UInt64(bits / 8) else {
      throw .sizeMismatch(
        path: path, tensor: claim.name, expectedBytes: UInt64(bits / 8),
        actualBytes: claim.end - claim.begin)
    }
  }

  // MARK: - JSON

  private mutating func parse(_ text: [UInt8]) throws(SafeTensorsError) -> [Claim] {
    let document: JSONDocument
    do throws(JSONError) {
      document = try JSONDocument(parsing: text, path: path, limits: .safeTensorsHeader)
    } catch {
      if case .malformed(_, let offset, .notUTF8) = error {
        throw .headerNotUTF8(path: path, offset: Self.prefixBytes + offset)
      }
      throw .headerNotJSON(error)
    }
    guard let members = document.root.members else {
      throw .malformedEntry(path: path, entry: "", problem: "is not an object")
    }
    var claims: [Claim] = []
    claims.reserveCapacity(members.count)
    for member in members {
      let name = member.name
      if name.utf8.elementsEqual("__metadata__".utf8) {
        metadata = try readMetadata(member.value)
      } else {
        claims.append(try readClaim(member.value, name: name))
      }
    }
    return claims
  }

  private func readMetadata(
    _ value: JSONValue
  ) throws(SafeTensorsError) -> [(key: String, value: String)] {
    if value.isNull { return [] }
    guard let members = value.members else {
      throw .malformedEntry(path: path, entry: "__metadata__", problem: "is not an object")
    }
    var result: [(key: String, value: String)] = []
    result.reserveCapacity(members.count)
    for member in members {
      guard let text = member.value.string else {
        throw .malformedEntry(
          path: path, entry: "__metadata__", problem: "holds something other than a string")
      }
      result.append((member.name, text))
    }
    return result
  }

  private func readClaim(_ value: JSONValue, name: String) throws(SafeTensorsError) -> Claim {
    guard value.kind == .object else {
      throw .malformedEntry(path: path, entry: name, problem: "is not an object")
    }
    guard let typeName = value["dtype"]?.string else {
      throw .malformedEntry(path: path, entry: name, problem: "has no \"dtype\" string")
    }
    guard let elementType = ElementType(rawValue: typeName) else {
      throw .unknownElementType(path: path, tensor: name, name: typeName)
    }
    guard let sizes = value["shape"]?.elements else {
      throw .malformedEntry(path: path, entry: name, problem: "has no \"shape\" array")
    }
    var shape: [Int] = []
    for size in sizes {
      guard let wide = size.uint64 else {
        throw .malformedEntry(
          path: path, entry: name, problem: "has a \"shape\" that is not made of sizes")
      }
      guard let size = Int(exactly: wide) else { throw .sizeOverflow(path: path, tensor: name) }
      shape.append(size)
    }
    let offsets = value["data_offsets"]?.elements?.prefix(3).map(\.uint64) ?? []
    guard offsets.count == 2, let begin = offsets[0], let end = offsets[1] else {
      throw .malformedEntry(
        path: path, entry: name, problem: "has no \"data_offsets\" of two positions")
    }
    return Claim(name: name, elementType: elementType, shape: shape, begin: begin, end: end)
  }
}
