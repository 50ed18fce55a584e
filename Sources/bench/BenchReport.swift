import DuetCommandLine
import DuetRuntime
import DuetSystem
import DuetText

/// The time and memory to open a checkpoint and to evaluate its first token.
struct LoadingCost {
  /// Seconds until the model was ready to run.
  let openSeconds: Double
  /// Seconds from the start of opening until the first token was evaluated.
  let firstTokenSeconds: Double
  let fileByteCount: Int
  let cacheByteCount: Int
  let peakByteCount: Int

  /// The memory allowed by the bar: the files, the KV cache and 200 MB.
  private var allowedByteCount: Int { fileByteCount + cacheByteCount + 200_000_000 }
  /// The memory used, divided by the memory allowed.
  var memoryShare: Double { Double(peakByteCount) / Double(allowedByteCount) }
  static let memoryBar = Bar(
    quantity: "% of files + KV cache + 200 MB", must: 1, isUpper: true, scale: 100)
  /// The bar for the seconds to the first token, with the files in the page cache.
  static let firstTokenBar = Bar(quantity: "s", must: 1, isUpper: true)
}

/// The measured model: the columns that are equal for all tests of a run of `bench`.
struct BenchSubject {
  let name: String
  let format: String
  let kernelSet: KernelSet
  let byteCountPerToken: Int
  let parameterCount: Int
  /// The configuration, for the formats of compressed weights and the bars.
  let configuration: Configuration
  /// The stored bits of the linear layers of all decoder layers, divided by their weights.
  let bitsPerWeight: Double
  let headFormat: String

  /// Makes the subject of a loaded model.
  init(_ model: Model, name: String, format: String, kernelSet: KernelSet) {
    self.name = name
    configuration = model.configuration
    self.format = configuration.compression?.text ?? format
    self.kernelSet = kernelSet
    byteCountPerToken = model.byteCountPerToken
    let linears = model.layers.flatMap(\.linears)
    let weightCount = linears.reduce(0) { $0 + $1.inputSize * $1.outputSize }
    bitsPerWeight =
      Double(linears.reduce(0) { $0 + $1.byteCount }) * 8 / Double(max(weightCount, 1))
    headFormat = model.head.elementTypeName
    let embedding = configuration.vocabularySize * configuration.hiddenSize
    let norms = (2 * configuration.layerCount + 1) * configuration.hiddenSize
    parameterCount =
      model.multipliedWeightCount + norms + (configuration.tiesEmbeddings ? 0 : embedding)
  }

  /// The members of a JSON document about compressed weights.
  fileprivate var json: [JSONOutput.Member] {
    guard let compression = configuration.compression else { return [] }
    return [
      .init("weight_format", .string(compression.format?.rawValue ?? "none")),
      .init("group_size", .string(compression.groupSize.rawValue)),
      .init("rank", .integer(compression.rank)),
      .init("factor_format", .string(compression.factors.format.rawValue)),
      .init("incoherence", .string(compression.incoherence.rawValue)),
      .init("head_format", .string(headFormat)),
      .init("layers", .integer(configuration.layerCount)),
      .init("bits_per_weight", .number(bitsPerWeight)),
    ]
  }
}

/// The results of one run of `bench`, as a table and as JSON.
struct BenchReport {
  let subject: BenchSubject
  let loading: LoadingCost?
  var measurements: [Measurement] = []
  /// The time of a token divided by the time of its kernels, for a model that fits in the cache.
  var kernelRatio: Double?
  private static let kernelBar = Bar(quantity: "times", must: 1.3, isUpper: true)

  /// A table in the style of llama-bench, with the share of the limit as its last column.
  var lines: [String] {
    var lines = [
      "| model | size | params | kernels | threads | test | t/s | share of limit |",
      "|---|---:|---:|---|---:|---|---:|---|",
    ]
    for measurement in measurements {
      let (mean, deviation) = meanAndDeviation(measurement.speeds)
      let cells = [
        "\(subject.name) \(subject.format)", gib(subject.byteCountPerToken),
        "\(decimalText(Double(subject.parameterCount) / 1e6, digits: 2)) M",
        subject.kernelSet.name,
        "\(measurement.threadCount)", measurement.test,
        "\(decimalText(mean, digits: 2)) ± \(decimalText(deviation, digits: 2))",
        share(measurement),
      ]
      lines.append("| \(cells.joined(separator: " | ")) |")
    }
    if let kernelRatio {
      lines += [
        "",
        "a token takes \(decimalText(kernelRatio, digits: 2)) times as long as its kernels, 1 thread "
          + "(\(Self.kernelBar.text(kernelRatio)))",
      ]
    }
    if let loading {
      lines += [
        "",
        "open \(decimalText(loading.openSeconds * 1000, digits: 1)) ms, first token after "
          + "\(decimalText(loading.firstTokenSeconds * 1000, digits: 1)) ms "
          + "(\(LoadingCost.firstTokenBar.text(loading.firstTokenSeconds)))",
        "peak resident \(gib(loading.peakByteCount)); files \(gib(loading.fileByteCount)) + "
          + "KV cache \(gib(loading.cacheByteCount)) "
          + "(\(LoadingCost.memoryBar.text(loading.memoryShare)))",
      ]
    }
    return lines
  }

  private func share(_ measurement: Measurement) -> String {
    let bar = subject.bar(of: measurement).map { " (\($0.text(measurement.pairs.share)))" }
    return measurement.pairs.text + (bar ?? "")
  }

  /// The results as one JSON document.
  var json: JSONOutput {
    var members: [JSONOutput.Member] = [
      .init("model", .string(subject.name)), .init("format", .string(subject.format)),
      .init("bytes_per_token", .integer(subject.byteCountPerToken)),
      .init("parameters", .integer(subject.parameterCount)),
      .init("kernel_set", .string(subject.kernelSet.name)),
      .init("blas_core", .string(BLASCore.name)),
    ]
    members += subject.json
    members.append(.init("tests", .array(measurements.map(json))))
    if let kernelRatio {
      members.append(.init("token_over_kernels", Self.kernelBar.json(kernelRatio)))
    }
    if let loading {
      members.append(
        .init(
          "loading",
          [
            "open_seconds": .number(loading.openSeconds),
            "first_token_seconds": .number(loading.firstTokenSeconds),
            "file_bytes": .integer(loading.fileByteCount),
            "kv_cache_bytes": .integer(loading.cacheByteCount),
            "peak_resident_bytes": .integer(loading.peakByteCount),
            "first_token_bar": LoadingCost.firstTokenBar.json(loading.firstTokenSeconds),
            "bar": LoadingCost.memoryBar.json(loading.memoryShare),
          ]))
    }
    return .object(members)
  }

  private func json(_ measurement: Measurement) -> JSONOutput {
    let (mean, deviation) = meanAndDeviation(measurement.speeds)
    let pairs = measurement.pairs
    return [
      "test": .string(measurement.test), "threads": .integer(measurement.threadCount),
      "tokens_per_second_mean": .number(mean), "tokens_per_second_sd": .number(deviation),
      "tokens_per_second": .array(measurement.speeds.map { .number($0) }),
      pairs.limit.name: .number(pairs.limitRate), "share_median": .number(pairs.share),
      "shares": .array(pairs.shares.map { .number($0) }),
      "bar": subject.bar(of: measurement).map { $0.json(pairs.share) } ?? .null,
    ]
  }
}
