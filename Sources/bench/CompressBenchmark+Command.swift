import DuetCommandLine
import DuetCompressor
import DuetRuntime
import DuetText

/// The options of `bench compress`.
private enum CompressOptions {
  static let method = Option.word(
    "method", among: MethodList.all.map { $0.name }, default: MethodList.standard.name,
    help: "The method that decomposes the matrices")
  static let format = Option<WeightFormat?>(
    "format", CompressedFormat.quantizedFormats.map(\.rawValue).joined(separator: "|"),
    help: "How Q is stored", initial: nil, defaultText: "the default of the method",
    expected: "one of \(CompressedFormat.quantizedFormats.map(\.rawValue).joined(separator: ", "))",
    read: { text in
      CompressedFormat.quantizedFormats.first { $0.rawValue == text }.map { .some($0) }
    })
  static let rank = Option<Int?>.integer(
    "rank", "R", in: 0...4096, defaultText: "the default of the method", help: "The rank of L R")
  static let square = Option.flag("square-only", help: "Leave out 4096 x 11008")
}

/// The command line of `bench compress`.
let compressBenchmarkCommand = Command(
  name: "bench compress",
  summary:
    "Measure the compression of a 4096 x 4096 and a 4096 x 11008 matrix, and estimate Llama-2-7B.",
  options: [
    CompressOptions.method, CompressOptions.format, CompressOptions.rank, CompressOptions.square,
    CommonOptions.threads, CommonOptions.json,
  ],
  notes: [
    "Every step is timed once, between two measurements of sgemm on 2048 x 2048 matrices; the higher "
      + "of the two is its limit. BLAS is the share of the threads' time inside OpenBLAS. All other "
      + "options of the plan have the defaults of compress."
  ])

/// Runs `bench compress`.
func runCompressBenchmark(_ invocation: Invocation) throws {
  let arguments = invocation.arguments
  var choices = MethodChoices()
  if let format = arguments[CompressOptions.format] {
    choices.set(MethodOptions.format, to: format)
  }
  if let rank = arguments[CompressOptions.rank] { choices.set(MethodOptions.rank, to: rank) }
  let method = try MethodList.method(named: arguments[CompressOptions.method], choices)
  let plan = CompressionPlan(method)
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
      "blas_core": .string(BLASCore.name), "plan": .object(plan.members()),
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
