import Glibc

/// The address or thread sanitizer, when the tests are built with one.
///
/// It keeps shadow memory and slows what it watches, so tests that measure memory or time are
/// meaningless with it.
package enum Sanitizer {
  /// Whether this process, and with it every executable of the package, is built with one.
  package static let isActive = has("__asan_init") || watchesThreads
  /// Whether it is the thread sanitizer.
  package static let watchesThreads = has("__tsan_init")

  /// Whether the process has a function: Swift code cannot ask the compiler which sanitizer is
  /// used.
  private static func has(_ function: String) -> Bool {
    guard let program = unsafe dlopen(nil, RTLD_NOW) else { return false }
    defer { _ = unsafe dlclose(program) }
    return unsafe dlsym(program, function) != nil
  }
}
