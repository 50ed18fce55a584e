package import DuetRuntime
internal import DuetSystem

/// The randomised Hadamard transforms of a model, one for each size, applied to matrices.
///
/// All linear layers with inputs or outputs of one size share its transform. So layers with the same
/// input also share the rotated input, and a model stores one row of signs per size.
package struct MatrixRotation: Sendable {
  private let transforms: [Int: IncoherenceTransform]
  private let kernelSet: KernelSet
  private let algebra: LinearAlgebra

  /// The transforms of `sizes`, with signs that follow from `seed` and the size.
  ///
  /// - Throws: `IncoherenceError` for a size without a transform.
  package init(
    sizes: some Sequence<Int>, seed: UInt64, _ kernelSet: KernelSet, _ algebra: LinearAlgebra
  ) throws(IncoherenceError) {
    var transforms: [Int: IncoherenceTransform] = [:]
    for size in sizes where transforms[size] == nil {
      // Neighbouring seeds give unrelated numbers: the generator scrambles its seed first.
      transforms[size] = try IncoherenceTransform(size: size, seed: seed &+ UInt64(size))
    }
    self.transforms = transforms
    self.kernelSet = kernelSet
    self.algebra = algebra
  }

  /// Transforms of different sizes.
  init(_ transforms: [IncoherenceTransform], _ kernelSet: KernelSet, _ algebra: LinearAlgebra) {
    self.transforms = Dictionary(uniqueKeysWithValues: transforms.map { ($0.size, $0) })
    self.kernelSet = kernelSet
    self.algebra = algebra
  }

  /// The transform of vectors of `size`.
  ///
  /// - Precondition: The size was among those of `init`.
  package subscript(size: Int) -> IncoherenceTransform {
    guard let transform = transforms[size] else { preconditionFailure("no transform of \(size)") }
    return transform
  }

  /// All transforms, by ascending size.
  package var all: [IncoherenceTransform] { transforms.values.sorted { $0.size < $1.size } }

  /// Replaces every row x of a matrix by B S x.
  package func rotateRows(_ a: inout Matrix<Float>) {
    let transform = self[a.columnCount]
    var scratch = Buffer<Float>(
      count: transform.scratchCount(threadCount: algebra.pool.threadCount))
    transform.rotate(
      &a.elements, tokenCount: a.rowCount, scratch: &scratch, kernelSet, algebra.pool)
  }

  /// Replaces every row z of a matrix by S B^T z.
  package func rotateRowsBack(_ a: inout Matrix<Float>) {
    let transform = self[a.columnCount]
    var scratch = Buffer<Float>(
      count: transform.scratchCount(threadCount: algebra.pool.threadCount))
    transform.rotateBack(
      &a.elements, tokenCount: a.rowCount, scratch: &scratch, kernelSet, algebra.pool)
  }

  /// Replaces every column x of a matrix by B S x: rotates the outputs of a weight matrix.
  package func rotateColumns(_ a: inout Matrix<Float>) {
    var transposed = algebra.transposed(a)
    rotateRows(&transposed)
    a = algebra.transposed(transposed)
  }

  /// Undoes `rotateColumns`: replaces every column z of a matrix by S B^T z.
  package func rotateColumnsBack(_ a: inout Matrix<Float>) {
    var transposed = algebra.transposed(a)
    rotateRowsBack(&transposed)
    a = algebra.transposed(transposed)
  }

  /// Replaces a symmetric H by B S H S B^T, the Hessian of rotated inputs.
  package func rotateBothSides(_ hessian: inout Matrix<Float>) {
    rotateRows(&hessian)
    hessian = algebra.transposed(hessian)
    rotateRows(&hessian)
  }
}
