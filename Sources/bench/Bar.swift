import DuetCommandLine
import DuetRuntime
import DuetText

/// A value that a measurement must reach, from the project's table of bars.
struct Bar {
  /// The unit of the value: "GB/s".
  let quantity: String
  let must: Double
  /// Whether the bar is an upper limit.
  var isUpper = false
  /// The factor by which values are multiplied for printing.
  var scale = 1.0

  /// A bar for a share, printed in percent.
  static func share(_ must: Double) -> Bar { Bar(quantity: "%", must: must, scale: 100) }

  func isReached(by value: Double) -> Bool { isUpper ? value <= must : value >= must }

  /// The bar as text: "must 65 %: reached".
  func text(_ value: Double) -> String {
    // 0.55 * 100 is not exactly 55.
    let isWhole = abs(must * scale - (must * scale).rounded()) < 1e-9
    let digits = isWhole ? 0 : 2
    return "must \(isUpper ? "<= " : "")\(decimalText(must * scale, digits: digits)) \(quantity): "
      + (isReached(by: value) ? "reached" : "missed")
  }

  /// The bar as an object of a JSON document.
  func json(_ value: Double) -> JSONOutput {
    [
      "quantity": .string(scale == 1 ? quantity : "share"),
      "comparison": .string(isUpper ? "at most" : "at least"), "must": .number(must),
      "value": .number(value), "reached": .boolean(isReached(by: value)),
    ]
  }
}

extension Bar {
  /// The bar for packed bytes per second from the cache, with one thread.
  static func cached(_ format: WeightFormat) -> Bar? {
    let must: [WeightFormat: Double] = [.int2: 45, .int3: 40, .int4: 55, .e8p: 18]
    return must[format].map { Bar(quantity: "GB/s", must: $0) }
  }

  /// The bar for the time of Q + LR over the time of Q alone, divided by the ratio of their bytes.
  static let lowRank = Bar(quantity: "time ratio / byte ratio", must: 1.15, isUpper: true)

  /// The bar for the time of an empty job of the worker pool with two threads, in the best run.
  static let emptyJob = Bar(quantity: "us", must: 2, isUpper: true)
}

extension BenchSubject {
  /// The bar of a test, or nil when it has none.
  ///
  /// Only the complete shape llama-2-7b has bars, compressed with groups of 128 and rank 128 in int4.
  func bar(of measurement: Measurement) -> Bar? {
    guard let compression = configuration.compression, configuration.isReference,
      let best = KernelSet.supported.first
    else { return nil }
    guard let format = compression.format else { return nil }
    let threads = measurement.threadCount
    switch (measurement.pairs.limit, kernelSet.name) {
    case (.reading, "avx2"): return format == .int2 && threads == 2 ? .share(0.50) : nil
    case (_, let set) where set != best.name: return nil
    case (.reading, _):
      let must: [WeightFormat: Double] = [.int2: 0.65, .int3: 0.65, .e8p: 0.55]
      guard threads == 2 || (threads == 1 && format == .int2) else { return nil }
      return must[format].map(Bar.share)
    case (.dotProduct, _) where threads == 2 && measurement.test == "pp512":
      let must: [WeightFormat: Double] = [.int2: 0.60, .int3: 0.55, .e8p: 0.55]
      return must[format].map(Bar.share)
    default: return nil
    }
  }
}

extension Configuration {
  /// Whether this is the compressed model that has bars, with all its layers.
  fileprivate var isReference: Bool {
    guard let compression, let shape = Configuration.preset(named: "llama-2-7b") else {
      return false
    }
    return compression.groupSize == .columns128 && compression.rank == 128
      && compression.factors.format == .int4 && compression.incoherence == .both
      && hiddenSize == shape.hiddenSize && intermediateSize == shape.intermediateSize
      && layerCount == shape.layerCount && keyValueWidth == shape.keyValueWidth
      && vocabularySize == shape.vocabularySize
  }
}
