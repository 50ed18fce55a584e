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

  /// The bits of a weight's code; in e8p, an eighth of the bits of the code of eight weights.
  public var bitsPerCode: Int {
    switch self {
    case .int2, .e8p: 2
    case .int3: 3
    case .int4: 4
    case .int8: 8
    }
  }

  /// The largest code of a weight; in e8p, the largest byte.
  public var largestCode: UInt8 {
    switch self {
    case .int2: 3
    case .int3: 7
    case .int4: 15
    case .int8, .e8p: 255
    }
  }

  /// The number of columns of a block.
  public var blockColumns: Int {
    switch self {
    case .int2: 16
    case .int3, .e8p: 32
    case .int4: 8
    case .int8: 4
    }
  }

  /// The bytes of a block, 64 for each vector of it.
  public var blockByteCount: Int {
    blockColumns * PackedLayout.panelRows * bitsPerCode / 8
  }

  /// The number that is subtracted from a code when there are no offsets.
  ///
  /// No code of two to four bits is equal to it, so no value is zero. It is 0 for e8p, whose codes are
  /// not numbers.
  public var zeroPoint: Float {
    switch self {
    case .int2: 1.5
    case .int3: 3.5
    case .int4: 7.5
    case .int8: 128
    case .e8p: 0
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
