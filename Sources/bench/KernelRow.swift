import DuetCommandLine
import DuetText

/// The measurement of a kernel on one shape: its times, and their shares of the limits.
struct KernelRow {
  let kernel: String
  /// The kernel set, or nil where none is used.
  let set: String?
  let shape: String
  /// Further members of the JSON document about the shape.
  var details: [JSONOutput.Member] = []
  let threadCount: Int
  /// The number of bytes that a call moves, or 0 where it means little.
  let byteCount: Int
  /// The number of additions and multiplications of a call, or 0 where it means little.
  let operationCount: Int
  /// The number of calls before the first repeat.
  let warmUpCount: Int
  /// The number of calls in each repeat.
  let callCount: Int
  /// The seconds of a call, for each repeat.
  let seconds: [Double]
  var pairs: [PairedRuns] = []
  /// The bar and the value to compare with it.
  var bar: (bar: Bar, value: Double)?

  var median: Double { middle(seconds) }
  var best: Double { seconds.min() ?? .nan }
  /// The longest time minus the shortest, divided by the median.
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

  /// Billions per second, with about three digits.
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

  /// The row as an object of a JSON document.
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

/// The median, under a name that the member `median` does not hide.
private func middle(_ values: [Double]) -> Double { median(values) }
