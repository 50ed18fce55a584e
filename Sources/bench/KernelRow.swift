import DuetCommandLine
import DuetText

/// One kernel on one shape: its times, and its shares of the limits measured around them.
struct KernelRow {
  let kernel: String
  /// The kernel set, or nil where it does not matter.
  let set: String?
  let shape: String
  /// What else the JSON document says of the shape.
  var details: [JSONOutput.Member] = []
  let threadCount: Int
  /// The bytes that a call moves; 0 where that says nothing.
  let byteCount: Int
  /// The additions and multiplications of a call; 0 where that says nothing.
  let operationCount: Int
  /// Calls before the first repeat.
  let warmUpCount: Int
  /// Calls in each repeat.
  let callCount: Int
  /// Seconds of a call, in each repeat.
  let seconds: [Double]
  var pairs: [PairedRuns] = []
  /// The bar and the figure that it is about.
  var bar: (bar: Bar, value: Double)?

  var median: Double { middle(seconds) }
  var best: Double { seconds.min() ?? .nan }
  /// The longest time less the shortest, over the median.
  var spread: Double { ((seconds.max() ?? .nan) - best) / median }

  static let header = [
    "| kernel | set | shape | threads | median | best | spread | GB/s | GOP/s | share of limit | bar |",
    "|---|---|---|---:|---:|---:|---:|---:|---:|---|---|",
  ]

  /// A line of the table.
  var line: String {
    let cells = [
      kernel, set ?? "-", shape, "\(threadCount)", timeText(median), timeText(best),
      "\(decimalText(spread * 100, digits: 0)) %", rateText(byteCount),
      rateText(operationCount), pairs.map(\.text).joined(separator: "; "),
      bar.map { "\(decimalText($0.value * $0.bar.scale, digits: 2)), \($0.bar.text($0.value))" }
        ?? "",
    ]
    return "| \(cells.joined(separator: " | ")) |"
  }

  /// Billions per second, to three digits or so.
  private func rateText(_ amount: Int) -> String {
    let rate = Double(amount) / median / 1e9
    return amount == 0 ? "-" : decimalText(rate, digits: rate < 10 ? 2 : rate < 100 ? 1 : 0)
  }

  private func timeText(_ seconds: Double) -> String {
    switch seconds {
    case ..<1e-6: "\(decimalText(seconds * 1e9, digits: 0)) ns"
    case ..<1e-3: "\(decimalText(seconds * 1e6, digits: 2)) us"
    default: "\(decimalText(seconds * 1e3, digits: 2)) ms"
    }
  }

  /// An object of a JSON document.
  var json: JSONOutput {
    func rate(_ amount: Int) -> JSONOutput {
      amount == 0 ? .null : .number(Double(amount) / median)
    }
    let limits = pairs.map { pair -> JSONOutput in
      [
        "limit": .string(pair.limit.name), "rate": .number(pair.limitRate),
        "share_median": .number(pair.share), "shares": .array(pair.shares.map { .number($0) }),
      ]
    }
    return .object(
      [
        .init("kernel", .string(kernel)), .init("kernel_set", set.map { .string($0) } ?? .null),
        .init("shape", .string(shape)),
      ] + details + [
        .init("threads", .integer(threadCount)), .init("warm_ups", .integer(warmUpCount)),
        .init("repeats", .integer(seconds.count)), .init("calls_per_repeat", .integer(callCount)),
        .init("median_seconds", .number(median)), .init("best_seconds", .number(best)),
        .init("spread", .number(spread)), .init("bytes", .integer(byteCount)),
        .init("operations", .integer(operationCount)),
        .init("bytes_per_second", rate(byteCount)),
        .init("operations_per_second", rate(operationCount)),
        .init("limits", .array(limits)), .init("bar", bar.map { $0.bar.json($0.value) } ?? .null),
      ])
  }
}

/// The middle value, under a name that a member called `median` does not hide.
private func middle(_ values: [Double]) -> Double { median(values) }
