import DuetCommandLine
import DuetCompressor
import DuetRuntime

/// The options of `bench compress`.
private enum CompressOptions {
  static let plan = CompressionPlan()
  static let method = Option<CompressionPlan.Method>.choice(
    "method", default: plan.method, help: "What the matrices are decomposed by")
  static let format = Option<QFormat>.choice(
    "format", default: QFormat(rawValue: plan.format.rawValue) ?? .e8p, help: "How Q is stored")
  static let rank = Option<Int>.integer(
    "rank", "R", in: 0...4096, default: plan.rank, help: "The rank of L R")
  static let square = Option.flag("square-only", help: "Leave out 4096 x 11008")

  enum QFormat: String, CaseIterable, Sendable {
    case int2, int3, int4, e8p
  }
}

/// The table of `bench compress`.
let compressBenchmarkCommand = Command(
  name: "bench compress",
  summary:
    "Measure the compression of a 4096 x 4096 and a 4096 x 11008 matrix, and estimate Llama-2-7B.",
  options: [
    CompressOptions.method, CompressOptions.format, CompressOptions.rank, CompressOptions.square,
    CommonOptions.threads, CommonOptions.json,
  ],
  notes: [
    "Every step is timed once, between two measurements of sgemm on 2048 x 2048 matrices, the higher "
      + "of which is its limit. BLAS is the share of the threads' time inside OpenBLAS. All other "
      + "choices of the plan are the defaults of compress."
  ])

/// Runs `bench compress`.
func runCompressBenchmark(_ invocation: Invocation) throws {
  let arguments = invocation.arguments
  var plan = CompressionPlan()
  plan.method = arguments[CompressOptions.method]
  plan.format = WeightFormat(rawValue: arguments[CompressOptions.format].rawValue) ?? plan.format
  plan.groupSize = plan.format == .e8p ? .row : .columns128
  plan.rank = arguments[CompressOptions.rank]
  if plan.method == .caldera { plan.initialization = .zero }
  let threadCount = arguments[CommonOptions.threads] ?? SessionOptions.processorCount
  var benchmark = CompressBenchmark(threadCount: threadCount, plan: plan)
  var shapes = [(4096, 4096)]
  if !arguments[CompressOptions.square] { shapes.append((4096, 11008)) }
  for (outputSize, inputSize) in shapes {
    invocation.messages.note("\(outputSize) x \(inputSize)")
    try benchmark.run(outputSize: outputSize, inputSize: inputSize)
  }
  let machine = MachineRecord()
  if arguments[CommonOptions.json] {
    try invocation.output.write([
      "machine": machine.json, "threads": .integer(threadCount),
      "blas_core": .string(BLASCore.name), "plan": .object(plan.members),
      "steps": .array(benchmark.rows.map(\.json)),
      "llama_2_7b_hours": benchmark.hours.map { .number($0) } ?? .null,
    ])
    return
  }
  let output = invocation.output
  try output.writeLine(machine.text)
  try output.writeLine("OpenBLAS core \(BLASCore.name), \(threadCount) threads")
  try output.writeLine("| step | shape | s | GFLOP/s | sgemm | share | BLAS |")
  try output.writeLine("|---|---|---|---|---|---|---|")
  for row in benchmark.rows { try output.writeLine(row.line) }
  if let hours = benchmark.hours {
    try output.writeLine("Llama-2-7B: about \(decimalText(hours, digits: 1)) hours (estimate)")
  }
}

extension CompressBenchmark.Row {
  fileprivate var line: String {
    let rate = rate.map { decimalText($0 / 1e9, digits: 0) } ?? ""
    let share = self.rate.map { decimalText(100 * $0 / limit, digits: 0) + " %" } ?? ""
    let blas = decimalText(100 * shareOfBLAS, digits: 0) + " %"
    let columns = [
      step, shape, decimalText(seconds, digits: 2), rate, decimalText(limit / 1e9, digits: 0),
      share, blas,
    ]
    return "| \(columns.joined(separator: " | ")) |"
  }

  fileprivate var json: JSONOutput {
    [
      "step": .string(step), "shape": .string(shape), "seconds": .number(seconds),
      "operations_per_second": rate.map { .number($0) } ?? .null,
      "sgemm_operations_per_second": .number(limit), "blas_share": .number(shareOfBLAS),
    ]
  }
}
