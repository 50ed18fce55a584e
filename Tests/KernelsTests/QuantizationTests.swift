import DuetRuntime
import Kernels
import Testing

/// int8 activations: the definition, and every set against `portable`, bit for bit.
@Suite("Kernels for quantised activations")
struct QuantizationTests {
  static let lengths = [0, 1, 2, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 1000, 4096]

  struct Result: Equatable {
    var values: [Int8]
    var scales: [UInt32]
    var sums: [Int32]
  }

  /// The groups of x as `name` quantises them, of the second of `stride` tokens.
  static func quantize(_ name: String, _ x: [Float], stride: Int = 1) -> Result {
    let groups = (x.count + 127) / 128
    let token = stride - 1
    var values = [Int8](repeating: 99, count: groups * stride * 128)
    var scales = [Float](repeating: -1, count: groups * stride)
    var sums = [Int32](repeating: -1, count: groups * stride * 4)
    values.withUnsafeMutableBufferPointer { values in
      scales.withUnsafeMutableBufferPointer { scales in
        sums.withUnsafeMutableBufferPointer { sums in
          guard let v = values.baseAddress, let s = scales.baseAddress, let m = sums.baseAddress
          else { return }
          table(name).quantize_int8(x, x.count, stride, v + token * 128, s + token, m + token)
        }
      }
    }
    return Result(values: values, scales: scales.map(\.bitPattern), sums: sums)
  }

  @Test("scales, values and sums follow the definition", arguments: kernelTables)
  func followsTheDefinition(name: String) {
    var generator = RandomGenerator(seed: 1)
    for length in Self.lengths {
      let x = gaussians(length, &generator)
      let result = Self.quantize(name, x)
      for group in 0..<(length + 127) / 128 {
        let part = Array(x[group * 128..<min(group * 128 + 128, length)])
        let largest = part.map(abs).max() ?? 0
        #expect(Float(bitPattern: result.scales[group]) == largest / 127)
        var sums = [Int32](repeating: 0, count: 4)
        for index in 0..<128 {
          let expected =
            index < part.count ? (part[index] * (127 / largest)).rounded(.toNearestOrEven) : 0
          let value = result.values[group * 128 + index]
          #expect(Float(value) == expected, "\(name) length \(length) index \(index)")
          sums[index / 32] += Int32(value)
        }
        #expect(Array(result.sums[group * 4..<group * 4 + 4]) == sums)
      }
    }
  }

  @Test("halves go to the even neighbour", arguments: kernelTables)
  func halvesGoToTheEvenNeighbour(name: String) {
    // The largest magnitude is 127, so numbers stand for themselves.
    let x: [Float] = [127, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 126.5, -126.5]
    let expected: [Int8] = [127, 0, 2, 2, 0, -2, -2, 126, -126]
    #expect(Array(Self.quantize(name, x).values.prefix(9)) == expected)
  }

  @Test("every set agrees with the portable one, bit for bit", arguments: kernelTables)
  func everySetAgreesWithPortable(name: String) {
    var generator = RandomGenerator(seed: 2)
    for length in Self.lengths {
      for stride in [1, 3] {
        for scale: Float in [1, 1e-20, 1e30] {
          let x = gaussians(length, &generator).map { $0 * scale }
          #expect(
            Self.quantize(name, x, stride: stride)
              == Self.quantize("portable", x, stride: stride), "\(length) \(stride) \(scale)")
        }
      }
    }
  }

  @Test("a number that is not finite makes the scale NaN", arguments: kernelTables)
  func whatIsNotFiniteMakesTheScaleNaN(name: String) {
    for bad in [Float.nan, .infinity, -.infinity] {
      for place in [0, 1, 31, 64, 127] {
        var x = [Float](repeating: 1, count: 256)
        x[place] = bad
        let result = Self.quantize(name, x)
        #expect(Float(bitPattern: result.scales[0]).isNaN, "\(bad) at \(place)")
        #expect(Float(bitPattern: result.scales[1]) == 1 / Float(127))
        #expect(result.values[0..<128].allSatisfy { $0 == 0 })
      }
    }
  }

  @Test("groups too small for a scale are zero", arguments: kernelTables)
  func groupsTooSmallForAScaleAreZero(name: String) {
    for largest in [Float(0), .leastNonzeroMagnitude, 1e-38, Float(0x1p-101)] {
      let result = Self.quantize(name, [Float](repeating: largest, count: 130))
      #expect(result.scales == [0, 0])
      #expect(result.values.allSatisfy { $0 == 0 })
    }
    let smallest = Self.quantize(name, [Float](repeating: -0x1p-100, count: 1))
    #expect(smallest.values[0] == -127 && Float(bitPattern: smallest.scales[0]) > 0)
  }

  @Test("for E8P the coordinates of four codes are put together", arguments: kernelTables)
  func e8pReadsCoordinatesOfFourCodesTogether(name: String) {
    let x = (0..<96).map { Int8($0) }
    var y = [Int8](repeating: 0, count: 96)
    table(name).reorder_e8p(x, 96, &y)
    for block in 0..<3 {
      for coordinate in 0..<8 {
        for code in 0..<4 {
          #expect(y[32 * block + 4 * coordinate + code] == Int8(32 * block + 8 * code + coordinate))
        }
      }
    }
  }
}
