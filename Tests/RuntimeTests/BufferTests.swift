import DuetSystem
import Testing

@Suite("Buffer")
struct BufferTests {
  @Test("a buffer starts with zeros, is aligned, and is copied", arguments: [0, 1, 3, 64, 1000])
  func startsZeroedAndAligned(count: Int) {
    var buffer = Buffer<Float>(count: count)
    #expect(buffer.count == count)
    for index in 0..<count { #expect(buffer[index] == 0) }
    for index in 0..<count { buffer[index] = Float(index) }
    let copy = buffer.copy()
    for index in 0..<count { buffer[index] = -1 }
    for index in 0..<count { #expect(copy[index] == Float(index)) }
    let address = unsafe copy.span.withUnsafeBufferPointer {
      UInt(bitPattern: $0.baseAddress)
    }
    #expect(address % 64 == 0)
  }
}
