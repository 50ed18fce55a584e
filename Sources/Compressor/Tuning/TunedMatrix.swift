internal import DuetRuntime
internal import DuetSystem

/// A compressed matrix of a layer, whose codes stay while its real numbers change.
///
///     W = S_out B_out^T ((Q + L R) B_in S_in + C E_O^T)
///
/// with the parts of `DenseReconstruction`. The changing numbers are the scales and offsets of Q, L, R and C, and the
/// entries of L and R where these are in half precision.
struct TunedMatrix {
  /// L or R.
  enum Factor {
    case packed(TunedPackedMatrix)
    /// In half precision, (rows, columns).
    case half(TunedVector, rows: Int, columns: Int)

    /// The place behind the numbers.
    var end: Int {
      switch self {
      case .packed(let packed): packed.end
      case .half(let vector, _, _): vector.range.upperBound
      }
    }

    func values(_ numbers: borrowing Buffer<Float>, _ algebra: LinearAlgebra) -> Matrix<Float> {
      switch self {
      case .packed(let packed): return packed.values(numbers, algebra)
      case .half(let vector, let rows, let columns):
        var result = Matrix<Float>(rowCount: rows, columnCount: columns)
        for (index, value) in vector.values(numbers).enumerated() {
          result[index / columns, index % columns] = value
        }
        return result
      }
    }

    func addGradient(
      of gradient: borrowing Matrix<Float>, to result: borrowing Buffer<Float>,
      _ algebra: LinearAlgebra
    ) {
      switch self {
      case .packed(let packed): packed.addGradient(of: gradient, to: result, algebra)
      case .half(let vector, _, _):
        unsafe vector.addGradient(of: gradient.pointer, to: result)
      }
    }

    func storedTensors(_ numbers: borrowing Buffer<Float>) throws -> [StoredTensor] {
      switch self {
      case .packed(let packed): try packed.storedTensors(numbers)
      case .half(let vector, _, _): [try vector.storedTensor(numbers, keepsHalf: true)]
      }
    }
  }

  private let outputSize: Int
  private let inputSize: Int
  private let incoherence: IncoherenceSides
  private let quantized: TunedPackedMatrix?
  private let factors: (left: Factor, right: Factor)?
  private let columns: TunedPackedMatrix?
  /// The input channels of C.
  private let channels: [Int]

  /// The matrix `name`, or nil when it is stored dense.
  ///
  /// - Parameters:
  ///   - checkpoint: A compressed model that `Model` has loaded.
  ///   - name: The name, without ".weight".
  ///   - outputSize: Its rows.
  ///   - inputSize: Its columns.
  ///   - start: The place of its first number; moved behind its last.
  /// - Throws: `CheckpointError`.
  init?(
    _ checkpoint: borrowing Checkpoint, _ name: String, outputSize: Int, inputSize: Int,
    start: inout Int
  ) throws(CheckpointError) {
    guard let format = checkpoint.configuration.compression, !checkpoint.contains("\(name).weight")
    else { return nil }
    self.outputSize = outputSize
    self.inputSize = inputSize
    incoherence = format.incoherence
    var place = start
    func packed(
      _ part: String, _ layout: PackedLayout, _ grid: GridKind = .symmetric
    ) throws(CheckpointError) -> TunedPackedMatrix {
      let matrix = try PackedMatrix(checkpoint, part, layout: layout, grid: grid)
      let result = TunedPackedMatrix(matrix, part, start: place)
      place = result.end
      return result
    }
    func half(_ part: String, _ rows: Int, _ columns: Int) throws(CheckpointError) -> Factor {
      let tensor = try checkpoint.tensor(
        named: part, shape: [rows, columns], elementTypes: [.f16])
      let vector = TunedVector(tensor, .tensor, start: place)
      place = vector.range.upperBound
      return .half(vector, rows: rows, columns: columns)
    }
    if let layout = format.quantizedLayout(outputSize: outputSize, inputSize: inputSize) {
      quantized = try packed(name, layout, format.grid)
    } else {
      quantized = nil
    }
    let rank = format.rank(of: name, outputSize: outputSize, inputSize: inputSize)
    if rank == 0 {
      factors = nil
    } else if let layouts = format.factors.layouts(
      rank: rank, outputSize: outputSize, inputSize: inputSize)
    {
      let left = Factor.packed(try packed("\(name).left", layouts.left))
      factors = (left, .packed(try packed("\(name).right", layouts.right)))
    } else {
      let left = try half("\(name).left.values", outputSize, rank)
      factors = (left, try half("\(name).right.values", rank, inputSize))
    }
    if let index = try checkpoint.tensor(named: "\(name).columns.index") {
      channels = (0..<index.elementCount).map {
        unsafe Int(index.bytes.unsafeLoadUnaligned(fromByteOffset: 4 * $0, as: Int32.self))
      }
      columns = try packed(
        "\(name).columns",
        CompressedFormat.columnsLayout(outputSize: outputSize, count: channels.count))
    } else {
      channels = []
      columns = nil
    }
    start = place
  }

  /// W, (outputSize, inputSize).
  ///
  /// - Complexity: O(m n (rank + log(m) + log(n))).
  func weight(
    _ numbers: borrowing Buffer<Float>, _ rotation: MatrixRotation?, _ algebra: LinearAlgebra
  ) -> Matrix<Float> {
    var result =
      quantized?.values(numbers, algebra)
      ?? Matrix<Float>(rowCount: outputSize, columnCount: inputSize)
    if let factors {
      algebra.multiply(
        factors.left.values(numbers, algebra), factors.right.values(numbers, algebra), old: 1,
        into: &result)
    }
    if incoherence != .none { rotation?.rotateRowsBack(&result) }
    if let columns {
      let values = columns.values(numbers, algebra)
      for row in 0..<outputSize {
        for (index, channel) in channels.enumerated() {
          result[row, channel] += values[row, index]
        }
      }
    }
    if incoherence == .both { rotation?.rotateColumnsBack(&result) }
    return result
  }

  /// Adds the derivatives by the tuned numbers.
  ///
  /// Rotations are orthogonal, so with G = B_out S_out dW the derivatives are dC = G E_O, and, with
  /// D = G S_in B_in^T, dQ = D, dL = D R^T, dR = L^T D.
  ///
  /// - Parameters:
  ///   - gradient: dW, (outputSize, inputSize).
  ///   - numbers: All tuned numbers.
  ///   - rotation: The rotations of the model.
  ///   - result: Where the derivatives by all tuned numbers are added.
  ///   - algebra: The threads to compute with.
  func addGradient(
    of gradient: consuming Matrix<Float>, _ numbers: borrowing Buffer<Float>,
    _ rotation: MatrixRotation?, to result: borrowing Buffer<Float>, _ algebra: LinearAlgebra
  ) {
    var gradient = gradient
    if incoherence == .both { rotation?.rotateColumns(&gradient) }
    if let columns {
      var part = Matrix<Float>(rowCount: outputSize, columnCount: channels.count)
      for row in 0..<outputSize {
        for (index, channel) in channels.enumerated() { part[row, index] = gradient[row, channel] }
      }
      columns.addGradient(of: part, to: result, algebra)
    }
    if incoherence != .none { rotation?.rotateRows(&gradient) }
    quantized?.addGradient(of: gradient, to: result, algebra)
    guard let factors else { return }
    let left = factors.left.values(numbers, algebra)
    let right = factors.right.values(numbers, algebra)
    factors.left.addGradient(
      of: algebra.product(gradient, right, transposesRight: true), to: result, algebra)
    factors.right.addGradient(
      of: algebra.product(left, transposesLeft: true, gradient), to: result, algebra)
  }

  /// The tensors that change, with the tuned numbers.
  ///
  /// - Throws: `CompressionDataError.outOfHalfRange`, `FileError` when there is no memory.
  func storedTensors(_ numbers: borrowing Buffer<Float>) throws -> [StoredTensor] {
    var result = try quantized?.storedTensors(numbers) ?? []
    if let factors {
      result += try factors.left.storedTensors(numbers)
      result += try factors.right.storedTensors(numbers)
    }
    return result + (try columns?.storedTensors(numbers) ?? [])
  }
}
