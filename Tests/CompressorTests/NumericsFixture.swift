import DuetCompressor
import DuetRuntime
import DuetSystem
import Foundation
import Testing

/// The problems that the tests of the compressor's numerics draw, and the definitions they check against.
enum Numerics {
  /// Numbers of the standard normal distribution, by Box and Muller.
  static func gaussian(
    _ rowCount: Int, _ columnCount: Int, seed: UInt64, deviation: Double = 1
  ) -> Matrix<Double> {
    var generator = RandomGenerator(seed: seed)
    var result = Matrix<Double>(rowCount: rowCount, columnCount: columnCount)
    for index in 0..<rowCount * columnCount {
      let radius = (-2 * log(1 - generator.nextUnit())).squareRoot()
      result.elements[index] = deviation * radius * cos(2 * Double.pi * generator.nextUnit())
    }
    return result
  }

  /// The same in single precision.
  static func weights(
    _ rowCount: Int, _ columnCount: Int, seed: UInt64, deviation: Double = 1
  ) -> Matrix<Float> {
    let numbers = gaussian(rowCount, columnCount, seed: seed, deviation: deviation)
    var result = Matrix<Float>(rowCount: rowCount, columnCount: columnCount)
    for index in 0..<rowCount * columnCount {
      result.elements[index] = Float(numbers.elements[index])
    }
    return result
  }

  /// The second moment of `size` inputs that share three hidden causes and have scales within a factor of
  /// four, measured on twice as many tokens: positive definite, with a condition below 1e4.
  ///
  /// All numbers are numbers of single precision, so that a copy in it is the same matrix.
  static func hessian(_ size: Int, seed: UInt64, _ algebra: LinearAlgebra) -> Matrix<Double> {
    let tokenCount = 2 * size + 8
    var inputs = gaussian(tokenCount, size, seed: seed)
    let causes = gaussian(tokenCount, 3, seed: seed &+ 1000)
    var generator = RandomGenerator(seed: seed &+ 2000)
    for column in 0..<size {
      let scale = exp2(2 * generator.nextUnit() - 1)
      for token in 0..<tokenCount {
        inputs[token, column] = scale * (inputs[token, column] + causes[token, column % 3])
      }
    }
    var result = algebra.product(
      inputs, transposesLeft: true, inputs, scale: 1 / Double(tokenCount))
    for index in 0..<size * size {
      result.elements[index] = Double(Float(result.elements[index]))
    }
    // A product of matrices need not be symmetric to the last bit.
    for row in 0..<size {
      for column in 0..<row { result[row, column] = result[column, row] }
    }
    return result
  }

  /// tr(E H E^T) in double precision.
  static func square(
    _ e: borrowing Matrix<Double>, _ h: borrowing Matrix<Double>, _ algebra: LinearAlgebra
  ) -> Double {
    let image = algebra.product(e, h)
    return (0..<e.elements.count).reduce(0) { $0 + image.elements[$1] * e.elements[$1] }
  }

  /// tr((W - Q) H (W - Q)^T) in double precision.
  static func error(
    _ w: borrowing Matrix<Float>, _ q: borrowing Matrix<Float>, _ h: borrowing Matrix<Double>,
    _ algebra: LinearAlgebra
  ) -> Double {
    square(difference(w, q), h, algebra)
  }

  /// a - b in double precision.
  static func difference(
    _ a: borrowing Matrix<Float>, _ b: borrowing Matrix<Float>
  ) -> Matrix<Double> {
    var result = Matrix<Double>(rowCount: a.rowCount, columnCount: a.columnCount)
    for index in 0..<a.elements.count {
      result.elements[index] = Double(a.elements[index]) - Double(b.elements[index])
    }
    return result
  }

  /// The largest magnitude of a matrix.
  static func largest(_ a: borrowing Matrix<Double>) -> Double {
    (0..<a.elements.count).reduce(0) { max($0, abs(a.elements[$1])) }
  }

  /// The largest difference of two matrices.
  static func distance(_ a: borrowing Matrix<Float>, _ b: borrowing Matrix<Float>) -> Double {
    largest(difference(a, b))
  }

  /// Records an issue unless two matrices are equal to the last bit.
  static func expectIdentical(
    _ a: borrowing Matrix<Float>, _ b: borrowing Matrix<Float>,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let areIdentical =
      a.rowCount == b.rowCount && a.columnCount == b.columnCount
      && (0..<a.elements.count).allSatisfy {
        a.elements[$0].bitPattern == b.elements[$0].bitPattern
      }
    #expect(areIdentical, sourceLocation: sourceLocation)
  }

  /// The grid of a format.
  static func grid(_ format: WeightFormat) -> any RoundingGrid {
    switch format.coding {
    case .integers: IntegerGrid(format)
    case .lattice: LatticeGrid()
    case .trellis: TrellisGrid(format)
    }
  }

  /// The bytes of the tensors of a layer, by name.
  static func bytes(of linear: CompressedLinear) -> [String: [UInt8]] {
    var result: [String: [UInt8]] = [:]
    for tensor in linear.tensors {
      let bytes = tensor.bytes
      result[tensor.name] = (0..<bytes.byteCount).map {
        unsafe bytes.unsafeLoadUnaligned(fromByteOffset: $0, as: UInt8.self)
      }
    }
    return result
  }

  /// A metric without damping of its own, of a Hessian that is damped already or needs none.
  static func metric(
    _ hessian: borrowing Matrix<Double>, damping: Double = 0.01, columnCount: Int = 0,
    rotation: MatrixRotation? = nil, _ algebra: LinearAlgebra
  ) throws -> Metric {
    var measured = hessian.copy()
    return try Metric(
      &measured, name: "layer", damping: damping, columnCount: columnCount, rotation: rotation,
      algebra)
  }

  /// A problem of weights in a metric, in its basis.
  static func problem(
    _ weight: borrowing Matrix<Float>, _ metric: borrowing Metric, _ algebra: LinearAlgebra,
    outputRotation: MatrixRotation? = nil
  ) throws -> WeightProblem {
    var copy = weight.copy()
    return try WeightProblem(
      &copy, name: "layer", metric: metric, outputRotation: outputRotation, algebra)
  }
}
