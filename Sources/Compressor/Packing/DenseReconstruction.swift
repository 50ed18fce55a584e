package import DuetRuntime
internal import DuetSystem

/// The reconstruction of dense weights, in the original basis, from a compressed linear layer.
///
///     W = S_out B_out^T ((Q' + L' R') B_in S_in + C' E_O^T)
///
/// with the parts as stored: Q' + L' R' is rotated back on both sides. The outlier columns C' multiply inputs
/// that are not rotated, and are rotated back on the side of the outputs only.
package struct DenseReconstruction {
  private let algebra: LinearAlgebra
  private let format: CompressedFormat
  private let rotation: MatrixRotation?

  /// The reconstruction of matrices stored in `format`, rotated by `rotation`.
  package init(_ algebra: LinearAlgebra, _ format: CompressedFormat, _ rotation: MatrixRotation?) {
    self.algebra = algebra
    self.format = format
    self.rotation = rotation
  }

  /// The dense weights, (outputSize, inputSize).
  ///
  /// - Throws: `CheckpointError` when a tensor is missing or does not have the type and shape of the format.
  /// - Complexity: O(m n (rank + log(m) + log(n))).
  package func weight(
    of linear: CompressedLinear, _ configuration: Configuration
  ) throws(CheckpointError) -> Matrix<Float> {
    let (record, name) = (linear.record, linear.record.name)
    let (m, n) = (record.outputSize, record.inputSize)
    let tensors = Checkpoint(configuration: configuration, tensors: linear.tensors)
    var result = Matrix<Float>(rowCount: m, columnCount: n)
    if let layout = format.quantizedLayout(outputSize: m, inputSize: n) {
      result = try dense(tensors, name, layout, format.grid)
    }
    if record.rank > 0 {
      let left: Matrix<Float>
      let right: Matrix<Float>
      if let layouts = format.factors.layouts(rank: record.rank, outputSize: m, inputSize: n) {
        left = try dense(tensors, "\(name).left", layouts.left)
        right = try dense(tensors, "\(name).right", layouts.right)
      } else {
        left = try half(tensors, "\(name).left.values", m, record.rank)
        right = try half(tensors, "\(name).right.values", record.rank, n)
      }
      algebra.multiply(left, right, old: 1, into: &result)
    }
    if format.incoherence != .none { rotation?.rotateRowsBack(&result) }
    if tensors.contains("\(name).columns.index") {
      let channels = record.outlierChannels
      let columns = try dense(
        tensors, "\(name).columns",
        CompressedFormat.columnsLayout(outputSize: m, count: channels.count))
      for row in 0..<m {
        for (index, channel) in channels.enumerated() {
          result[row, channel] += columns[row, index]
        }
      }
    }
    if format.incoherence == .both { rotation?.rotateColumnsBack(&result) }
    return result
  }

  /// The dense weights of a packed output head or embedding, which is not rotated; nil when `linear` is a
  /// matrix of a layer.
  ///
  /// - Throws: `CheckpointError` when a tensor is missing or does not have the expected type and shape.
  package func vocabularyWeight(
    of linear: CompressedLinear, _ configuration: Configuration
  ) throws(CheckpointError) -> Matrix<Float>? {
    guard
      let layout = format.vocabularyLayout(
        of: linear.record.name, vocabularySize: configuration.vocabularySize,
        hiddenSize: configuration.hiddenSize)
    else { return nil }
    return try dense(
      Checkpoint(configuration: configuration, tensors: linear.tensors), linear.record.name, layout)
  }

  private func dense(
    _ tensors: borrowing Checkpoint, _ name: String, _ layout: PackedLayout,
    _ grid: GridKind = .symmetric
  ) throws(CheckpointError) -> Matrix<Float> {
    algebra.unpacked(try PackedMatrix(tensors, name, layout: layout, grid: grid))
  }

  private func half(
    _ tensors: borrowing Checkpoint, _ name: String, _ rows: Int, _ columns: Int
  ) throws(CheckpointError) -> Matrix<Float> {
    let tensor = try tensors.tensor(named: name, shape: [rows, columns], elementTypes: [.f16])
    return Matrix(widening: tensor, rowCount: rows, columnCount: columns)
  }
}

extension LinearAlgebra {
  /// The numbers of a packed matrix, (outputSize, inputSize).
  func unpacked(_ packed: PackedMatrix) -> Matrix<Float> {
    let (m, n) = (packed.outputSize, packed.inputSize)
    let result = Matrix<Float>(rowCount: m, columnCount: n)
    let target = unsafe result.pointer
    forEachRows(of: packed) { rows, _ in
      unsafe packed.dequantize(rows: rows, into: target + rows.lowerBound * n)
    }
    return result
  }

  /// Calls `body`, on all threads, with rows of a packed matrix that are best unpacked together.
  func forEachRows(
    of packed: PackedMatrix, _ body: (_ rows: Range<Int>, _ thread: Int) -> Void
  ) {
    let (m, step) = (packed.outputSize, packed.rowsTogether)
    pool.run((m + step - 1) / step) { part, thread in
      body(part * step..<min(part * step + step, m), thread)
    }
  }
}
