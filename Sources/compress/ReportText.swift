import DuetCommandLine
package import DuetCompressor
import DuetRuntime
import DuetSystem

/// The lines of text that a run prints.
package enum ReportText {
  /// A line of a heading, padded to the width of the first column, and a text.
  static func line(_ heading: String, _ text: String) -> String {
    heading + String(repeating: " ", count: max(1, 11 - heading.count)) + text
  }

  /// The model: "model      stories  6 layers, 42 matrices, 2.65 M weights to compress, ...".
  static func model(_ task: CompressionTask) -> String {
    let forecast = task.forecast
    let configuration = forecast.configuration
    let copied = countText(forecast.copiedElementCount)
    let count = countText(configuration.vocabularySize * configuration.hiddenSize)
    let head =
      forecast.headByteCount > 0
      ? "\(count) in the head as \(task.plan.headFormat.rawValue), " : ""
    let embedding =
      forecast.embeddingByteCount > 0
      ? "\(count) in the embedding as \(embeddingFormat(task)), " : ""
    return line(
      "model",
      "\(name(of: task.folder))  \(configuration.layerCount) layers, "
        + "\(forecast.matrices.count) matrices, \(countText(forecast.weightCount)) weights to "
        + "compress, \(head)\(embedding)\(copied) kept as they are")
  }

  /// The plan: "plan       odlri int2 group 128, rank 64 int4: 2.53 bits/weight, ...".
  static func plan(_ task: CompressionTask) -> String {
    let forecast = task.forecast
    let memory = task.memory
    var text =
      "\(method(task.plan)): \(decimalText(forecast.bitsPerWeight, digits: 2)) bits/weight, "
      + "\(ByteCount(forecast.byteCount).text); peak RAM \(ByteCount(memory.peak).text), about "
      + durationText(forecast.seconds(rate: task.machine.rate))
    if let free = task.machine.freeDisk { text += "; free disk \(ByteCount(free).text)" }
    return line("plan", text)
  }

  /// The time of each step of a run, for `--verbose`.
  static func steps(_ summary: CompressionSummary) -> [String] {
    summary.steps.map { time in
      let name = time.step.rawValue.replacing("_", with: " ")
      let seconds = decimalText(time.seconds, digits: 1)
      let share = decimalText(100 * time.seconds / max(summary.seconds, 1e-9), digits: 1)
      let padding = String(repeating: " ", count: max(1, 28 - name.count - seconds.count))
      return "\(name)\(padding)\(seconds) s  (\(share) %)"
    }
  }

  /// The parts of the forecast, for `--dry-run`.
  static func forecast(_ task: CompressionTask) -> [String] {
    let forecast = task.forecast
    let memory = task.memory
    func bytes(_ count: Int) -> String { ByteCount(count).text }
    let matrices = forecast.matrices.reduce(0) { $0 + $1.byteCount }
    let (kept, states) = (task.hiddenStatesLimit, forecast.hiddenStateByteCount)
    let place =
      task.keepsHiddenStates
      ? kept < states ? "\(bytes(kept)) of them in memory" : "in memory" : "in files"
    return [
      line(
        "bytes",
        "matrices \(bytes(matrices)), rotations \(bytes(forecast.rotationByteCount)), head "
          + "\(bytes(forecast.headByteCount)) (\(task.plan.headFormat.rawValue)), embedding "
          + "\(bytes(forecast.embeddingByteCount)) (\(embeddingFormat(task))), copied "
          + "\(bytes(forecast.copiedByteCount)); \(forecast.byteCount) bytes in all, "
          + "\(decimalText(forecast.bitsPerElement, digits: 2)) bits/weight over the whole model, "
          + "of \(bytes(forecast.sourceByteCount)) before"),
      line(
        "memory",
        "calibrating \(bytes(memory.calibrating)), decomposing \(bytes(memory.decomposing)), "
          + "advancing \(bytes(memory.advancing)), packing \(bytes(memory.packingHead)); "
          + "states of \(task.plan.sampleCount) x \(task.plan.contextLength) tokens \(bytes(states)), "
          + place + "; mapped files \(bytes(memory.mappedFiles)) besides"),
      line("disk", "\(bytes(task.neededByteCount)) at most while the run is on"),
      line(
        "time",
        "about \(durationText(forecast.seconds(rate: task.machine.rate))) at "
          + "\(decimalText(task.machine.rate / 1e9, digits: 0)) GFLOP/s with "
          + "\(task.machine.threadCount) threads, within a factor of two"),
    ]
  }

  /// The line of a finished matrix.
  ///
  /// - Parameters:
  ///   - record: The record of the matrix.
  ///   - done: The number of finished matrices, including this one.
  ///   - total: The number of all matrices.
  ///   - nameWidth: The length of the longest name.
  ///   - seconds: The time it took, or nil for a matrix of an earlier run.
  ///   - remaining: The estimated seconds for the remaining matrices, or nil.
  /// - Returns: A line.
  static func matrix(
    _ record: MatrixRecord, done: Int, total: Int, nameWidth: Int, seconds: Double?,
    remaining: Double?
  ) -> String {
    let count = "\(done)"
    let padding = String(repeating: " ", count: max(0, "\(total)".count - count.count))
    let name = printable(record.name)
    var parts = [
      name + String(repeating: " ", count: max(0, nameWidth - name.count)),
      "rel.err \(decimalText(record.relativeError, digits: 4)) (RTN "
        + "\(decimalText(record.roundToNearestError, digits: 4)))",
      "damping \(decimalText(record.damping, digits: 3))",
      seconds.map { "\(decimalText($0, digits: 1)) s" } ?? "from the journal",
    ]
    if let remaining, done < total { parts.append("ETA \(durationText(remaining))") }
    return line("\(padding)\(count)/\(total)", parts.joined(separator: "  "))
  }

  /// The line of a compressed embedding, or nil when it stays as it is.
  package static func embedding(_ summary: CompressionSummary) -> String? {
    guard let record = summary.embedding else { return nil }
    let cost =
      record.klDivergence.map { "KL \(decimalText($0, digits: 6)) nats/token" }
      ?? "no KL, because a sample has one token"
    return line(
      "embedding",
      "\(record.method), \(ByteCount(record.byteCount).text), rel.err "
        + "\(decimalText(record.relativeError, digits: 4)), \(cost)")
  }

  /// The line of a completed run.
  package static func done(_ summary: CompressionSummary, output: String) -> String {
    var text = "\(printable(output))  \(ByteCount(summary.byteCount).text)"
    if let reduction = summary.reduction {
      text += " (\(decimalText(reduction, digits: 1))x smaller)"
    }
    return line("done", text + figures(summary))
  }

  /// The end of the line of a completed run: the errors, where there are matrices, and the time.
  static func figures(_ summary: CompressionSummary) -> String {
    var text = ""
    if let mean = summary.meanRelativeError, let worst = summary.worstRecord {
      text +=
        ", mean rel.err \(decimalText(mean, digits: 4)), worst "
        + "\(decimalText(worst.relativeError, digits: 4)) \(printable(worst.name))"
    }
    return "\(text), \(durationText(summary.seconds))"
  }

  /// The sentence that a run was stopped, and how to resume it.
  package static func stopped(_ summary: CompressionSummary) -> String {
    "stopped after \(summary.records.count) of \(summary.matrixCount) matrices, which are kept; give "
      + "the same command again to go on from there"
  }

  /// The method and its formats: "odlri int2 group 128, rank 64 int4".
  private static func method(_ plan: CompressionPlan) -> String {
    let method = plan.method
    var text = method.name
    if let rounding = method.quantization {
      text += " \(rounding.format.rawValue)"
      if rounding.gridKind == .asymmetric { text += " asymmetric" }
      text +=
        rounding.groupSize == .row
        ? " one scale per row" : " group \(rounding.groupSize.rawValue)"
    }
    if let factors = method.lowRank, factors.rank > 0 || factors.targetBits != nil {
      text += method.quantization == nil ? " " : ", "
      text +=
        factors.targetBits.map { "ranks for \(decimalText($0, digits: 2)) bits" }
        ?? "rank \(factors.rank)"
      text += " \(factors.format.rawValue)"
    }
    if method.choices[MethodOptions.outlierStorage] == .int8 { text += ", outlier columns int8" }
    return text
  }

  /// The format of the embedding: "int8", or "as it is".
  private static func embeddingFormat(_ task: CompressionTask) -> String {
    task.plan.embeddingFormat?.rawValue ?? "as it is"
  }

  /// The last part of a path.
  static func name(of folder: String) -> String {
    let name = folder.split(separator: "/").last.map(String.init) ?? folder
    return printable([".", ".."].contains(name) ? folder : name)
  }
}
