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
  /// - Complexity: O(`count`); the system provides large buffers as untouched zero pages.
  public init(count: Int) {
    precondition(count >= 0, "a buffer of \(count) elements")
    let (bytes, overflow) = count.multipliedReportingOverflow(by: MemoryLayout<Element>.stride)
    precondition(!overflow, "a buffer of \(count) elements does not fit in memory")
    let size = max(bytes, 1)
    // calloc of a large block maps fresh zero pages without touching them. The extra bytes leave
    // room to align the start.
    guard let block = unsafe calloc(1, size + Self.alignment) else {
      preconditionFailure("out of memory: \(size) bytes")
    }
    let misalignment = Int(bitPattern: block) % Self.alignment
    let aligned = unsafe block.advanced(by: Self.alignment - misalignment)
    // The distance back to the block is kept in the byte before the start: 1 ... 64.
    unsafe aligned.advanced(by: -1).storeBytes(of: UInt8(aligned - block), as: UInt8.self)
    unsafe base = aligned.bindMemory(to: Element.self, capacity: count)
    self.count = count
  }

  deinit {
    let start = unsafe UnsafeMutableRawPointer(base)
    let distance = unsafe Int(start.advanced(by: -1).load(as: UInt8.self))
    unsafe free(start.advanced(by: -distance))
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
    let result = Buffer(count: count)
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
