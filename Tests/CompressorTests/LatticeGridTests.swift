import DuetCompressor
import DuetRuntime
import Foundation
import Testing

@Suite("LatticeGrid")
struct LatticeGridTests {
  private let grid = LatticeGrid()

  /// Numbers of the standard normal distribution, by Box and Muller.
  private func gaussians(_ count: Int, seed: UInt64) -> [Float] {
    var generator = RandomGenerator(seed: seed)
    return (0..<count).map { _ in
      let radius = (-2 * log(1 - generator.nextUnit())).squareRoot()
      return Float(radius * cos(2 * Double.pi * generator.nextUnit()))
    }
  }

  private func rounded(_ x: [Float], columns: Int, rows: Int, stride: Int, _ scales: [Float])
    -> [Float]
  {
    var values = [Float](repeating: 77, count: x.count)
    for start in Swift.stride(from: 0, to: columns, by: grid.step) {
      unsafe x.withUnsafeBufferPointer { x in
        unsafe values.withUnsafeMutableBufferPointer { values in
          guard let x = x.baseAddress, let values = values.baseAddress else { return }
          unsafe grid.round(
            x + start * stride, columns: min(grid.step, columns - start), rows: rows,
            stride: stride, scales: scales, values: values + start * stride)
        }
      }
    }
    return values
  }

  private func fitted(
    _ x: [Float], columns: Int, rows: Int, stride: Int, weights: [Float]
  ) -> [Float] {
    var scales = [Float](repeating: -1, count: rows)
    unsafe grid.fitScales(
      x, columns: columns, rows: rows, stride: stride, weights: weights, scales: &scales)
    return scales
  }

  /// The weighted squared error of each row.
  private func errors(
    _ x: [Float], columns: Int, rows: Int, stride: Int, weights: [Float], _ scales: [Float]
  ) -> [Double] {
    let values = rounded(x, columns: columns, rows: rows, stride: stride, scales)
    return (0..<rows).map { row in
      (0..<columns).reduce(0) { sum, column in
        let difference = Double(values[column * stride + row]) - Double(x[column * stride + row])
        return sum + Double(weights[column]) * difference * difference
      }
    }
  }

  @Test("rows of Gaussian numbers lose what the codebook can do, judged by a part of them")
  func gaussianError() {
    let (columns, rows) = (4096, 256)
    // Variances of 1/64 ... 64, which the scales must follow.
    let deviations = (0..<rows).map { exp2(Float($0 % 13 - 6) / 2) }
    let x = gaussians(columns * rows, seed: 41).enumerated().map {
      $0.element * deviations[$0.offset % rows]
    }
    let weights = [Float](repeating: 1, count: columns)
    func share(_ scales: [Float]) -> Double {
      let errors = errors(
        x, columns: columns, rows: rows, stride: rows, weights: weights, scales)
      return zip(errors, deviations).reduce(0) {
        $0 + $1.0 / Double(columns * rows) / Double($1.1 * $1.1)
      }
    }
    let fitted = share(fitted(x, columns: columns, rows: rows, stride: rows, weights: weights))
    // Of a million numbers the mean squared error has a standard error of about 0.0914 / 1000 (131,072
    // blocks of eight, whose errors vary by half of their mean); choosing among multiples that are 3 %
    // apart costs 0.17 % at most.
    #expect(abs(fitted - 0.0914) < 0.0005, "\(fitted)")
    // The best of all multiples for each row, by its whole error: the sample loses less than 0.1 %.
    var best = [Double](repeating: .infinity, count: rows)
    for index in -6...6 {
      let multiple = 0.97 * (1 + 0.03 * Float(index))
      let scales = (0..<rows).map { row in
        var sum = 0.0
        for column in 0..<columns { sum += Double(x[column * rows + row] * x[column * rows + row]) }
        return Float(Float16(Float((sum / Double(columns)).squareRoot()) * multiple))
      }
      let errors = errors(
        x, columns: columns, rows: rows, stride: rows, weights: weights, scales)
      best = zip(best, errors).map { min($0, $1) }
    }
    let least = zip(best, deviations).reduce(0) {
      $0 + $1.0 / Double(columns * rows) / Double($1.1 * $1.1)
    }
    #expect(fitted < least * 1.001, "\(fitted) and \(least)")
  }

  @Test("the scale of a group is the best of the candidates in the weighted error")
  func weightedFit() {
    let (columns, rows, stride) = (64, 20, 48)
    let x = gaussians(columns * stride, seed: 42).map { $0 * 0.02 }
    let weights = gaussians(columns, seed: 43).map { $0 * $0 }
    let scales = fitted(x, columns: columns, rows: rows, stride: stride, weights: weights)
    let errors = errors(
      x, columns: columns, rows: rows, stride: stride, weights: weights, scales)
    #expect(scales.allSatisfy { $0 > 0 && Float(Float16($0)) == $0 })
    for factor: Float in [0.8, 0.9, 1.1, 1.25] {
      let others = self.errors(
        x, columns: columns, rows: rows, stride: stride, weights: weights,
        scales.map { $0 * factor })
      // Alone a row may be luckier with a scale that is no candidate; together they are not.
      #expect(errors.reduce(0, +) < others.reduce(0, +), "\(factor)")
    }
    // Columns that weigh nothing do not matter.
    var changed = x
    var light = weights
    for column in Swift.stride(from: 8, to: 64, by: 16) {
      for i in column..<column + 8 {
        light[i] = 0
        for row in 0..<rows { changed[i * stride + row] = 1e3 }
      }
    }
    let before = fitted(x, columns: columns, rows: rows, stride: stride, weights: light)
    let after = fitted(changed, columns: columns, rows: rows, stride: stride, weights: light)
    #expect(before == after)
  }

  @Test("scales of zeros, of huge and of tiny numbers are finite")
  func unusualScales() {
    let (columns, rows) = (16, 16)
    var x = gaussians(columns * rows, seed: 44)
    let magnitudes: [Float] = [0, 1e-30, 1e-9, 1e5, 1e30, 1]
    for index in x.indices { x[index] *= magnitudes[index % rows % magnitudes.count] }
    let weights = [Float](repeating: 1, count: columns)
    let scales = fitted(x, columns: columns, rows: rows, stride: rows, weights: weights)
    let values = rounded(x, columns: columns, rows: rows, stride: rows, scales)
    for row in 0..<rows {
      let column = (0..<columns).map { values[$0 * rows + row] }
      switch row % magnitudes.count {
      case 0, 1, 2:
        #expect(scales[row] == 0)
        #expect(column.allSatisfy { $0 == 0 })
      case 3:
        #expect(scales[row] > 5e4 && scales[row] <= 65504)
      case 4:
        #expect(scales[row] == 65504)
        #expect(column.allSatisfy { abs($0) <= 65504 * 2.75 && $0 != 0 })
      default:
        #expect(scales[row] > 0.5 && scales[row] < 2)
      }
    }
  }

  @Test(
    "columns missing at the end count as zeros, and rows behind the last stay", arguments: 1..<8)
  func tail(columns: Int) {
    let (rows, stride) = (21, 48)
    var x = gaussians(8 * stride, seed: 45)
    for index in columns * stride..<8 * stride { x[index] = 0 }
    let scales = (0..<rows).map { 0.5 + Float($0) / 20 }
    let whole = rounded(x, columns: 8, rows: rows, stride: stride, scales)
    let part = rounded(x, columns: columns, rows: rows, stride: stride, scales)
    for column in 0..<8 {
      for row in 0..<stride {
        let value = part[column * stride + row]
        if column < columns && row < rows {
          #expect(value == whole[column * stride + row])
        } else {
          #expect(value == 77)
        }
      }
    }
    let fit = fitted(
      x, columns: columns, rows: rows, stride: stride,
      weights: [Float](repeating: 1, count: columns))
    #expect(fit.allSatisfy { $0 > 0 && $0 < 4 })
  }

  @Test(
    "values are points of the codebook, the same by all kernels", arguments: KernelSet.supported)
  func kernelSets(set: KernelSet) {
    let x = gaussians(8 * 32, seed: 46)
    let scales = [Float](repeating: 0.25, count: 32)
    let expected = rounded(x, columns: 8, rows: 32, stride: 32, scales)
    var values = x
    unsafe values.withUnsafeMutableBufferPointer { values in
      guard let base = values.baseAddress else { return }
      unsafe LatticeGrid(set).round(
        base, columns: 8, rows: 32, stride: 32, scales: scales, values: base)
    }
    #expect(values == expected)
    for row in 0..<32 {
      var point = LatticeCodebook.Point()
      for i in 0..<8 { point[i] = Int8(values[i * 32 + row] * 16) }
      #expect(LatticeCodebook.e8p.code(of: point) != nil)
    }
  }
}
