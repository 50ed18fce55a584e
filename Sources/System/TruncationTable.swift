internal import Synchronization

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// The mapped files of this process, in a form that a signal handler may read.
///
/// A handler may neither lock nor allocate. So there is a fixed number of entries, each with its
/// message ready to print, and an entry is published by storing its start last.
enum TruncationTable {
  /// The number of entries.
  ///
  /// Further files are mapped too, but a truncation of them prints no message. The largest
  /// published checkpoints have fewer than 200 shards.
  private static let capacity = 512

  private struct Entry: ~Copyable {
    /// The first address, 0 when the entry is free, 1 while it is being written.
    let start = Atomic<UInt>(0)
    let end = Atomic<UInt>(0)
    /// The address and length of the message.
    let message = Atomic<UInt>(0)
    let messageCount = Atomic<Int>(0)
  }

  private nonisolated(unsafe) static let entries: UnsafeMutablePointer<Entry> = {
    let entries = UnsafeMutablePointer<Entry>.allocate(capacity: capacity)
    for index in 0..<capacity { unsafe (entries + index).initialize(to: Entry()) }
    return unsafe entries
  }()

  private static let hasBegun = Atomic<Bool>(false)
  private nonisolated(unsafe) static var beforeExit: (@convention(c) () -> Void)?

  /// Adds a mapping and returns its index, or nil when the table is full.
  static func add(start: UInt, count: Int, path: String) -> Int? {
    for index in 0..<capacity {
      let (claimed, _) = unsafe entries[index].start.compareExchange(
        expected: 0, desired: 1, ordering: .acquiringAndReleasing)
      guard claimed else { continue }
      let sentence = Array(
        "\(printable(path)): the file was truncated by another program while in use\n".utf8)
      let message = UnsafeMutablePointer<UInt8>.allocate(capacity: sentence.count)
      for (offset, byte) in sentence.enumerated() { unsafe message[offset] = byte }
      unsafe entries[index].message.store(UInt(bitPattern: message), ordering: .relaxed)
      unsafe entries[index].messageCount.store(sentence.count, ordering: .relaxed)
      unsafe entries[index].end.store(start + UInt(count), ordering: .relaxed)
      unsafe entries[index].start.store(start, ordering: .releasing)
      return index
    }
    return nil
  }

  /// Removes the mapping at `index`, before it is unmapped.
  static func remove(_ index: Int) {
    // The handler reads a message only for an address inside its mapping. No thread may touch this
    // mapping any more, so the message can be freed at once.
    unsafe entries[index].start.store(1, ordering: .sequentiallyConsistent)
    let message = unsafe UnsafeMutablePointer<UInt8>(
      bitPattern: entries[index].message.load(ordering: .relaxed))
    unsafe message?.deallocate()
    unsafe entries[index].start.store(0, ordering: .releasing)
  }

  static func installHandler(beforeExit: (@convention(c) () -> Void)?) {
    unsafe Self.beforeExit = beforeExit
    // Allocates the table now, not inside the handler.
    _ = unsafe entries
    hasBegun.store(false, ordering: .relaxed)
    var action = sigaction()
    action.sa_flags = SA_SIGINFO
    unsafe sigemptyset(&action.sa_mask)
    #if canImport(Glibc)
      unsafe action.__sigaction_handler.sa_sigaction = { _, information, _ in
        guard let information = unsafe information else { return }
        unsafe TruncationTable.handle(
          UInt(bitPattern: information.pointee._sifields._sigfault.si_addr),
          code: information.pointee.si_code)
      }
    #elseif canImport(Musl)
      unsafe action.__sa_handler.sa_sigaction = { _, information, _ in
        guard let information = unsafe information else { return }
        unsafe TruncationTable.handle(
          UInt(bitPattern: information.pointee.__si_fields.__sigfault.si_addr),
          code: information.pointee.si_code)
      }
    #else
      unsafe action.__sigaction_u.__sa_sigaction = { _, information, _ in
        guard let information = unsafe information else { return }
        unsafe TruncationTable.handle(
          UInt(bitPattern: information.pointee.si_addr), code: information.pointee.si_code)
      }
    #endif
    unsafe sigaction(SIGBUS, &action, nil)
  }

  /// Ends the process if `address` is in a mapped file.
  ///
  /// Otherwise it restores the default effect and returns to the instruction, which faults again. A
  /// signal sent by a process, with a code of 0 or less, has no address and would not come again,
  /// so it is raised again here.
  private static func handle(_ address: UInt, code: Int32) {
    for index in 0..<capacity where code > 0 {
      let start = unsafe entries[index].start.load(ordering: .acquiring)
      guard start > 1, start <= address,
        unsafe address < entries[index].end.load(ordering: .relaxed)
      else { continue }
      // Several threads read the weights, so several may fault: only the first one prints.
      if hasBegun.exchange(true, ordering: .sequentiallyConsistent) {
        while true { _ = pause() }
      }
      unsafe beforeExit?()
      let message = unsafe UnsafeRawPointer(
        bitPattern: entries[index].message.load(ordering: .relaxed))
      let count = unsafe entries[index].messageCount.load(ordering: .relaxed)
      if let message = unsafe message { _ = unsafe write(STDERR_FILENO, message, count) }
      // Exit code 4: input or output failed.
      _exit(4)
    }
    unsafe beforeExit?()
    _ = signal(SIGBUS, SIG_DFL)
    if code <= 0 { _ = raise(SIGBUS) }
  }
}
