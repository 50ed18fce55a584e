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

@Suite("Memory of large buffers")
struct LargeMemoryTests {
  private let byteCount = 2 << 20

  @Test("A buffer in kept memory is zero, and a copy equals its source")
  func isZero() {
    let count = byteCount / 8
    LargeMemory.shared.keeping {
      for round in 1...3 {
        var first = Buffer<UInt64>(count: count)
        #expect((0..<count).allSatisfy { first[$0] == 0 }, "round \(round)")
        for index in 0..<count { first[index] = UInt64(index + round) }
        let second = first.copy()
        #expect((0..<count).allSatisfy { second[$0] == UInt64($0 + round) }, "round \(round)")
      }
    }
  }

  @Test("Released memory goes to the next buffer of its size while it is kept, and only then")
  func usesAgain() throws {
    let memory = LargeMemory()
    func allocate(_ byteCount: Int) throws -> (memory: UnsafeMutableRawPointer, isZero: Bool) {
      try unsafe #require(memory.allocate(byteCount))
    }
    try memory.keeping {
      let first = try unsafe allocate(byteCount)
      #expect(unsafe first.isZero)
      unsafe memory.release(first.memory, byteCount)
      #expect(memory.byteCounts == (used: 0, kept: byteCount, peak: byteCount))
      let second = try unsafe allocate(byteCount)
      #expect(unsafe second.memory == first.memory && !second.isZero)
      unsafe memory.release(second.memory, byteCount)
    }
    #expect(memory.byteCounts.kept == 0)
    let third = try unsafe allocate(byteCount)
    #expect(unsafe third.isZero)
    unsafe memory.release(third.memory, byteCount)
    #expect(memory.byteCounts.kept == 0)
  }

  @Test("Used and kept memory together are never more than what was used at most")
  func keepsWithinPeak() throws {
    let memory = LargeMemory()
    try memory.keeping {
      var largest = 0
      for size in [3, 5, 2, 7, 1, 4] {
        let (block, _) = try unsafe #require(memory.allocate(size * byteCount))
        largest = max(largest, size * byteCount)
        #expect(memory.byteCounts.peak == largest)
        unsafe memory.release(block, size * byteCount)
        #expect(memory.byteCounts.used == 0 && memory.byteCounts.kept <= largest)
      }
    }
  }
}
