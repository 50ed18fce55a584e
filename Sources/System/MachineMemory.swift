#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// The peak resident memory of the process, in bytes, mapped files included.
///
/// `VmHWM` of /proc/self/status; nil where there is no such file.
package func peakResidentByteCount() -> Int? { kibibytes("VmHWM", in: "/proc/self/status") }

/// The memory that the system could give to new work without swapping, in bytes.
///
/// `MemAvailable` of /proc/meminfo; nil where there is no such file.
package func availableByteCount() -> Int? { kibibytes("MemAvailable", in: "/proc/meminfo") }

/// The value of the line `name: N kB`, in bytes.
private func kibibytes(_ name: String, in path: String) -> Int? {
  let line = lines(ofSystemFile: path).first { $0.hasPrefix(name + ":") }
  return line?.split(whereSeparator: { !$0.isNumber }).first.flatMap { Int($0) }.map { $0 * 1024 }
}

/// The lines of a file of the system, the first 255 bytes of each; none when it cannot be read.
package func lines(ofSystemFile path: String) -> [String] {
  guard let file = unsafe fopen(path, "r") else { return [] }
  defer { unsafe fclose(file) }
  var result: [String] = []
  var line = [CChar](repeating: 0, count: 256)
  while unsafe fgets(&line, Int32(line.count), file) != nil {
    let text = String(decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    result.append(text.hasSuffix("\n") ? String(text.dropLast()) : text)
  }
  return result
}
