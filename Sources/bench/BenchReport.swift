import DuetCommandLine
import DuetRuntime

/// What opening a checkpoint and its first token cost.
struct LoadingCost {
  /// Seconds until the model was ready to run.
  let openSeconds: Double
  /// Seconds from the start of opening until the first token was evaluated.
  let firstTokenSeconds: Double
  let fileByteCount: Int
  let cacheByteCount: Int
  let peakByteCount: Int
}

/// What was measured: the columns that all tests of a run of `bench` share.
struct BenchSubject {
  let name: String
  let format: String
  let kernelSet: KernelSet
  let byteCountPerToken: Int
  let parameterCount: Int
  /// The packed layers, unless a whole model was measured.
  let plan: PackedPlan?

  /// A model as it runs.
  init(_ model: Model, name: String, format: String, kernelSet: KernelSet) {
    self.name = name
    self.format = format
    self.kernelSet = kernelSet
    plan = nil
    byteCountPerToken = model.byteCountPerToken
    let configuration = model.configuration
    let embedding = configuration.vocabularySize * configuration.hiddenSize
    let norms = (2 * configuration.layerCount + 1) * configuration.hiddenSize
    parameterCount =
      model.multipliedWeightCount + norms + (configuration.tiesEmbeddings ? 0 : embedding)
  }

  /// The packed linear layers of a shape.
  init(_ layers: RandomPackedLayers, name: String, kernelSet: KernelSet) {
    self.name = name
    format = layers.plan.recipe.text
    self.kernelSet = kernelSet
    byteCountPerToken = layers.byteCount
    parameterCount = layers.plan.weightCount
    plan = layers.plan
  }
}

/// The results of one run of `bench`, as a table and as JSON.
struct BenchReport {
  let subject: BenchSubject
  let loading: LoadingCost?
  var measurements: [Measurement] = []

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
    if let loading {
      lines += [
        "",
        "open \(decimalText(loading.openSeconds * 1000, digits: 1)) ms, first token after "
          + "\(decimalText(loading.firstTokenSeconds * 1000, digits: 1)) ms",
        "peak resident \(gib(loading.peakByteCount)); files \(gib(loading.fileByteCount)) + "
          + "KV cache \(gib(loading.cacheByteCount))",
      ]
    }
    return lines
  }

  private func share(_ measurement: Measurement) -> String {
    let bar = subject.bar(of: measurement).map { " (\($0.text(measurement.pairs.share)))" }
    return measurement.pairs.text + (bar ?? "")
  }

  /// Everything, as one document.
  var json: JSONOutput {
    var members: [JSONOutput.Member] = [
      .init("model", .string(subject.name)), .init("format", .string(subject.format)),
      .init("bytes_per_token", .integer(subject.byteCountPerToken)),
      .init("parameters", .integer(subject.parameterCount)),
      .init("kernel_set", .string(subject.kernelSet.name)),
      .init("blas_core", .string(BLASCore.name)),
    ]
    members += subject.plan?.json ?? []
    members.append(.init("tests", .array(measurements.map(json))))
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
