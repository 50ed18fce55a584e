import DuetCommandLine
import DuetRuntime
import Glibc

/// What the machine has to offer at the moment.
struct MachineState {
  let threadCount: Int
  /// Operations per second of a product of two matrices of 1024 x 1024 in F32.
  let rate: Double
  /// The memory that processes may still take without swapping; nil where the system does not tell.
  let availableMemory: Int?
  /// The free bytes of the disk that the output will be on; nil without an output or an answer.
  let freeDisk: Int?

  private static let size = 1024

  /// Looks at the machine, which takes about a tenth of a second.
  init(threadCount: Int, output: String?) {
    self.threadCount = threadCount
    let (seconds, attoseconds) = MachineProbe.timeOfBLAS(
      tokenCount: Self.size, outputSize: Self.size, inputSize: Self.size, threadCount: threadCount
    ).components
    let operations = 2 * Double(Self.size) * Double(Self.size) * Double(Self.size)
    rate = operations / (Double(seconds) + Double(attoseconds) * 1e-18)
    availableMemory = Self.readAvailableMemory()
    freeDisk = output.flatMap(Self.freeBytes)
  }

  /// What `--verbose` tells of it.
  var lines: [String] {
    [
      "OpenBLAS kernels for \(BLASCore.name), \(decimalText(rate / 1e9, digits: 0)) GFLOP/s in a "
        + "product of two matrices of \(Self.size) x \(Self.size) in F32",
      "kernel set \(KernelSet.standard.name), \(threadCount) threads",
    ]
  }

  /// An object of a JSON document.
  var json: JSONOutput {
    [
      "threads": .integer(threadCount), "kernel_set": .string(KernelSet.standard.name),
      "blas_core": .string(BLASCore.name), "sgemm_flops": .number(rate),
      "available_memory_bytes": availableMemory.map { .integer($0) } ?? .null,
      "free_disk_bytes": freeDisk.map { .integer($0) } ?? .null,
    ]
  }

  /// The line "MemAvailable:  12345 kB" of the system's account.
  private static func readAvailableMemory() -> Int? {
    // The file says that it has no bytes, so it cannot be read like a file of the user's.
    let descriptor = unsafe open("/proc/meminfo", O_RDONLY)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = unsafe bytes.withUnsafeMutableBytes { all in
      unsafe read(descriptor, all.baseAddress, all.count)
    }
    guard count > 0 else { return nil }
    let lines = String(decoding: bytes.prefix(count), as: UTF8.self).split(separator: "\n")
    guard let line = lines.first(where: { $0.hasPrefix("MemAvailable:") }),
      let kibibytes = line.split(separator: " ").dropFirst().first.flatMap({ Int($0) })
    else { return nil }
    return kibibytes * 1024
  }

  /// The free bytes of the disk with a path, or with the nearest folder above it that exists.
  private static func freeBytes(at path: String) -> Int? {
    var path = path
    while true {
      var answer = statvfs()
      if unsafe statvfs(path, &answer) == 0 {
        let (high, low) = UInt64(answer.f_bavail).multipliedFullWidth(by: UInt64(answer.f_frsize))
        return high > 0 ? .max : Int(clamping: low)
      }
      guard errno == ENOENT || errno == ENOTDIR, path != ".", path != "/" else { return nil }
      while path.utf8.last == UInt8(ascii: "/"), path.utf8.count > 1 { path.removeLast() }
      guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else {
        path = "."
        continue
      }
      path = slash == path.startIndex ? "/" : String(path[..<slash])
    }
  }
}
