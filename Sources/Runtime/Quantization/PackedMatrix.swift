public import DuetSystem
package import Kernels

/// A weight matrix in few bits, laid out as the kernels read it: a view of a mapped file or memory.
///
/// (outputSize, inputSize). The number in a row r and column c of group g is, with `code` at (r, c) and
/// the scale and offset at (r, g),
///
///     scale * (code - format.zeroPoint)             integer formats
///     scale * code + offset                         integer formats with offsets
///     scale * (the code's coordinate of c)          e8p
///     scale * format.unit * (a sum of bits)         trellis codes, see `TrellisCode`
///
/// See `WeightFormat` for the layout. Rows are padded to whole panels, in trellis codes to 64, with scales
/// of zero, and columns to the group with codes that only multiply activations of zero.
package struct PackedMatrix: Sendable {
  /// The sizes, format and group size.
  package let layout: PackedLayout

  private let codes: StoredTensor
  private let scales: StoredTensor
  private let offsets: StoredTensor?

  /// A view of the stored tensors `<name>.codes`, `<name>.scales` and, on an asymmetric grid,
  /// `<name>.offsets`.
  ///
  /// U8 codes (panels, bytes of a panel), F16 scales and offsets (panels, groups, 16). Codes can be any
  /// bytes and are not read.
  ///
  /// - Throws: `CheckpointError` when a tensor is missing or of another shape or type, when a scale or
  ///   offset is not finite or belongs to a padded row, and when there are offsets on a symmetric grid.
  /// - Complexity: O(groups): all scales are read.
  package init(
    _ checkpoint: borrowing Checkpoint, _ name: String, layout: PackedLayout,
    grid: GridKind = .symmetric
  ) throws(CheckpointError) {
    precondition(
      grid == .symmetric || layout.format.coding == .integers,
      "\(layout.format.rawValue) has no offsets")
    let codes = try checkpoint.tensor(
      named: name + Self.codesSuffix, shape: layout.codesShape, elementTypes: [.u8])
    let scales = try checkpoint.scales(named: name + Self.scalesSuffix, layout.scalesShape)
    let offsetsName = name + Self.offsetsSuffix
    self.layout = layout
    self.codes = codes
    self.scales = scales
    switch grid {
    case .asymmetric: offsets = try checkpoint.scales(named: offsetsName, layout.scalesShape)
    case .symmetric:
      if let tensor = try checkpoint.tensor(named: offsetsName) {
        throw .unexpectedTensor(path: tensor.file.path, tensor: offsetsName)
      }
      offsets = nil
    }
    // A matrix with up to 15 more rows has the same shape: a rank in config.json that is too small would
    // lose components unnoticed.
    let padding = layout.paddedScaleIndices
    for stored in [scales, offsets] {
      guard let stored, !padding.allSatisfy({ stored.half(at: $0) & 0x7FFF == 0 }) else { continue }
      throw .valuesInPadding(
        path: stored.file.path, tensor: stored.name, rowCount: layout.outputSize)
    }
  }

  /// A copy of codes, scales and offsets that are laid out already.
  ///
  /// - Parameters:
  ///   - layout: The sizes.
  ///   - codes: (panels, bytes of a panel), any values.
  ///   - scales: (panels, groups, 16).
  ///   - offsets: (panels, groups, 16), or nil.
  /// - Throws: `PackedMatrixError` when a scale or offset is not finite, or there is no memory.
  /// - Precondition: The counts are those of `layout`; only integer formats have offsets.
  package init(
    layout: PackedLayout, codes: Span<UInt8>, scales: Span<Float16>,
    offsets: Span<Float16>? = nil
  ) throws(PackedMatrixError) {
    precondition(
      codes.count == layout.codeByteCount, "\(codes.count) bytes, not \(layout.codeByteCount)")
    precondition(
      scales.count == layout.scaleCount, "\(scales.count) scales, not \(layout.scaleCount)")
    precondition(
      offsets?.count ?? layout.scaleCount == layout.scaleCount,
      "\(offsets?.count ?? 0) offsets, not \(layout.scaleCount)")
    try self.init(layout: layout, hasOffsets: offsets != nil) { memory in
      for index in codes.indices {
        memory.storeBytes(of: codes[index], toByteOffset: index, as: UInt8.self)
      }
      for index in scales.indices {
        let place = layout.scalesStart + 2 * index
        memory.storeBytes(of: scales[index].bitPattern, toByteOffset: place, as: UInt16.self)
      }
      guard let offsets else { return }
      for index in offsets.indices {
        let place = layout.offsetsStart + 2 * index
        memory.storeBytes(of: offsets[index].bitPattern, toByteOffset: place, as: UInt16.self)
      }
    }
  }

  /// A matrix in new memory: zero bytes that `fill` changes.
  ///
  /// The codes come first, the scales at `layout.scalesStart`, the offsets at `layout.offsetsStart`.
  package init(
    layout: PackedLayout, hasOffsets: Bool, fill: (inout MutableRawSpan) -> Void
  ) throws(PackedMatrixError) {
    precondition(
      !hasOffsets || layout.format.coding == .integers, "\(layout.format.rawValue) has no offsets")
    let end = hasOffsets ? layout.offsetsStart : layout.scalesStart
    let file: MappedFile
    do throws(FileError) {
      file = try MappedFile(anonymousByteCount: end + 2 * layout.scaleCount, fill: fill)
    } catch {
      throw .memory(error)
    }
    func scales(_ suffix: String, _ start: Int) -> StoredTensor {
      StoredTensor(
        name: suffix, elementType: .f16, shape: layout.scalesShape, file: file, byteOffset: start)
    }
    self.layout = layout
    codes = StoredTensor(
      name: Self.codesSuffix, elementType: .u8, shape: layout.codesShape, file: file,
      byteOffset: 0)
    self.scales = scales(Self.scalesSuffix, layout.scalesStart)
    offsets = hasOffsets ? scales(Self.offsetsSuffix, layout.offsetsStart) : nil
    if let index = self.scales.firstNonFiniteHalf {
      throw .scaleNotFinite(row: layout.row(ofScale: index), group: layout.group(ofScale: index))
    }
    if let index = offsets?.firstNonFiniteHalf {
      throw .offsetNotFinite(row: layout.row(ofScale: index), group: layout.group(ofScale: index))
    }
  }

  // MARK: - Sizes

  /// How the codes are stored.
  package var format: WeightFormat { layout.format }
  /// How many columns share a scale.
  package var groupSize: GroupSize { layout.groupSize }
  /// The number of rows.
  package var outputSize: Int { layout.outputSize }
  /// The number of columns.
  package var inputSize: Int { layout.inputSize }
  /// Whether values are scale * code + offset.
  package var hasOffsets: Bool { offsets != nil }
  /// The bytes of codes, scales and offsets, which one token reads once.
  package var byteCount: Int { layout.byteCount(hasOffsets: hasOffsets) }
  /// The stored bits, padding included, divided by the number of weights.
  package var bitsPerWeight: Double { layout.bitsPerWeight(hasOffsets: hasOffsets) }

  // MARK: - Memory

  /// The suffixes of the names of a linear layer's tensors, after the name of the layer.
  static let codesSuffix = ".codes"
  static let scalesSuffix = ".scales"
  static let offsetsSuffix = ".offsets"

  /// The tensors to write so that `init(_:_:layout:grid:)` finds this matrix under `name`.
  package func storedTensors(named name: String) -> [StoredTensor] {
    func renamed(_ tensor: StoredTensor, _ suffix: String) -> StoredTensor {
      StoredTensor(
        name: name + suffix, elementType: tensor.elementType, shape: tensor.shape,
        file: tensor.file, byteOffset: tensor.byteOffset)
    }
    let always = [renamed(codes, Self.codesSuffix), renamed(scales, Self.scalesSuffix)]
    return always + (offsets.map { [renamed($0, Self.offsetsSuffix)] } ?? [])
  }

  /// The bytes of the codes, (panels, bytes of a panel).
  package var codeBytes: RawSpan {
    @_lifetime(borrow self)
    get { codes.bytes }
  }

  /// The scale of `row` and the group at `group`.
  package func scale(row: Int, group: Int) -> Float16 {
    Float16(bitPattern: scales.half(at: layout.scaleIndex(row: row, group: group)))
  }

  /// The offset of `row` and the group at `group`, or nil when there are no offsets.
  package func offset(row: Int, group: Int) -> Float16? {
    offsets.map { Float16(bitPattern: $0.half(at: layout.scaleIndex(row: row, group: group))) }
  }

  /// The addresses, for the kernels, valid while this matrix lives.
  @unsafe
  package var kernelsPacked: kernels_packed {
    unsafe kernels_packed(
      format: format.kernelsFormat,
      codes: codes.pointer.assumingMemoryBound(to: UInt8.self),
      scales: scales.pointer.assumingMemoryBound(to: UInt16.self),
      offsets: offsets.map { unsafe $0.pointer.assumingMemoryBound(to: UInt16.self) },
      columns: layout.paddedInputSize, group_size: groupSize.columnCount ?? 0)
  }
}

/// A reason why a matrix cannot be packed.
public enum PackedMatrixError: DuetError, Equatable {
  /// There is no memory for it.
  case memory(FileError)
  /// A scale is NaN or beyond the range of F16.
  case scaleNotFinite(row: Int, group: Int)
  /// An offset is NaN or beyond the range of F16.
  case offsetNotFinite(row: Int, group: Int)

  /// The kind of trouble, for the exit code.
  public var category: FailureCategory {
    switch self {
    case .memory(let error): error.category
    case .scaleNotFinite, .offsetNotFinite: .numerical
    }
  }

  /// One sentence that says what is wrong and what to do.
  public var description: String {
    switch self {
    case .memory(let error): error.description
    case .scaleNotFinite(let row, let group):
      "the scale of row \(row) and group \(group) is no finite half-precision number; "
        + "look for infinities in the weights"
    case .offsetNotFinite(let row, let group):
      "the offset of row \(row) and group \(group) is no finite half-precision number; "
        + "look for infinities in the weights"
    }
  }
}

extension StoredTensor {
  /// The bits of the element at `index` of an F16 tensor.
  func half(at index: Int) -> UInt16 {
    unsafe bytes.unsafeLoad(fromByteOffset: 2 * index, as: UInt16.self)
  }

  /// The index of the first element of an F16 tensor that is an infinity or NaN, or nil.
  var firstNonFiniteHalf: Int? {
    // Infinities and NaNs are the halves whose exponent is all ones. Most tensors hold none, so a first
    // pass without exits, which the compiler vectorises, checks whether a search is needed.
    let halves = unsafe Span(
      _unsafeStart: pointer.assumingMemoryBound(to: UInt16.self), count: elementCount)
    var found = false
    for index in halves.indices { found = found || halves[index] & 0x7C00 == 0x7C00 }
    guard found else { return nil }
    for index in halves.indices where halves[index] & 0x7C00 == 0x7C00 { return index }
    return nil
  }
}

extension Checkpoint {
  /// The F16 tensor `name` of `shape`, every number of which is finite.
  fileprivate func scales(
    named name: String, _ shape: [Int]
  ) throws(CheckpointError) -> StoredTensor {
    let tensor = try tensor(named: name, shape: shape, elementTypes: [.f16])
    guard tensor.firstNonFiniteHalf == nil else {
      throw .nonFiniteValues(path: tensor.file.path, tensor: name)
    }
    return tensor
  }
}
