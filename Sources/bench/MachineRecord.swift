import DuetCommandLine
import DuetRuntime
import DuetSystem
import DuetText

/// What a benchmark ran on: figures without it mean nothing.
struct MachineRecord {
  /// The processor's name, or nil where the system does not tell.
  let processor: String?
  /// The processors that this process may use.
  let processorCount = SessionOptions.processorCount
  /// The caches of the first processor, smallest first.
  let caches: [Cache]
  /// The frequency governor, or nil where there is none to be read.
  let governor: String?
  /// How many threads ran or waited for a processor in the last minute; nil where that is not told.
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

  /// The machine that this process runs on.
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

  /// The bytes of the last-level cache; 0 where the system does not tell.
  var lastCacheByteCount: Int { caches.map(\.byteCount).max() ?? 0 }

  /// One line.
  var text: String {
    let parts =
      [processor ?? "unknown processor", "\(processorCount) processors"] + caches.map(\.text)
      + [
        "governor \(governor ?? "unknown")",
        "load \(load.map { decimalText($0, digits: 1) } ?? "unknown")", compiler,
      ]
    return "machine: " + parts.joined(separator: ", ")
  }

  /// An object of a JSON document.
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

  // The language has conditions on its compiler's version but no name for it.
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
