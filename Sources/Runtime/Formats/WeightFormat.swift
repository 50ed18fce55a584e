package import Kernels

/// How the codes of a packed weight matrix are stored: the layout of the file and of the kernels.
///
/// A matrix is cut into panels of 16 rows, and a panel into blocks of consecutive columns. In every
/// block byte 4r + i belongs to row r of the panel, i < 4, so that a vector of 64 bytes has a row in
/// each lane of 32 bits:
///
/// - `int2`: 16 columns in 64 bytes; bits 2s and 2s + 1 hold column 4s + i.
/// - `int3`: 32 columns in 192 bytes, three vectors; the bits from 0 and from 3 hold columns 8v + i and
///   8v + 4 + i of vector v, the upper two bits the rest of columns 24 + i and 28 + i.
/// - `int4`: 8 columns in 64 bytes; the low nibble holds column i, the high one column 4 + i.
/// - `int8`: 4 columns in 64 bytes; the byte holds column i.
/// - `e8p`: 32 columns in 128 bytes; byte 4r + k of the first 64 is the index and of the others the
///   signs of a point of eight coordinates, columns 8k ... 8k + 7. See `LatticeCodebook`.
/// - `trellis2`, `trellis2_5`, `trellis3`: tiles of 64 rows, whose rows share bits. See `TrellisCode`.
///
/// The contract, with a worked example of each format, is `PackedFormats.h` of the kernels.
public enum WeightFormat: String, Sendable, Hashable, CaseIterable {
  /// Two bits: scale * (code - 1.5).
  case int2
  /// Three bits: scale * (code - 3.5).
  case int3
  /// Four bits: scale * (code - 7.5).
  case int4
  /// Eight bits: scale * (code - 128).
  case int8
  /// Two bits, sixteen for eight weights: scale * (a point of E8 + 1/4 or E8 - 1/4).
  case e8p
  /// Two bits: scale * (a sum of twelve bits, some of them of the rows above).
  case trellis2
  /// Two and a half bits, coded like `trellis2`: two in even rows and three in odd ones.
  case trellis2_5 = "trellis2.5"
  /// Three bits, coded like `trellis2`.
  case trellis3

  /// What the bits of a format stand for.
  public enum Coding: Sendable {
    /// Every weight has a code of its own, an integer.
    case integers
    /// Eight weights of a row have a code together, a point of a lattice.
    case lattice
    /// The weights of a column share bits with the weights above them.
    case trellis
  }

  /// What the bits stand for.
  public var coding: Coding {
    switch self {
    case .int2, .int3, .int4, .int8: .integers
    case .e8p: .lattice
    case .trellis2, .trellis2_5, .trellis3: .trellis
    }
  }

  /// The bits of a weight's code; where weights have a code together, its bits divided among them.
  public var bitsPerCode: Double {
    Double(panelColumnByteCount * 8) / Double(PackedLayout.panelRows)
  }

  /// The bytes of the codes of sixteen rows of a column.
  public var panelColumnByteCount: Int {
    switch self {
    case .int2, .e8p, .trellis2: 4
    case .trellis2_5: 5
    case .int3, .trellis3: 6
    case .int4: 8
    case .int8: 16
    }
  }

  /// The number of rows whose codes lie together.
  ///
  /// The rows of a matrix are padded to a multiple of it.
  public var tileRows: Int { coding == .trellis ? 64 : PackedLayout.panelRows }

  /// The largest code of a weight; where weights have no codes of their own, the largest byte.
  public var largestCode: UInt8 {
    switch self {
    case .int2: 3
    case .int3: 7
    case .int4: 15
    case .int8, .e8p, .trellis2, .trellis2_5, .trellis3: 255
    }
  }

  /// The number of columns of a block.
  public var blockColumns: Int {
    switch self {
    case .int2: 16
    case .int3, .e8p, .trellis2, .trellis2_5, .trellis3: 32
    case .int4: 8
    case .int8: 4
    }
  }

  /// The bytes of a block of sixteen rows.
  public var blockByteCount: Int { blockColumns * panelColumnByteCount }

  /// The number that is subtracted from a code when there are no offsets.
  ///
  /// No code of two to four bits is equal to it, so no value is zero. It is 0 where codes are not
  /// numbers.
  public var zeroPoint: Float {
    switch self {
    case .int2: 1.5
    case .int3: 3.5
    case .int4: 7.5
    case .int8: 128
    case .e8p, .trellis2, .trellis2_5, .trellis3: 0
    }
  }

  /// The unit of the integers that the kernels compute with when there are no offsets.
  ///
  /// The values of a matrix are scale * unit * integer.
  public var unit: Float {
    switch self {
    case .int2, .int3, .int4: 0.5
    case .int8: 1
    case .e8p: 0.25
    case .trellis2, .trellis2_5, .trellis3: 0.0625
    }
  }

  /// The name in the tables of the kernels.
  package var kernelsFormat: kernels_format {
    switch self {
    case .int2: KERNELS_INT2
    case .int3: KERNELS_INT3
    case .int4: KERNELS_INT4
    case .int8: KERNELS_INT8
    case .e8p: KERNELS_E8P
    case .trellis2: KERNELS_TRELLIS2
    case .trellis2_5: KERNELS_TRELLIS2_5
    case .trellis3: KERNELS_TRELLIS3
    }
  }
}

/// How many consecutive columns of a row share a scale.
public enum GroupSize: String, Sendable, Hashable, CaseIterable {
  /// 32, 64 or 128 columns.
  case columns32 = "32"
  case columns64 = "64"
  case columns128 = "128"
  /// All columns.
  case row

  /// The columns of a group, or nil for all of them.
  public var columnCount: Int? {
    switch self {
    case .columns32: 32
    case .columns64: 64
    case .columns128: 128
    case .row: nil
    }
  }

  /// The group size of `columnCount` columns, or nil when there is none.
  public init?(columnCount: Int) {
    guard let size = Self.allCases.first(where: { $0.columnCount == columnCount }) else {
      return nil
    }
    self = size
  }
}
