import DuetCommandLine
import DuetRuntime
import DuetText

/// The command line of `bench kernels`.
let kernelBenchmarkCommand = Command(
  name: "bench kernels",
  summary: "Measure the speed of every kernel, also as a share of a limit of the machine.",
  options: [
    KernelOptions.kernelSet, KernelOptions.only, KernelOptions.threads, KernelOptions.repeats,
    CommonOptions.json, CommonOptions.quiet,
  ],
  notes: [
    "Products of one token are compared with a loop that only reads the same bytes, products of 512 "
      + "tokens with the peak of the kernels' dot product. Both limits are measured immediately before "
      + "and after each repeat; the share is the median over the repeats. Products from memory and of "
      + "prompts are products of linear layers, including the quantisation of their input; they are "
      + "fewer or smaller with the portable kernels, which serve as the reference of the others. All "
      + "other rows are calls of one function. \"cache\" means a matrix of at most 512 KiB and one thread, "
      + "\"memory\" several matrices that do not fit in the last-level cache.",
    "GB/s counts packed bytes, or bytes read and written; GOP/s counts a multiply-add as two "
      + "operations. The spread is the longest time of a repeat less the shortest, over the median. "
      + "The bars are the project's, for its best kernels.",
  ])

/// The options of `bench kernels`.
enum KernelOptions {
  static let kernelSet: Option<String?> = .string(
    "kernel-set", "NAME", defaultText: "the best",
    help: "Kernels to measure: all, "
      + KernelSet.supported.map(\.name).joined(separator: ", "))
  static let only: Option<[String]> = .strings(
    "only", "TEXT", help: "Measure only kernels whose name has this text")
  static let threads = Option<[Int]>.integers(
    "threads", short: "t", "N,N", in: 1...1024,
    default: Array(Set([1, SessionOptions.processorCount])).sorted(),
    help: "The numbers of threads for products from memory and of prompts")
  static let repeats = Option<Int>.integer(
    "repeats", short: "r", "N", in: 1...1000, default: 7,
    help: "The number of measurements of each kernel")
}

/// Runs `bench kernels`: prints a line per kernel, or one JSON document.
func runKernelBenchmark(_ invocation: Invocation) throws {
  let arguments = invocation.arguments
  let name = arguments[KernelOptions.kernelSet]
  let sets = name == "all" ? KernelSet.supported : [try kernelSet(name)]
  let machine = MachineRecord()
  let isJSON = arguments[CommonOptions.json]
  var rows: [JSONOutput] = []
  let benchmark = KernelBenchmark(
    kernelSets: sets, threadCounts: arguments[KernelOptions.threads],
    timer: KernelTimer(repeats: arguments[KernelOptions.repeats]),
    only: arguments[KernelOptions.only], machine: machine)
  try benchmark.run { row in
    if rows.isEmpty, !isJSON {
      for line in [machine.text, ""] + KernelRow.header { try invocation.output.writeLine(line) }
    }
    rows.append(row.json)
    if isJSON {
      invocation.messages.note(row.kernel)
    } else {
      try invocation.output.writeLine(row.line)
      try invocation.output.flush()
    }
  }
  if rows.isEmpty { throw BenchError.nothingSelected(arguments[KernelOptions.only]) }
  if isJSON {
    try invocation.output.write(["machine": machine.json, "rows": .array(rows)])
  }
}

/// All cases of `bench kernels`, in the order of the table.
struct KernelBenchmark {
  let kernelSets: [KernelSet]
  let threadCounts: [Int]
  let timer: KernelTimer
  /// Texts of which a kernel's name must contain at least one; empty for all kernels.
  let only: [String]
  let machine: MachineRecord

  func isSelected(_ kernel: String) -> Bool {
    only.isEmpty || only.contains { kernel.contains($0) }
  }

  /// Measures the selected kernels and calls `emit` with each row.
  func run(_ emit: (KernelRow) throws -> Void) throws {
    try measureFromCache(emit)
    try measureFromMemory(emit)
    try measurePrompts(emit)
    try measureLowRank(emit)
    try measureFunctions(emit)
    try measureWorkerPool(emit)
  }

  /// Calls `body` with an engine for each kernel set and number of threads.
  func forEachEngine(_ body: (Engine) throws -> Void) rethrows {
    for set in kernelSets {
      for threadCount in threadCounts { try body(Engine(set, threadCount: threadCount)) }
    }
  }

  // MARK: - Single functions

  /// Measures every function of the kernel table that is not a packed product.
  private func measureFunctions(_ emit: (KernelRow) throws -> Void) throws {
    for set in kernelSets {
      let engine = Engine(set, threadCount: 1)
      let calls = KernelCall.elementwise(set) + KernelCall.attention(set)
      for call in calls where isSelected(call.name) {
        try emit(row(call, engine))
      }
    }
    guard ["f32", "f16", "bf16"].contains(where: { isSelected("matvec_\($0)") }) else { return }
    try forEachEngine { engine in
      let calls = KernelCall.dense(engine.context.kernelSet, byteCount: uncachedByteCount)
      for call in calls where isSelected(call.name) { try emit(row(call, engine)) }
    }
  }

  func row(
    _ call: KernelCall, _ engine: Engine, kernel: String? = nil, shape: String? = nil,
    limits: [KernelLimit] = []
  ) -> KernelRow {
    let reading = engine.reading(call.readByteCount) { call.read(engine.context) }
    return timer.row(
      kernel ?? call.name, shape ?? call.shape, engine, byteCount: call.byteCount,
      operationCount: call.operationCount, limits: [reading] + limits
    ) { call.run(engine.context) }
  }

  /// Measures empty jobs of two threads; the best of ten runs is compared with the bar.
  private func measureWorkerPool(_ emit: (KernelRow) throws -> Void) throws {
    let kernel = "worker pool, empty jobs"
    guard isSelected(kernel) else { return }
    let pool = WorkerPool(threadCount: 2)
    let jobCount = 10_000
    var times: [Double] = []
    for run in 0..<11 {
      let duration = measure { for _ in 0..<jobCount { pool.run(2) { _, _ in } } }
      // The first run warms up.
      if run > 0 { times.append(duration / Double(jobCount)) }
    }
    var row = KernelRow(
      kernel: kernel, set: nil, shape: "\(jobCount) jobs of 2 parts",
      threadCount: pool.threadCount, byteCount: 0, operationCount: 0, warmUpCount: jobCount,
      callCount: jobCount, seconds: times)
    row.bar = (.emptyJob, row.best * 1e6)
    try emit(row)
  }
}
