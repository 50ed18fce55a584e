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

/// The results of one run of `bench`, as a table and as JSON.
struct BenchReport {
  let name: String
  let model: Model
  let format: String
  let kernelSet: KernelSet
  let loading: LoadingCost?
  var measurements: [Measurement] = []

  private var parameterCount: Int {
    let configuration = model.configuration
    let embedding = configuration.vocabularySize * configuration.hiddenSize
    let norms = (2 * configuration.layerCount + 1) * configuration.hiddenSize
    return model.multipliedWeightCount + norms + (configuration.tiesEmbeddings ? 0 : embedding)
  }

  private func gib(_ byteCount: Int) -> String {
    "\(decimalText(Double(byteCount) / 0x1p30, digits: 2)) GiB"
  }

  /// A table in the style of llama-bench, with the share of the limit as its last column.
  var lines: [String] {
    var lines = [
      "| model | size | params | kernels | threads | test | t/s | share of limit |",
      "|---|---:|---:|---|---:|---|---:|---|",
    ]
    for measurement in measurements {
      let (mean, deviation) = meanAndDeviation(measurement.speeds)
      let cells = [
        "\(name) \(format)", gib(model.byteCountPerToken),
        "\(decimalText(Double(parameterCount) / 1e6, digits: 2)) M", kernelSet.name,
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
    let percent = "\(decimalText(median(measurement.shares) * 100, digits: 1)) %"
    switch measurement.limit {
    case .reading(let rate, _):
      return "\(percent) of reading \(decimalText(rate / 1e9, digits: 1)) GB/s"
    case .multiplying(let rate, _):
      return "\(percent) of sgemm \(decimalText(rate / 1e9, digits: 0)) GFLOP/s "
        + "(\(BLASCore.name))"
    }
  }

  /// Everything, as one document.
  var json: JSONOutput {
    var members: [JSONOutput.Member] = [
      .init("model", .string(name)), .init("format", .string(format)),
      .init("bytes_per_token", .integer(model.byteCountPerToken)),
      .init("parameters", .integer(parameterCount)),
      .init("kernel_set", .string(kernelSet.name)),
      .init("blas_core", .string(BLASCore.name)),
      .init("tests", .array(measurements.map(json))),
    ]
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
    let (limitName, limit): (String, Double) =
      switch measurement.limit {
      case .reading(let rate, _): ("read_bytes_per_second", rate)
      case .multiplying(let rate, _): ("sgemm_operations_per_second", rate)
      }
    return [
      "test": .string(measurement.test), "threads": .integer(measurement.threadCount),
      "tokens_per_second_mean": .number(mean), "tokens_per_second_sd": .number(deviation),
      "tokens_per_second": .array(measurement.speeds.map { .number($0) }),
      limitName: .number(limit), "share_median": .number(median(measurement.shares)),
      "shares": .array(measurement.shares.map { .number($0) }),
    ]
  }
}
