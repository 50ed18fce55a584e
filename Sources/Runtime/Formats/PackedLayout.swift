/// The sizes of a packed matrix, and of the codes, scales and offsets that are stored for it.
public struct PackedLayout: Sendable, Hashable {
  /// The number of rows of a panel.
  public static let panelRows = 16

  /// How the codes are stored.
  public let format: WeightFormat
  /// How many columns share a scale.
  public let groupSize: GroupSize
  /// The number of rows.
  public let outputSize: Int
  /// The number of columns.
  public let inputSize: Int

  /// The layout of a matrix (outputSize, inputSize).
  ///
  /// - Precondition: Both sizes are positive; a trellis code has one scale for each row.
  public init(_ format: WeightFormat, groupSize: GroupSize, outputSize: Int, inputSize: Int) {
    precondition(outputSize > 0 && inputSize > 0, "a matrix of \(outputSize) x \(inputSize)")
    precondition(
      format.coding != .trellis || groupSize == .row,
      "\(format.rawValue) with groups of \(groupSize.rawValue)")
    self.format = format
    self.groupSize = groupSize
    self.outputSize = outputSize
    self.inputSize = inputSize
  }

  /// The number of panels of 16 rows, of which those at the end may be padded.
  public var panelCount: Int {
    Self.quotient(outputSize, format.tileRows) * (format.tileRows / Self.panelRows)
  }

  /// The number of stored columns, padding included.
  ///
  /// It is a multiple of the group, or, when a whole row has one scale, of the columns of a block, so
  /// that a narrow matrix such as a left factor takes few bytes.
  public var paddedInputSize: Int {
    let step = groupSize.columnCount ?? format.blockColumns
    return Self.quotient(inputSize, step) * step
  }

  /// The number of scales of a row.
  public var groupCount: Int { groupSize.columnCount.map { paddedInputSize / $0 } ?? 1 }

  /// The number of codes of a row, without padding: one for each weight, in e8p one for eight weights.
  public var codesPerRow: Int {
    format.coding == .lattice ? Self.quotient(inputSize, 8) : inputSize
  }

  /// The bytes of a panel's codes, a multiple of 32; those of a tile are a multiple of 64.
  public var panelByteCount: Int { paddedInputSize * format.panelColumnByteCount }

  /// The shape of the stored codes, (panels, bytes of a panel).
  public var codesShape: [Int] { [panelCount, panelByteCount] }

  /// The shape of the stored scales, and of the offsets: (panels, groups, 16).
  public var scalesShape: [Int] { [panelCount, groupCount, Self.panelRows] }

  /// The bytes of all codes.
  public var codeByteCount: Int { panelCount * panelByteCount }

  /// The number of stored scales, those of padded rows included.
  public var scaleCount: Int { panelCount * groupCount * Self.panelRows }

  /// The bytes of the codes, the scales and the offsets, if there are any.
  public func byteCount(hasOffsets: Bool = false) -> Int {
    codeByteCount + scaleCount * 2 * (hasOffsets ? 2 : 1)
  }

  /// The stored bits, padding included, divided by the number of weights.
  public func bitsPerWeight(hasOffsets: Bool = false) -> Double {
    Double(byteCount(hasOffsets: hasOffsets)) * 8 / (Double(outputSize) * Double(inputSize))
  }

  // MARK: - Places

  /// Where the scales begin in memory that starts with the codes, whose size is a multiple of 64.
  package var scalesStart: Int { codeByteCount }

  /// Where the offsets begin in that memory: after the scales, at the next multiple of 64.
  package var offsetsStart: Int { codeByteCount + Self.quotient(2 * scaleCount, 64) * 64 }

  /// The index of the scale of `row` and `group` among all stored scales.
  package func scaleIndex(row: Int, group: Int) -> Int {
    precondition(
      row >= 0 && row < outputSize && group >= 0 && group < groupCount,
      "row \(row) and group \(group) of \(outputSize) and \(groupCount)")
    return (row / Self.panelRows * groupCount + group) * Self.panelRows + row % Self.panelRows
  }

  /// The indices of the scales of padded rows among all stored scales, in the last panels.
  package var paddedScaleIndices: [Int] {
    (outputSize / Self.panelRows..<panelCount).flatMap { panel in
      let used = max(0, outputSize - panel * Self.panelRows)
      return (0..<groupCount).flatMap { group in
        (used..<Self.panelRows).map { (panel * groupCount + group) * Self.panelRows + $0 }
      }
    }
  }

  /// The row of the stored scale at `index`.
  func row(ofScale index: Int) -> Int {
    index / (groupCount * Self.panelRows) * Self.panelRows + index % Self.panelRows
  }

  /// The group of the stored scale at `index`.
  func group(ofScale index: Int) -> Int { index / Self.panelRows % groupCount }

  /// `count` divided by `step`, rounded up, without a sum that could overflow.
  private static func quotient(_ count: Int, _ step: Int) -> Int {
    count / step + (count % step == 0 ? 0 : 1)
  }
}
