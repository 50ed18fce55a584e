package import Kernels

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// A set of kernels for one family of processors: the Swift interface of `Kernels.h`.
///
/// The choice is a value that is passed in, never a global that changes, so that tests may run every
/// set the processor supports side by side.
@safe
package struct KernelSet: @unchecked Sendable {
  // The tables are constants of the program: immutable and never freed.
  package let table: UnsafePointer<kernels_set>

  /// The sets this processor can run, best first; the last is always `portable`.
  package static let supported: [KernelSet] = {
    var count = 0
    let sets = unsafe kernels_supported(&count)
    return (0..<count).map { unsafe KernelSet(table: sets[$0]) }
  }()

  /// The default set.
  ///
  /// It is the one that the environment variable `DUET_KERNEL_SET` names, when the processor supports
  /// it, otherwise the best.
  package static let standard: KernelSet = {
    let name = unsafe getenv("DUET_KERNEL_SET").map { unsafe String(cString: $0) }
    return name.flatMap(KernelSet.init(named:)) ?? supported[0]
  }()

  private init(table: UnsafePointer<kernels_set>) {
    unsafe self.table = unsafe table
  }

  /// The set called `name`, or nil when there is none or this processor cannot run it.
  package init?(named name: String) {
    guard let set = Self.supported.first(where: { $0.name == name }) else { return nil }
    self = set
  }

  /// The name: `portable`, `avx2`, `avxvnni`, `avx512vnni`, `avx512vbmi` or `neon`.
  package var name: String { unsafe String(cString: table.pointee.name) }
}
