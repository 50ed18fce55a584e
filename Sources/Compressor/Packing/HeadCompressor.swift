package import DuetRuntime
internal import DuetSystem

/// The compression of the output head and the embedding to eight or four bits, or to half precision.
///
/// The whole head is read for every token, a large part of all bytes that a model of few bits reads. But
/// every logit depends on it. Eight bits with a scale for 64 or 128 inputs, rounded to nearest, do not change
/// the perplexity measurably.
package struct HeadCompressor {
  private let algebra: LinearAlgebra

  /// Computes with `algebra`.
  package init(_ algebra: LinearAlgebra) { self.algebra = algebra }

  /// Packs a head or an embedding.
  ///
  /// The errors in the record are errors of the weights: there is no Hessian.
  ///
  /// - Parameters:
  ///   - weight: (vocabularySize, hiddenSize).
  ///   - name: The name of the linear layer.
  ///   - layout: How it is stored, with an integer format.
  /// - Returns: The tensors to store, and the figures for the report.
  /// - Throws: `CompressionDataError` when a weight is not finite.
  package func compress(
    _ weight: borrowing Matrix<Float>, name: String, layout: PackedLayout
  ) throws(CompressionDataError) -> CompressedLinear {
    let square = algebra.dot(weight, weight)
    guard square.isFinite else { throw .nonFiniteWeight(tensor: name) }
    var quantized = QuantizedMatrix(layout)
    FeedbackRounding(algebra, IntegerGrid(layout.format)).roundToNearest(weight, into: &quantized)
    var residual = weight.copy()
    algebra.add(quantized.values, scale: -1, to: &residual)
    var record = MatrixRecord()
    record.name = name
    record.outputSize = weight.rowCount
    record.inputSize = weight.columnCount
    record.method = "\(MethodList.nearest.name) \(layout.format.rawValue)"
    record.relativeError =
      square > 0 ? (algebra.dot(residual, residual) / square).squareRoot() : 0
    record.dampedRelativeError = record.relativeError
    record.roundToNearestError = record.relativeError
    record.feedbackRoundingError = record.relativeError
    do throws(PackedMatrixError) {
      let tensors = try Packing(name, algebra).packed(quantized).storedTensors(named: name)
      record.byteCount = tensors.reduce(0) { $0 + $1.byteCount }
      return CompressedLinear(tensors: tensors, record: record)
    } catch {
      throw .packing(tensor: name, error)
    }
  }

  /// Rounds a head or an embedding of single precision to half precision.
  ///
  /// - Throws: `CompressionDataError` when a weight is not finite in half precision.
  package func halved(
    _ weight: borrowing Matrix<Float>, name: String
  ) throws(CompressionDataError) -> CompressedLinear {
    var record = MatrixRecord()
    record.name = name
    record.outputSize = weight.rowCount
    record.inputSize = weight.columnCount
    record.method = "f16"
    var (square, error) = (0.0, 0.0)
    for index in 0..<weight.elements.count {
      let value = weight.elements[index]
      let rounded = Float(Float16(value))
      guard rounded.isFinite else { throw .nonFiniteWeight(tensor: name) }
      square += Double(value) * Double(value)
      error += Double(value - rounded) * Double(value - rounded)
    }
    record.relativeError = square > 0 ? (error / square).squareRoot() : 0
    record.dampedRelativeError = record.relativeError
    record.roundToNearestError = record.relativeError
    record.feedbackRoundingError = record.relativeError
    record.byteCount = 2 * weight.elements.count
    do throws(FileError) {
      let file = try MappedFile(anonymousByteCount: record.byteCount) { memory in
        for index in 0..<weight.elements.count {
          memory.storeBytes(
            of: Float16(weight.elements[index]).bitPattern, toByteOffset: 2 * index,
            as: UInt16.self)
        }
      }
      let tensor = StoredTensor(
        name: "\(name).weight", elementType: .f16, shape: [weight.rowCount, weight.columnCount],
        file: file, byteOffset: 0)
      return CompressedLinear(tensors: [tensor], record: record)
    } catch {
      throw .packing(tensor: name, .memory(error))
    }
  }
}
