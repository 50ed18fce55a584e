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

@Suite("Memory of large buffers", .serialized)
struct LargeMemoryTests {
  /// 2 MiB, so that the buffer is a large one.
  private let count = 1 << 18

  @Test("A buffer in kept memory is zero, and a copy equals its source")
  func isZero() {
    LargeMemory.keeping {
      for round in 1...3 {
        var first = Buffer<UInt64>(count: count)
        #expect((0..<count).allSatisfy { first[$0] == 0 }, "round \(round)")
        for index in 0..<count { first[index] = UInt64(index + round) }
        let second = first.copy()
        #expect((0..<count).allSatisfy { second[$0] == UInt64($0 + round) }, "round \(round)")
      }
    }
  }

  @Test("Released memory is used again only while it is kept")
  func usesAgain() {
    // An odd size, which no other test that runs at this moment asks for.
    let count = self.count + 4711
    func address() -> UInt {
      let buffer = Buffer<UInt64>(count: count)
      return unsafe UInt(bitPattern: buffer.pointer)
    }
    LargeMemory.keeping {
      // The peak has room for what is kept: two such buffers at once.
      do {
        let first = Buffer<UInt64>(count: count)
        let second = Buffer<UInt64>(count: count)
        let counts = (first.count, second.count)
        #expect(counts == (count, count))
      }
      let first = address()
      #expect((0..<8).allSatisfy { _ in address() == first })
    }
  }

  @Test("Used and kept memory together stay within the peak of what was used")
  func keepsWithinPeak() {
    LargeMemory.keeping {
      let before = LargeMemory.byteCounts
      for size in 1...20 {
        _ = Buffer<UInt64>(count: count + size * 4096)
        let now = LargeMemory.byteCounts
        #expect(now.used + now.kept <= now.peak)
      }
      #expect(LargeMemory.byteCounts.peak >= before.peak)
    }
  }
}
