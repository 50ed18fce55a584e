import DuetRuntime
import Kernels

/// The kernel tables as the C interface lists them, best first.
let kernelTables: [String] = KernelSet.supported.map(\.name)

/// The table called `name`.
func table(_ name: String) -> kernels_set { tableAddress(name).pointee }

/// The address of the table called `name`, for functions that take one.
func tableAddress(_ name: String) -> UnsafePointer<kernels_set> {
  var count = 0
  let sets = kernels_supported(&count)
  for index in 0..<count where String(cString: sets[index].pointee.name) == name {
    return sets[index]
  }
  preconditionFailure("no kernel set \(name)")
}

/// Lengths around every vector width, unrolling step and block that the kernels use.
let awkwardLengths = [
  0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 63, 64, 65, 127, 128, 129, 255, 256, 257, 1000,
  4096,
]

/// Half a unit in the last place of 1: the largest relative rounding error of Float arithmetic.
let unitRoundoff = 0x1p-24

/// Numbers from a standard normal distribution, roughly: the sum of twelve uniform ones, less six.
func gaussians(_ count: Int, _ generator: inout RandomGenerator) -> [Float] {
  (0..<count).map { _ in
    var sum = -6.0
    for _ in 0..<12 { sum += generator.nextUnit() }
    return Float(sum)
  }
}

/// The bits of the BF16 number nearest to `value`, ties to even.
func bfloat16Bits(_ value: Float) -> UInt16 {
  let bits = value.bitPattern
  return UInt16((bits + 0x7FFF + (bits >> 16 & 1)) >> 16)
}

/// The number whose upper sixteen bits are `bits`.
func float(bfloat16Bits bits: UInt16) -> Float { Float(bitPattern: UInt32(bits) << 16) }
