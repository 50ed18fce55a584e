internal import Synchronization

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// The memory of large buffers, which can be kept for later buffers of the same size.
///
/// Pages that are new to a process cost much more than the work on them in many programs: the system clears
/// each, and on a virtual machine may have to ask its host for it. A compression makes matrices of the same few
/// sizes again and again. While memory is kept, released memory goes to the next buffer of its size, as long as
/// used and kept memory together are not more than the most that was used before. So keeping never raises the
/// peak.
package final class LargeMemory: Sendable {
  /// The memory of all buffers of the process.
  package static let shared = LargeMemory()
  /// The bytes from which on memory is kept.
  static let threshold = 1 << 20

  private struct Block {
    let address: UInt
    let byteCount: Int
  }

  private struct State: ~Copyable {
    /// How many callers keep memory at the moment.
    var keepers = 0
    /// The bytes in use, also while nothing is kept.
    var used = 0
    /// The most bytes that were in use since memory is kept.
    var peak = 0
    /// The bytes that are kept.
    var keptCount = 0
    /// The kept blocks, the one released last at the end.
    var kept: [Block] = []
  }

  private let state = Mutex(State())

  /// Memory that nobody uses yet; other than `shared` for tests.
  package init() {}

  /// The bytes in use, the bytes that are kept, and the most that were in use since memory is kept.
  package var byteCounts: (used: Int, kept: Int, peak: Int) {
    state.withLock { ($0.used, $0.keptCount, $0.peak) }
  }

  /// Keeps released memory for later buffers while `body` runs.
  ///
  /// - Complexity: O(kept blocks) for a large buffer.
  package func keeping<Result, Failure: Error>(
    _ body: () throws(Failure) -> Result
  ) throws(Failure) -> Result {
    state.withLock { state in
      if state.keepers == 0 { state.peak = state.used }
      state.keepers += 1
    }
    defer {
      state.withLock { state in
        state.keepers -= 1
        if state.keepers == 0 { Self.free(&state, downTo: 0) }
      }
    }
    return try body()
  }

  /// Memory of `byteCount` bytes.
  ///
  /// - Returns: The memory, and whether all of its bits are zero; nil when there is not enough.
  @unsafe
  package func allocate(_ byteCount: Int) -> (memory: UnsafeMutableRawPointer, isZero: Bool)? {
    let known = state.withLock { state -> UInt? in
      state.used += byteCount
      guard state.keepers > 0 else { return nil }
      let place = state.kept.lastIndex { $0.byteCount == byteCount }
      let block = place.map { state.kept.remove(at: $0) }
      if block != nil { state.keptCount -= byteCount }
      state.peak = max(state.peak, state.used)
      Self.free(&state, downTo: state.peak - state.used)
      return block?.address
    }
    if let known, let memory = unsafe UnsafeMutableRawPointer(bitPattern: known) {
      return unsafe (memory, false)
    }
    // calloc of a large block maps fresh zero pages without touching them.
    guard let memory = unsafe calloc(1, byteCount) else {
      state.withLock { $0.used -= byteCount }
      return nil
    }
    unsafe Self.preferLargePages(memory, byteCount)
    return unsafe (memory, true)
  }

  /// Asks the system to use pages of 2 MB for memory that has room for some.
  ///
  /// A new page of 4 KB that is read before it is written takes two faults, and the second interrupts all other
  /// processors of the process. A refusal only costs speed.
  @unsafe
  static func preferLargePages(_ memory: UnsafeMutableRawPointer, _ byteCount: Int) {
    #if os(Linux)
      guard byteCount >= 4 << 20 else { return }
      let page = Int(sysconf(Int32(_SC_PAGESIZE)))
      let start = unsafe memory.alignedUp(toMultipleOf: page)
      _ = unsafe madvise(start, memory + byteCount - start, MADV_HUGEPAGE)
    #endif
  }

  /// Takes memory of `byteCount` bytes back.
  @unsafe
  package func release(_ memory: UnsafeMutableRawPointer, _ byteCount: Int) {
    let address = UInt(bitPattern: memory)
    let isKept = state.withLock { state in
      state.used -= byteCount
      guard state.keepers > 0 else { return false }
      state.kept.append(Block(address: address, byteCount: byteCount))
      state.keptCount += byteCount
      return true
    }
    if !isKept { unsafe Self.free(memory) }
  }

  /// Gives the blocks that were released first back to the system until `byteCount` bytes are kept.
  private static func free(_ state: inout State, downTo byteCount: Int) {
    while state.keptCount > byteCount, !state.kept.isEmpty {
      let block = state.kept.removeFirst()
      state.keptCount -= block.byteCount
      if let memory = unsafe UnsafeMutableRawPointer(bitPattern: block.address) {
        unsafe free(memory)
      }
    }
  }

  private static func free(_ memory: UnsafeMutableRawPointer) {
    #if canImport(Glibc)
      unsafe Glibc.free(memory)
    #elseif canImport(Musl)
      unsafe Musl.free(memory)
    #else
      unsafe Darwin.free(memory)
    #endif
  }
}
