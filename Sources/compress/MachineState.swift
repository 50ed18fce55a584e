import DuetCommandLine
import DuetRuntime
import DuetSystem
import DuetText
import Glibc

/// The speed, the available memory and the free disk of the machine.
struct MachineState {
  let threadCount: Int
  /// Operations per second of a product of two matrices of 1024 x 1024 in F32.
  let rate: Double
  /// The bytes of memory that can be used without swapping; nil when they are unknown.
  let availableMemory: Int?
  /// The free bytes of the disk of the output; nil without an output or when they are unknown.
  let freeDisk: Int?

  private static let size = 1024

  /// Measures the machine, which takes about a tenth of a second.
  init(threadCount: Int, output: String?) {
    self.threadCount = threadCount
    let duration = MachineProbe.timeOfBLAS(
      tokenCount: Self.size, outputSize: Self.size, inputSize: Self.size, threadCount: threadCount)
    let operations = 2 * Double(Self.size) * Double(Self.size) * Double(Self.size)
    rate = operations / (duration / .seconds(1))
    availableMemory = availableByteCount()
    freeDisk = output.flatMap(freeByteCount)
  }

  /// The lines that `--verbose` prints.
  var lines: [String] {
    [
      "OpenBLAS kernels for \(BLASCore.name), \(decimalText(rate / 1e9, digits: 0)) GFLOP/s in a "
        + "product of two matrices of \(Self.size) x \(Self.size) in F32",
      "kernel set \(KernelSet.standard.name), \(threadCount) threads",
    ]
  }

  /// The object in a JSON document.
  var json: JSONOutput {
    [
      "threads": .integer(threadCount), "kernel_set": .string(KernelSet.standard.name),
      "blas_core": .string(BLASCore.name), "sgemm_flops": .number(rate),
      "available_memory_bytes": availableMemory.map { .integer($0) } ?? .null,
      "free_disk_bytes": freeDisk.map { .integer($0) } ?? .null,
    ]
  }
}
