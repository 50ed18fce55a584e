/// The low-rank part of a decomposed weight matrix: L R, beside the quantised part Q.
package struct LowRankFactors: Sendable {
  /// L, (outputSize, rank).
  package let left: PackedMatrix
  /// R, (rank, inputSize).
  package let right: PackedMatrix

  /// The product of two packed factors.
  ///
  /// - Precondition: The columns of `left` are as many as the rows of `right`.
  package init(left: PackedMatrix, right: PackedMatrix) {
    precondition(
      left.inputSize == right.outputSize, "ranks \(left.inputSize) and \(right.outputSize)")
    self.left = left
    self.right = right
  }

  /// The inner size.
  package var rank: Int { right.outputSize }

  /// The rank that was stored: the number of components without the padding at the end.
  ///
  /// A component is padding when its scales in R are zero, and its codes in L are zero although a scale
  /// in L is not. A stored component of zeros is not padding, because the value 0 has a code in the
  /// middle of the range. In a matrix of zeros the scales in L are zero too, so all components count.
  ///
  /// - Complexity: O(inputSize / 128) where there is no padding.
  var storedRank: Int {
    var result = rank
    while result > 0, isPadding(result - 1) { result -= 1 }
    return result
  }

  private func isPadding(_ component: Int) -> Bool {
    let layout = right.layout
    guard (0..<layout.groupCount).allSatisfy({ right.scale(row: component, group: $0) == 0 })
    else { return false }
    let group = left.groupSize.columnCount.map { component / $0 } ?? 0
    return left.hasOnlyZeroCodes(inColumn: component)
      && (0..<left.outputSize).contains { left.scale(row: $0, group: group) != 0 }
  }
}

/// The outlier columns of a weight matrix, stored separately in eight bits: C beside Q + L R.
package struct PackedColumns: Sendable {
  /// The input channels that they multiply, ascending.
  package let channels: [Int]
  /// C, (outputSize, channels).
  package let weights: PackedMatrix

  /// The columns that multiply `channels`.
  ///
  /// - Precondition: There are as many columns as channels.
  package init(channels: [Int], weights: PackedMatrix) {
    precondition(
      channels.count == weights.inputSize,
      "\(channels.count) channels and \(weights.inputSize) columns")
    self.channels = channels
    self.weights = weights
  }
}

/// One or more decomposed weight matrices that share their input: y = Q z + L (R z).
///
/// The rows of the parts follow each other in the output, as in `Linear`: the queries, keys and values
/// of a token are side by side, and so are gate and up. When the matrices were compressed with an
/// `IncoherenceTransform`, the input must be rotated already: this type does not rotate.
package struct PackedLinear: Sendable {
  /// A matrix W = Q + L R, Q alone, or L R alone.
  package struct Part: Sendable {
    /// Q, (outputSize, inputSize), or nil when W is L R.
    package let quantized: PackedMatrix?
    /// L and R, or nil when W is Q.
    package let lowRank: LowRankFactors?
    /// C, which multiplies some of the inputs before any rotation, or nil.
    package let columns: PackedColumns?
    /// The row of the output where this part begins.
    public fileprivate(set) var outputRow = 0

    /// The decomposition of one matrix.
    ///
    /// - Precondition: There is Q or L R, and the sizes of the parts agree.
    package init(
      quantized: PackedMatrix?, lowRank: LowRankFactors? = nil, columns: PackedColumns? = nil
    ) {
      precondition(quantized != nil || lowRank != nil, "a matrix of neither Q nor L R")
      self.quantized = quantized
      self.lowRank = lowRank
      self.columns = columns
      precondition(
        columns?.weights.outputSize ?? outputSize == outputSize,
        "columns of \(columns?.weights.outputSize ?? 0) rows beside \(outputSize)")
      if let lowRank {
        precondition(
          lowRank.left.outputSize == outputSize && lowRank.right.inputSize == inputSize,
          "L R (\(lowRank.left.outputSize), \(lowRank.right.inputSize)) beside "
            + "Q (\(outputSize), \(inputSize))")
      }
    }

    /// The number of rows.
    package var outputSize: Int { quantized?.outputSize ?? lowRank?.left.outputSize ?? 0 }
    /// The number of columns.
    package var inputSize: Int { quantized?.inputSize ?? lowRank?.right.inputSize ?? 0 }

    /// The bytes that one token reads once.
    var byteCount: Int {
      (quantized?.byteCount ?? 0)
        + (lowRank.map { $0.left.byteCount + $0.right.byteCount } ?? 0)
        + (columns?.weights.byteCount ?? 0)
    }
  }

  /// The matrices, in the order of their rows in the output.
  package let parts: [Part]
  /// The number of columns of every part.
  package let inputSize: Int
  /// The number of rows of all parts.
  package let outputSize: Int

  // Data that every token needs, prepared once.

  /// The input as one vector.
  let inputs: ActivationSegments
  /// The ranks of the parts that have factors.
  let ranks: ActivationSegments
  /// The numbers of outlier columns of the parts that have any.
  let columns: ActivationSegments
  /// The input channels of the outlier columns of all parts.
  let channels: [Int]
  /// R of all parts, whose rows follow each other.
  let factorProducts: [PackedRows]
  /// Q of all parts, with L and outlier columns.
  let products: [PackedRows]

  /// Matrices that are multiplied as one job, their rows one after the other.
  ///
  /// - Precondition: There is at least one, and all have the same number of columns.
  package init(_ parts: [Part]) {
    let sizes = parts.map(\.outputSize)
    let rows = sizes.reduce(into: [0]) { rows, size in rows.append(rows[rows.count - 1] + size) }
    self.init(parts, outputRows: Array(rows.dropLast()), outputSize: rows[parts.count])
  }

  /// Matrices whose rows begin at `outputRows` of an output of `outputSize` rows.
  ///
  /// - Precondition: There is at least one, all have the same number of columns, and the rows lie in the
  ///   output.
  init(_ parts: [Part], outputRows: [Int], outputSize: Int) {
    precondition(!parts.isEmpty, "a linear layer without matrices")
    inputSize = parts[0].inputSize
    var parts = parts
    for (index, row) in outputRows.enumerated() { parts[index].outputRow = row }
    for part in parts {
      precondition(
        part.inputSize == inputSize,
        "parts of \(part.inputSize) and \(inputSize) columns share no input")
    }
    self.parts = parts
    self.outputSize = outputSize
    inputs = ActivationSegments([inputSize])
    ranks = ActivationSegments(parts.compactMap { $0.lowRank?.rank })
    columns = ActivationSegments(parts.compactMap { $0.columns?.channels.count })
    channels = parts.flatMap { $0.columns?.channels ?? [] }
    factorProducts = Self.factorProducts(parts)
    products = Self.products(parts, ranks, columns)
  }

  private static func factorProducts(_ parts: [Part]) -> [PackedRows] {
    var row = 0
    return parts.compactMap(\.lowRank?.right).map { right in
      defer { row += right.outputSize }
      var rows = PackedRows(outputRow: row, rowCount: right.outputSize)
      rows.add(right, .inputs)
      return rows
    }
  }

  private static func products(
    _ parts: [Part], _ ranks: ActivationSegments, _ columns: ActivationSegments
  ) -> [PackedRows] {
    var (factor, outlier) = (0, 0)
    return parts.map { part in
      var rows = PackedRows(outputRow: part.outputRow, rowCount: part.outputSize)
      if let quantized = part.quantized { rows.add(quantized, .inputs) }
      if let left = part.lowRank?.left {
        rows.add(left, .factors, firstGroup: ranks.firstGroups[factor])
        factor += 1
      }
      if let weights = part.columns?.weights {
        rows.add(weights, .outliers, firstGroup: columns.firstGroups[outlier])
        outlier += 1
      }
      return rows
    }
  }

  /// The bytes of all matrices, which one token reads once.
  package var byteCount: Int { parts.reduce(0) { $0 + $1.byteCount } }

  /// Multiplications that one token takes, those of the factors included.
  package var multiplicationCount: Int {
    parts.reduce(0) { sum, part in
      let rank = part.lowRank?.rank ?? 0
      let columns = (part.quantized?.inputSize ?? 0) + (part.columns?.channels.count ?? 0)
      return sum + part.outputSize * columns + rank * (part.outputSize + part.inputSize)
    }
  }
}
