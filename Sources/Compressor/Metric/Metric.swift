public import DuetRuntime

/// The metric for errors in the weights of a linear layer: the Hessian of its inputs, damped and rotated.
///
/// H = E[x x^T] is divided by its mean diagonal and damped, H / mean(diag H) + damping * I, and the
/// weights of inputs that are always zero are taken to be zero. Where channels O are stored as columns,
/// only the error that remains with the best columns counts for Q + L R: its metric is the Schur
/// complement H - H_:O H_OO^-1 H_O:.
///
/// Layers that share their input share a metric.
public struct Metric: ~Copyable {
  /// The metric of Q + L R, in the rotated basis, with its damping; (n, n).
  public let hessian: Matrix<Float>
  /// The factors of `hessian`, for rounding with feedback.
  package let feedback: FeedbackFactor
  /// What was added to the diagonal of `hessian`, in units of H's mean diagonal.
  package let damping: Double
  /// The inputs that were zero on all tokens.
  package let deadInputs: [Int]
  /// The channels in descending order of second moment.
  public let ranking: [Int]
  /// The channels stored as columns, if any.
  package let columns: OutlierColumns?
  /// How inputs are rotated, or nil if they are not.
  package let rotation: MatrixRotation?

  /// The metric of a measured Hessian.
  ///
  /// - Parameters:
  ///   - measured: E[x x^T], (n, n), in double precision; destroyed.
  ///   - name: The linear layer, for messages.
  ///   - damping: The damping to begin with, relative to the mean diagonal; it doubles until the
  ///     factorisation works, at most ten times.
  ///   - columnCount: How many channels are stored as columns, fewer than n.
  ///   - rotation: How inputs are rotated, or nil if they are not.
  ///   - algebra: The threads to compute with.
  /// - Throws: `CompressionDataError` when the Hessian is not finite, zero, or not positive definite with
  ///   any damping.
  /// - Complexity: O(n^3).
  package init(
    _ measured: inout Matrix<Double>, name: String, damping: Double,
    columnCount: Int = 0, rotation: MatrixRotation? = nil, _ algebra: LinearAlgebra
  ) throws(CompressionDataError) {
    let n = measured.rowCount
    precondition(
      n == measured.columnCount && columnCount < n,
      "\(columnCount) columns of (\(n), \(measured.columnCount))")
    let diagonal = (0..<n).map { measured[$0, $0] }
    // If one number is not finite, neither is the sum.
    let mean = diagonal.reduce(0, +) / Double(n)
    guard mean.isFinite, diagonal.allSatisfy({ $0 >= 0 }) else {
      throw .badHessian(tensor: name, reason: "has infinite or negative numbers on its diagonal")
    }
    guard mean > 0 else {
      throw .badHessian(tensor: name, reason: "is zero: no activations reach this layer")
    }
    let ranking = diagonal.indices.sorted {
      diagonal[$0] == diagonal[$1] ? $0 < $1 : diagonal[$0] > diagonal[$1]
    }
    let (source, scale) = unsafe (measured.pointer, 1 / mean)
    algebra.forEachChunk(n * n) { range in
      for index in range { unsafe source[index] *= scale }
    }

    // The damping is relative to the mean diagonal, which is 1 except for a Schur complement.
    var shift = damping
    let columns = try Self.columns(
      Array(ranking.prefix(columnCount)), complementing: &measured, name: name, damping: damping,
      rotation, algebra)
    if columnCount > 0 {
      shift *= (0..<n).reduce(0) { $0 + measured[$1, $1] } / Double(n)
    }
    var hessian = Matrix<Float>(rowCount: n, columnCount: n)
    let target = unsafe hessian.pointer
    algebra.forEachChunk(n * n) { range in
      for index in range { unsafe target[index] = unsafe Float(source[index]) }
    }
    rotation?.rotateBothSides(&hessian)
    let factor = try Damped(from: shift, name) { shift throws(LinearAlgebraError) in
      Self.widen(hessian, shift: shift, into: &measured, algebra)
      return try FeedbackFactor(&measured, algebra)
    }
    shift = factor.damping
    for index in 0..<n { hessian[index, index] += Float(shift) }
    self.hessian = hessian
    feedback = factor.value
    self.ranking = ranking
    deadInputs = diagonal.indices.filter { diagonal[$0] == 0 }
    self.columns = columns
    self.damping = shift
    self.rotation = rotation
  }

  /// The diagonal of another metric, which ignores the correlations between inputs.
  ///
  /// - Throws: `LinearAlgebraError` when an element of the diagonal is not positive.
  package init(
    diagonalOf other: borrowing Metric, _ algebra: LinearAlgebra
  ) throws(LinearAlgebraError) {
    let n = other.size
    var hessian = Matrix<Float>(rowCount: n, columnCount: n)
    for index in 0..<n { hessian[index, index] = other.hessian[index, index] }
    var wide = algebra.widened(hessian)
    feedback = try FeedbackFactor(&wide, algebra)
    self.hessian = hessian
    damping = other.damping
    deadInputs = other.deadInputs
    ranking = other.ranking
    columns = nil
    rotation = other.rotation
  }

  /// The columns of `channels`, or nil if there are none.
  private static func columns(
    _ channels: [Int], complementing hessian: inout Matrix<Double>, name: String, damping: Double,
    _ rotation: MatrixRotation?, _ algebra: LinearAlgebra
  ) throws(CompressionDataError) -> OutlierColumns? {
    if channels.isEmpty { return nil }
    do throws(LinearAlgebraError) {
      return try OutlierColumns(
        channels.sorted(), complementing: &hessian, damping: damping, rotation: rotation, algebra)
    } catch {
      throw .notPositiveDefinite(tensor: name, damping: damping)
    }
  }

  /// target = (H + H^T) / 2 + shift * I in double precision.
  private static func widen(
    _ hessian: borrowing Matrix<Float>, shift: Double, into target: inout Matrix<Double>,
    _ algebra: LinearAlgebra
  ) {
    let n = hessian.rowCount
    let (x, y) = unsafe (hessian.pointer, target.pointer)
    algebra.pool.run((n + 31) / 32) { part, _ in
      for left in stride(from: 0, to: n, by: 32) {
        for row in part * 32..<min(part * 32 + 32, n) {
          for column in left..<min(left + 32, n) {
            let sum = unsafe Double(x[row * n + column]) + Double(x[column * n + row])
            unsafe y[row * n + column] = sum / 2 + (row == column ? shift : 0)
          }
        }
      }
    }
  }

  /// The number of inputs.
  public var size: Int { hessian.rowCount }

  /// The number of channels that are stored as columns.
  package var columnCount: Int { columns?.channels.count ?? 0 }

  /// The rows of the identity that belong to `channels`, in the rotated basis: (channels, n).
  ///
  /// The row r of channel c is B S e_c, so W' r is column c of W, where W' is W with rotated inputs.
  package static func selector(
    of channels: [Int], size: Int, _ rotation: MatrixRotation?
  ) -> Matrix<Float> {
    var rows = Matrix<Float>(rowCount: channels.count, columnCount: size)
    for (index, channel) in channels.enumerated() { rows[index, channel] = 1 }
    rotation?.rotateRows(&rows)
    return rows
  }
}
