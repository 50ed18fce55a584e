import DuetRuntime
import DuetSystem
import Kernels
import Testing

/// Conversions between element types, exact for every bit pattern.
@Suite("Kernels for conversion")
struct ConversionTests {
  @Test("every F16 is widened exactly", arguments: kernelTables)
  func widensEveryHalf(name: String) {
    let bits = (0...UInt16.max).map { $0 }
    var result = [Float](repeating: 0, count: bits.count)
    table(name).widen_f16(bits, bits.count, &result)
    for (pattern, value) in zip(bits, result) {
      let expected = Float(Float16(bitPattern: pattern))
      #expect(value == expected || (value.isNaN && expected.isNaN), "\(pattern)")
    }
  }

  @Test("every BF16 is widened exactly", arguments: kernelTables)
  func widensEveryBFloat16(name: String) {
    let bits = (0...UInt16.max).map { $0 }
    var result = [Float](repeating: 0, count: bits.count)
    table(name).widen_bf16(bits, bits.count, &result)
    for (pattern, value) in zip(bits, result) {
      #expect(value.bitPattern == UInt32(pattern) << 16, "\(pattern)")
    }
  }

  @Test("numbers are narrowed to the nearest F16", arguments: kernelTables)
  func narrowsToTheNearestHalf(name: String) {
    // Every half, the midpoints above it and their neighbours, and numbers beyond the range.
    var numbers: [Float] = [65504, 65519.996, 65520, 1e30, .infinity, -.infinity, .nan, 0, -0.0]
    for pattern in stride(from: UInt16(0), to: 0x7C00, by: 7) {
      let half = Float(Float16(bitPattern: pattern))
      let next = Float(Float16(bitPattern: pattern + 1))
      let middle = half + (next - half) / 2
      for value in [half, middle, middle.nextUp, middle.nextDown] { numbers += [value, -value] }
    }
    var result = [UInt16](repeating: 0, count: numbers.count)
    table(name).narrow_f16(numbers, numbers.count, &result)
    for (number, bits) in zip(numbers, result) {
      let expected = Float16(number)
      #expect(
        bits == expected.bitPattern || (expected.isNaN && Float16(bitPattern: bits).isNaN),
        "\(number)")
    }
  }

  @Test("any length at any place is converted", arguments: kernelTables)
  func convertsAnyLengthAtAnyPlace(name: String) {
    var generator = RandomGenerator(seed: 3)
    let set = table(name)
    for count in awkwardLengths {
      let numbers = gaussians(count, &generator)
      var halves = [UInt16](repeating: 9, count: count + 1)
      set.narrow_f16(numbers, count, &halves)
      #expect(halves[count] == 9)
      var widened = [Float](repeating: 9, count: count + 1)
      set.widen_f16(halves, count, &widened)
      #expect(widened[count] == 9)
      #expect(Array(widened[..<count]) == numbers.map { Float(Float16($0)) })
    }
  }

  @Test("every byte is read", arguments: kernelTables)
  func readsEveryByte(name: String) {
    for count in [0, 64, 128, 1024, 1088, 8192] {
      var buffer = Buffer<UInt64>(count: count / 8)
      var expected: UInt64 = 0
      for index in 0..<count / 8 {
        buffer[index] = UInt64(index) &* 0x9E37_79B9_7F4A_7C15
        expected &+= buffer[index]
      }
      let sum = buffer.span.withUnsafeBufferPointer { words in
        words.baseAddress.map { table(name).read_bytes($0, count) }
      }
      #expect(sum == expected)
    }
  }
}
