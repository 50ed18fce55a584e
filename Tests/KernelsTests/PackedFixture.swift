import DuetRuntime
import DuetSystem
import Kernels

/// Which codes a packed matrix is filled with.
enum CodeFill: CaseIterable {
  case random, zeros, ones, alternating

  func byte(_ index: Int, _ generator: inout RandomGenerator) -> UInt8 {
    switch self {
    case .random: UInt8(truncatingIfNeeded: generator.next())
    case .zeros: 0
    case .ones: 255
    case .alternating: index % 2 == 0 ? 255 : 0
    }
  }
}

/// A packed matrix as bytes, at an odd address when asked, without the Swift face that tests use it for.
final class PackedBytes {
  let format: kernels_format
  let rows: Int
  let columns: Int
  let groupSize: Int
  private let codes: UnsafeMutablePointer<UInt8>
  private let scales: UnsafeMutablePointer<UInt16>
  private let offsets: UnsafeMutablePointer<UInt16>?
  private let misalignment: Int

  /// A matrix of `columns`, padded here to the group, or to the format's block when `groupSize` is 0, one
  /// scale per row.
  ///
  /// With `unitScales` the scales are 1 and the offsets 0.
  init(
    _ format: kernels_format, rows: Int, columns: Int, groupSize: Int, hasOffsets: Bool = false,
    fill: CodeFill = .random, unitScales: Bool = false, misalignment: Int = 0,
    _ generator: inout RandomGenerator
  ) {
    let step = groupSize == 0 ? Self.block(format) : groupSize
    self.format = format
    self.rows = rows
    self.columns = (columns + step - 1) / step * step
    self.groupSize = groupSize
    self.misalignment = misalignment
    let tile = Self.isTrellis(format) ? 64 : 16
    let panels = (rows + tile - 1) / tile * tile / 16
    let codeCount = panels * self.columns * Self.columnBytes(format)
    let scaleCount = panels * 16 * (groupSize == 0 ? 1 : self.columns / groupSize)
    codes = .allocate(capacity: codeCount + misalignment)
    for index in 0..<codeCount + misalignment { codes[index] = fill.byte(index, &generator) }
    func numbers(_ value: Float16) -> UnsafeMutablePointer<UInt16> {
      let result = UnsafeMutablePointer<UInt16>.allocate(capacity: scaleCount)
      for index in 0..<scaleCount {
        let drawn = Float16(gaussians(1, &generator)[0] / 8)
        result[index] = (unitScales ? value : drawn).bitPattern
      }
      return result
    }
    scales = numbers(1)
    offsets = hasOffsets ? numbers(0) : nil
  }

  deinit {
    codes.deallocate()
    scales.deallocate()
    offsets?.deallocate()
  }

  var packed: kernels_packed {
    kernels_packed(
      format: format, codes: codes + misalignment, scales: scales, offsets: offsets,
      columns: columns, group_size: groupSize)
  }

  /// The same bytes behind the Swift face, whose unpacking shares nothing with the kernels.
  func matrix() throws -> PackedMatrix {
    let group = GroupSize(columnCount: groupSize) ?? .row
    let layout = PackedLayout(
      weightFormat, groupSize: group, outputSize: rows, inputSize: columns)
    func halves(_ pointer: UnsafeMutablePointer<UInt16>) -> [Float16] {
      (0..<layout.scaleCount).map { Float16(bitPattern: pointer[$0]) }
    }
    let bytes = (0..<layout.codeByteCount).map { codes[misalignment + $0] }
    guard let offsets else {
      return try PackedMatrix(layout: layout, codes: bytes.span, scales: halves(scales).span)
    }
    return try PackedMatrix(
      layout: layout, codes: bytes.span, scales: halves(scales).span, offsets: halves(offsets).span)
  }

  private var weightFormat: WeightFormat {
    switch format {
    case KERNELS_INT3: .int3
    case KERNELS_INT4: .int4
    case KERNELS_INT8: .int8
    case KERNELS_E8P: .e8p
    case KERNELS_TRELLIS2: .trellis2
    case KERNELS_TRELLIS2_5: .trellis2_5
    case KERNELS_TRELLIS3: .trellis3
    default: .int2
    }
  }

  /// The bytes of a column of a panel.
  static func columnBytes(_ format: kernels_format) -> Int {
    switch format {
    case KERNELS_TRELLIS2_5: 5
    case KERNELS_INT3, KERNELS_TRELLIS3: 6
    case KERNELS_INT4: 8
    case KERNELS_INT8: 16
    default: 4
    }
  }

  /// Whether 64 rows of a column share their bits; such a format has one scale for each row.
  static func isTrellis(_ format: kernels_format) -> Bool { format.rawValue > KERNELS_E8P.rawValue }

  /// The group sizes that a format can have, 0 for a row.
  static func groupSizes(_ format: kernels_format) -> [Int] {
    isTrellis(format) ? [0] : [0, 32, 64, 128]
  }

  /// Whether a format can have offsets.
  static func canHaveOffsets(_ format: kernels_format) -> [Bool] {
    format == KERNELS_E8P || isTrellis(format) ? [false] : [false, true]
  }

  /// The columns of a block.
  static func block(_ format: kernels_format) -> Int {
    switch format {
    case KERNELS_INT2: 16
    case KERNELS_INT4: 8
    case KERNELS_INT8: 4
    default: 32
    }
  }

  static let formats = [
    KERNELS_INT2, KERNELS_INT3, KERNELS_INT4, KERNELS_INT8, KERNELS_E8P, KERNELS_TRELLIS2,
    KERNELS_TRELLIS2_5, KERNELS_TRELLIS3,
  ]
}

/// Activations of some tokens as the kernels of one set quantise them, in both orders.
final class QuantizedTokens {
  let values: UnsafeMutablePointer<Int8>
  let latticeValues: UnsafeMutablePointer<Int8>
  let scales: UnsafeMutablePointer<Float>
  let sums: UnsafeMutablePointer<Int32>
  let tables: UnsafeMutablePointer<UInt8>
  let tokens: Int
  let groups: Int

  /// Quantises x, (tokens, columns) row-major, by `name`.
  init(_ name: String, _ x: [Float], columns: Int, tokens: Int) {
    self.tokens = tokens
    groups = (columns + 127) / 128
    values = .allocate(capacity: groups * tokens * 128)
    latticeValues = .allocate(capacity: groups * tokens * 128)
    scales = .allocate(capacity: groups * tokens)
    sums = .allocate(capacity: groups * tokens * 4)
    tables = .allocate(capacity: groups * Int(KERNELS_TABLE_BYTES))
    let set = table(name)
    for token in 0..<tokens {
      x.withUnsafeBufferPointer { x in
        guard let base = x.baseAddress else { return }
        set.quantize_int8(
          base + token * columns, columns, tokens, values + token * 128, scales + token,
          sums + token)
      }
    }
    set.reorder_e8p(values, groups * tokens * 128, latticeValues)
    if tokens == 1 { set.bit_tables(values, groups * 128, tables) }
  }

  deinit {
    values.deallocate()
    latticeValues.deallocate()
    scales.deallocate()
    sums.deallocate()
    tables.deallocate()
  }

  func activations(for format: kernels_format) -> kernels_activations {
    kernels_activations(
      values: format == KERNELS_E8P ? latticeValues : values, scales: scales, sums: sums,
      tokens: tokens,
      tables: tokens == 1 && PackedBytes.isTrellis(format) ? UnsafePointer(tables) : nil)
  }
}

/// Rows `rows` of the product of `matrices` with `inputs`, of tokens `range`, by set `name`.
func packedProduct(
  _ name: String, _ matrices: [PackedBytes], _ inputs: [QuantizedTokens], rows: Range<Int>,
  tokens range: Range<Int>
) -> [Float] {
  let terms = zip(matrices, inputs).map { matrix, input in
    kernels_term(weight: matrix.packed, activations: input.activations(for: matrix.format))
  }
  var y = [Float](repeating: .nan, count: rows.count * range.count)
  kernels_packed_product(
    tableAddress(name), terms, terms.count, rows.lowerBound, rows.count, range.lowerBound,
    range.count, &y, rows.count)
  return y
}
