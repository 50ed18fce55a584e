import DuetCommandLine
import DuetRuntime

/// A limit that a speed is compared with.
enum Limit {
  /// A loop that only reads the same bytes, in bytes per second.
  case reading
  /// OpenBLAS's sgemm on the same shapes, in operations per second.
  case sgemm
  /// The dot product of bytes in registers, in operations per second.
  case dotProduct
  /// The product without its low-rank part, in bytes per second.
  case quantizedAlone

  /// The name in JSON documents.
  var name: String {
    switch self {
    case .reading: "read_bytes_per_second"
    case .sgemm: "sgemm_operations_per_second"
    case .dotProduct: "dot_product_operations_per_second"
    case .quantizedAlone: "quantized_alone_bytes_per_second"
    }
  }

  /// The name in a plot.
  var shortName: String {
    switch self {
    case .reading: "reading"
    case .sgemm: "sgemm"
    case .dotProduct: "dot products"
    case .quantizedAlone: "Q alone"
    }
  }

  /// The limit with its value `rate` as text.
  func text(_ rate: Double) -> String {
    switch self {
    case .reading: "reading \(decimalText(rate / 1e9, digits: 1)) GB/s"
    case .sgemm: "sgemm \(decimalText(rate / 1e9, digits: 0)) GFLOP/s (\(BLASCore.name))"
    case .dotProduct: "dot products \(decimalText(rate / 1e9, digits: 0)) GOP/s"
    case .quantizedAlone: "Q alone \(decimalText(rate / 1e9, digits: 1)) GB/s"
    }
  }
}

/// Runs that are each compared with a limit measured immediately before and after.
///
/// The machine's speed varies within seconds; the ratio of measurements close in time varies much less.
struct PairedRuns {
  let limit: Limit
  /// The limit before the first run and after every run.
  private var limits: [Double]
  /// The speed of every run, in the limit's unit.
  private(set) var rates: [Double] = []

  /// Makes an empty list of runs; `rate` is the limit before the first run.
  init(_ limit: Limit, before rate: Double) {
    self.limit = limit
    limits = [rate]
  }

  /// Adds a run at `rate`, in the limit's unit, after which the limit was `limitAfter`.
  mutating func append(_ rate: Double, limitAfter: Double) {
    rates.append(rate)
    limits.append(limitAfter)
  }

  /// The limit around each run: the mean of the two measurements.
  private var limitsAround: [Double] { zip(limits, limits.dropFirst()).map { ($0 + $1) / 2 } }
  /// The speed of each run as a share of the limit around it.
  var shares: [Double] { zip(rates, limitsAround).map { $0 / $1 } }
  /// The median share.
  var share: Double { median(shares) }
  /// The median limit.
  var limitRate: Double { median(limitsAround) }
  /// The share and the limit as text.
  var text: String { "\(percentText(share)) of \(limit.text(limitRate))" }
}

/// The measurements of one test of a model, and their shares of the machine's limit.
struct Measurement {
  /// The name: `pp512` for a prompt of 512 tokens, `tg64` for 64 tokens evaluated one by one.
  let test: String
  let threadCount: Int
  /// Tokens per second of each measurement.
  let speeds: [Double]
  /// The comparison with the limit; a measurement may consist of several runs.
  let pairs: PairedRuns
}

/// A share in percent.
func percentText(_ share: Double) -> String { "\(decimalText(share * 100, digits: 1)) %" }

/// The seconds that `body` takes.
func measure(_ body: () throws -> Void) rethrows -> Double {
  try ContinuousClock().measure(body) / .seconds(1)
}

/// The median: the middle value, or the mean of the two middle values.
func median(_ values: [Double]) -> Double {
  let sorted = values.sorted()
  guard !sorted.isEmpty else { return .nan }
  return (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
}

/// The mean and the standard deviation (n - 1), which is 0 for one value.
func meanAndDeviation(_ values: [Double]) -> (mean: Double, deviation: Double) {
  let mean = values.reduce(0, +) / Double(values.count)
  let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
  return (mean, values.count > 1 ? (squares / Double(values.count - 1)).squareRoot() : 0)
}
