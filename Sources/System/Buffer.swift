#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// Owned, 64-byte aligned, zero-initialised memory for `count` elements of a plain type.
///
/// A cache line and the widest vector register have 64 bytes too, so kernels may load from the
/// start of a buffer without crossing a line. A buffer never grows. It is copied only by an
/// explicit `copy()`, because copying is expensive.
///
/// The members that loops call are inlinable, so that they are as fast in other modules as here.
@safe
public struct Buffer<Element: BitwiseCopyable>: ~Copyable {
  @usableFromInline
  let base: UnsafeMutablePointer<Element>

  /// The number of elements.
  public let count: Int

  /// Allocates `count` elements, all bits zero.
  ///
  /// - Precondition: `count` is not negative and the size in bytes fits in `Int`.
  /// - Complexity: O(`count`), or less: the system provides large buffers as untouched zero pages.
  public init(count: Int) {
    self.init(count: count, isZero: true)
  }

  /// Allocates `count` elements; unless `isZero`, their bits can be anything and must all be set.
  private init(count: Int, isZero: Bool) {
    precondition(count >= 0, "a buffer of \(count) elements")
    let (bytes, overflow) = count.multipliedReportingOverflow(by: MemoryLayout<Element>.stride)
    precondition(!overflow, "a buffer of \(count) elements does not fit in memory")
    // The extra bytes leave room to align the start.
    let size = max(bytes, 1) + Self.alignment
    let isLarge = size >= LargeMemory.threshold
    guard
      let (block, hasZeros) = unsafe isLarge
        ? LargeMemory.shared.allocate(size) : calloc(1, size).map({ unsafe ($0, true) })
    else { preconditionFailure("out of memory: \(size) bytes") }
    let misalignment = Int(bitPattern: block) % Self.alignment
    let aligned = unsafe block.advanced(by: Self.alignment - misalignment)
    if isZero, !hasZeros { unsafe memset(aligned, 0, bytes) }
    // The distance back to the block is kept in the byte before the start: 1 ... 64.
    unsafe aligned.advanced(by: -1).storeBytes(of: UInt8(aligned - block), as: UInt8.self)
    unsafe base = aligned.bindMemory(to: Element.self, capacity: count)
    self.count = count
  }

  deinit {
    let start = unsafe UnsafeMutableRawPointer(base)
    let distance = unsafe Int(start.advanced(by: -1).load(as: UInt8.self))
    let block = unsafe start.advanced(by: -distance)
    let size = max(count * MemoryLayout<Element>.stride, 1) + Self.alignment
    if size >= LargeMemory.threshold {
      unsafe LargeMemory.shared.release(block, size)
    } else {
      unsafe free(block)
    }
  }

  private static var alignment: Int { 64 }

  /// The elements, for reading.
  @inlinable
  public var span: Span<Element> {
    @_lifetime(borrow self)
    borrowing get {
      let span = unsafe Span(_unsafeStart: UnsafePointer(base), count: count)
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }

  /// The elements, for reading and writing.
  @inlinable
  public var mutableSpan: MutableSpan<Element> {
    @_lifetime(&self)
    mutating get {
      let span = unsafe MutableSpan(_unsafeStart: base, count: count)
      return unsafe _overrideLifetime(span, mutating: &self)
    }
  }

  /// The element at `index`.
  ///
  /// - Precondition: `index` is in `0 ..< count`.
  @inlinable
  public subscript(index: Int) -> Element {
    get {
      precondition(index >= 0 && index < count, "index \(index) of a buffer of \(count)")
      return unsafe base[index]
    }
    set {
      precondition(index >= 0 && index < count, "index \(index) of a buffer of \(count)")
      unsafe base[index] = newValue
    }
  }

  /// A second buffer with the same elements.
  ///
  /// - Complexity: O(`count`).
  public func copy() -> Buffer {
    let result = Buffer(count: count, isZero: false)
    unsafe result.base.update(from: base, count: count)
    return result
  }

  /// The address of the first element, for the kernels, valid while this buffer lives.
  @unsafe
  @inlinable
  public var pointer: UnsafeMutablePointer<Element> { unsafe base }
}

// A buffer owns its memory alone, so it may move between threads with its elements.
extension Buffer: @unchecked Sendable where Element: Sendable {}
