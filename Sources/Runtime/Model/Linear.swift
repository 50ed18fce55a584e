/// Dense matrices that share their input, each with its place in the output.
struct DenseRows: Sendable {
  /// A matrix.
  struct Part: Sendable {
    let matrix: DenseMatrix
    /// The row of the output where this part begins.
    let outputRow: Int
  }

  /// The matrices, in the order of their rows in the output.
  let parts: [Part]
  /// The number of columns of every matrix.
  let inputSize: Int
  /// The number of rows of the output; some may belong to other matrices.
  let outputSize: Int

  /// The bytes of all weights.
  var byteCount: Int { parts.reduce(0) { $0 + $1.matrix.byteCount } }

  /// Multiplications that one token takes.
  var multiplicationCount: Int {
    parts.reduce(0) { $0 + $1.matrix.outputSize * $1.matrix.inputSize }
  }

  /// Matrices whose rows follow each other.
  ///
  /// - Precondition: All have `inputSize` columns.
  init(_ matrices: [DenseMatrix], inputSize: Int) {
    var parts: [Part] = []
    var row = 0
    for matrix in matrices {
      parts.append(Part(matrix: matrix, outputRow: row))
      row += matrix.outputSize
    }
    self.init(parts: parts, inputSize: inputSize, outputSize: row)
  }

  init(parts: [Part], inputSize: Int, outputSize: Int) {
    self.parts = parts
    self.inputSize = inputSize
    self.outputSize = outputSize
  }
}

/// One or more weight matrices that share their input, multiplied as one job: y = x W^T + b.
///
/// The rows of the parts follow each other in the output: the queries, keys and values of a token are
/// side by side, and so are gate and up. Each part is dense or compressed.
package struct Linear: Sendable {
  /// The dense parts.
  let dense: DenseRows
  /// The compressed parts, or nil when all are dense.
  let compressed: CompressedWeights?
  /// The bias, (outputSize), or nil when no part has one.
  let bias: [Float]?
  /// The names of the parts, without ".weight".
  let names: [String]

  /// The number of columns of every part.
  package let inputSize: Int
  /// The number of rows of all parts.
  package let outputSize: Int
  /// The shapes of the parts, (outputSize, inputSize) each.
  package let shapes: [(outputSize: Int, inputSize: Int)]

  /// The linear layer of the tensors `<name>.weight`, or their compressed forms, and `<name>.bias`.
  ///
  /// - Parameters:
  ///   - checkpoint: Where the tensors are.
  ///   - parts: For each part its name without ".weight" and its number of rows.
  ///   - inputSize: The columns of every part.
  ///   - hasBias: Whether every part has a bias.
  ///   - rotations: The rotations of a compressed model.
  /// - Throws: `CheckpointError` when a tensor is missing or not what is expected.
  init(
    _ checkpoint: borrowing Checkpoint, _ parts: [(name: String, outputSize: Int)], inputSize: Int,
    hasBias: Bool = false, rotations: ModelRotations = ModelRotations()
  ) throws(CheckpointError) {
    var dense: [DenseRows.Part] = []
    var compressed: [CompressedWeights.Source] = []
    var bias: [Float] = []
    var row = 0
    for (name, outputSize) in parts {
      if checkpoint.holdsCompressed(name) {
        compressed.append(.init(name: name, outputSize: outputSize, outputRow: row))
      } else {
        let matrix = try DenseMatrix(
          checkpoint, "\(name).weight", outputSize: outputSize, inputSize: inputSize)
        dense.append(DenseRows.Part(matrix: matrix, outputRow: row))
      }
      if hasBias {
        bias += try checkpoint.vector(named: "\(name).bias", count: outputSize)
      }
      row += outputSize
    }
    self.dense = DenseRows(parts: dense, inputSize: inputSize, outputSize: row)
    self.compressed =
      compressed.isEmpty
      ? nil
      : try CompressedWeights(
        checkpoint, compressed, inputSize: inputSize, outputSize: row, rotations)
    self.bias = hasBias ? bias : nil
    self.inputSize = inputSize
    outputSize = row
    names = parts.map(\.name)
    shapes = parts.map { ($0.outputSize, inputSize) }
  }

  /// The name of the packed format, or, when all parts are dense, of the element type.
  package var elementTypeName: String {
    compressed?.formatName ?? dense.parts.first?.matrix.elementType.rawValue ?? ""
  }

  /// The bytes of all weights, which one token reads once.
  package var byteCount: Int {
    dense.byteCount + (compressed?.byteCount ?? 0)
  }

  /// Multiplications that one token takes, those of low-rank factors and outlier columns included.
  package var multiplicationCount: Int {
    dense.multiplicationCount + (compressed?.multiplicationCount ?? 0)
  }

  /// The packed matrices of the compressed parts, or nil when all are dense.
  package var packed: PackedLinear? { compressed?.linear }

  /// The rotations of the compressed parts that one token takes: of their input, and of their outputs.
  package var rotations: [IncoherenceTransform] {
    guard let compressed else { return [] }
    return (compressed.inputRotation.map { [$0] } ?? [])
      + compressed.outputRotations.map(\.rotation)
  }

  /// The matrices multiplied in single precision: the dense parts, and factors in half precision.
  package var denseMatrices: [DenseMatrix] {
    let halves =
      (compressed?.halfLefts.map(\.left) ?? []) + (compressed?.halfRight.map { [$0] } ?? [])
    return ([dense] + halves).flatMap { $0.parts.map(\.matrix) }
  }
}

extension Checkpoint {
  /// Whether the linear layer `name` is stored compressed: as Q, or as L R where there is no Q.
  ///
  /// Of the embedding, config.json says so.
  fileprivate func holdsCompressed(_ name: String) -> Bool {
    guard let compression = configuration.compression else { return false }
    if name == CompressedFormat.embeddingName { return compression.embedding != nil }
    if contains("\(name).codes") { return true }
    return compression.format == nil && contains("\(name).left.codes")
  }
}
