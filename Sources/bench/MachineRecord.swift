import DuetCommandLine
import DuetRuntime
import DuetSystem
import DuetText

/// The machine and compiler of a benchmark, needed to compare results.
struct MachineRecord {
  /// The processor's name, or nil when it is unknown.
  let processor: String?
  /// The number of processors that this process may use.
  let processorCount = SessionOptions.processorCount
  /// The caches of the first processor, smallest first.
  let caches: [Cache]
  /// The frequency governor, or nil when it is unknown.
  let governor: String?
  /// The load of the last minute: the threads that ran or waited for a processor; nil when unknown.
  let load: Double?
  /// The compiler of this program.
  let compiler = MachineRecord.compilerName

  /// A cache of a processor.
  struct Cache {
    let level: Int
    /// "Data", "Instruction" or "Unified".
    let type: String
    let byteCount: Int

    fileprivate var text: String {
      let prefix = type == "Data" ? "d" : type == "Instruction" ? "i" : ""
      return "L\(level)\(prefix) \(byteCount / 1024) KiB"
    }

    fileprivate var json: JSONOutput {
      ["level": .integer(level), "type": .string(type), "bytes": .integer(byteCount)]
    }
  }

  /// Reads the properties of the machine that this process runs on.
  init() {
    let line = lines(ofSystemFile: "/proc/cpuinfo").first { $0.hasPrefix("model name") }
    processor = line.flatMap { $0.split(separator: ":", maxSplits: 1).last }
      .map { String($0.drop { $0 == " " }) }
    let folder = "/sys/devices/system/cpu/cpu0"
    caches = (0..<8).compactMap { index in
      func value(_ name: String) -> String? {
        lines(ofSystemFile: "\(folder)/cache/index\(index)/\(name)").first
      }
      // Sizes are in KiB: "1024K".
      guard let level = value("level").flatMap({ Int($0) }), let type = value("type"),
        let size = value("size").flatMap({ Int($0.prefix { $0.isNumber }) })
      else { return nil }
      return Cache(level: level, type: type, byteCount: size * 1024)
    }
    governor = lines(ofSystemFile: "\(folder)/cpufreq/scaling_governor").first
    load = lines(ofSystemFile: "/proc/loadavg").first?.split(separator: " ").first
      .flatMap { Double($0) }
  }

  /// The bytes of the last-level cache, or 0 when they are unknown.
  var lastCacheByteCount: Int { caches.map(\.byteCount).max() ?? 0 }

  /// The record as one line of text.
  var text: String {
    let parts =
      [processor ?? "unknown processor", "\(processorCount) processors"] + caches.map(\.text)
      + [
        "governor \(governor ?? "unknown")",
        "load \(load.map { decimalText($0, digits: 1) } ?? "unknown")", compiler,
      ]
    return "machine: " + parts.joined(separator: ", ")
  }

  /// The record as an object of a JSON document.
  var json: JSONOutput {
    [
      "processor": processor.map { .string($0) } ?? .null,
      "processors": .integer(processorCount), "caches": .array(caches.map(\.json)),
      "governor": governor.map { .string($0) } ?? .null,
      "load": load.map { .number($0) } ?? .null,
      "kernel_sets": .array(KernelSet.supported.map { .string($0.name) }),
      "compiler": .string(compiler),
    ]
  }

  // Swift can test the compiler's version only in conditions; there is no constant with its name.
  private static var compilerName: String {
    #if compiler(>=6.4)
      "Swift 6.4 or later"
    #elseif compiler(>=6.3)
      "Swift 6.3"
    #else
      "Swift 6.2"
    #endif
  }
}
