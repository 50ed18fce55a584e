import DuetCommandLine
import DuetEvaluation
import DuetSystem
import DuetText

/// The result of one file as text and as JSON.
struct Report {
  let planned: PlannedText
  let measurement: PerplexityMeasurement
  let arguments: Arguments

  private var plan: WindowPlan { planned.plan }

  // MARK: - Text

  /// The result with its definition, the data, and the comparison with the reference.
  var lines: [String] {
    var lines = ["\(printable(planned.path))  \(figures)  (\(definition))", "  \(data)"]
    if let folder = arguments[Options.reference], let comparison = measurement.comparison {
      lines += comparisonLines(comparison, printable(folder))
    }
    return lines
  }

  private var figures: String {
    guard plan.protocol == .lmEval else {
      return "ppl " + text(measurement.perplexityEstimate, digits: 4)
    }
    let result = measurement.documentPerplexity(planned.content.documents)
    return "word_perplexity \(text(result?.word, digits: 4))  "
      + "byte_perplexity \(text(result?.byte, digits: 4))  "
      + "bits_per_byte \(text(result?.bitsPerByte, digits: 4))"
  }

  /// The definition of the average: "paper: 166 windows × 2047 tokens, context 2048, ...".
  private var definition: String {
    let partial = planned.isPartial ? "partial, not comparable; " : ""
    let omitted =
      planned.omitsWindows ? " of \(planned.expectedWindowCount)" : ""
    var parts: [String]
    switch plan.protocol {
    case .lmEval:
      parts = ["\(plan.documentCount) documents", "\(plan.windowCount) windows"]
    case .paper, .llamaCpp, .paperC4, .c4New:
      parts = ["\(plan.windowCount)\(omitted) windows × \(plan.targetCount(inWindow: 0)) tokens"]
      let last = plan.targetCount(inWindow: plan.windowCount - 1)
      if last != plan.targetCount(inWindow: 0) {
        parts = [
          "\(plan.windowCount - 1)\(omitted) windows × \(plan.targetCount(inWindow: 0)) tokens "
            + "and one × \(last)"
        ]
      }
    }
    parts.append("context \(plan.contextLength)")
    if plan.protocol == .paperC4 { parts.append("seed \(arguments[Options.seed])") }
    parts += [beginning, "0 skipped"]
    return "\(partial)\(plan.protocol.rawValue): \(parts.joined(separator: ", "))"
  }

  private var beginning: String {
    switch (plan.protocol, plan.beginning) {
    case (_, .never): "no BOS"
    case (.lmEval, _):
      arguments[Options.beginning] == .auto
        ? "BOS before each document and the tokenizer's own" : "BOS before each document"
    case (.paperC4, _): "BOS before each document"
    case (.llamaCpp, .every): "BOS in place of each window's first token"
    case (_, .every): "BOS before every window"
    case (_, .first), (_, .auto): "BOS first window only"
    }
  }

  private var data: String {
    var parts = ["sha256 \(planned.digest)"]
    if let known = KnownText(digest: planned.digest) { parts.append(known.name) }
    parts.append(planned.content.format.rawValue)
    if let limit = arguments[Options.characters], planned.content.isPartial {
      parts.append("first \(limit) characters")
    }
    if let sample = planned.content.sampleText { parts.append(sample) }
    if plan.protocol == .lmEval,
      let result = measurement.documentPerplexity(planned.content.documents)
    {
      parts.append("\(result.wordCount) words, \(result.byteCount) bytes")
    }
    parts.append("\(plan.tokenCount) tokens")
    parts.append("\(measurement.scoredTokenCount) scored")
    if plan.droppedTokenCount > 0 {
      parts.append("\(plan.droppedTokenCount) at the end dropped")
    }
    var definition = "± over \(samplingUnit.rawValue)"
    if samplingUnit == .windows, let error = measurement.loss.standardErrorOverObservations {
      // Programs that assume independent tokens print this one; it is much too small for a mixed text.
      let overTokens = decimalText(measurement.perplexity * error, digits: 4)
      definition += " (over tokens \(overTokens))"
    }
    return parts.joined(separator: ", ") + "; " + definition
  }

  private var samplingUnit: SamplingUnit {
    plan.protocol == .lmEval ? .documents : measurement.samplingUnit
  }

  private func comparisonLines(_ comparison: ModelComparison, _ folder: String) -> [String] {
    let share = measurement.estimate(comparison.sameTop).map {
      Estimate(value: 100 * $0.value, standardError: $0.standardError.map { 100 * $0 })
    }
    let change = measurement.perplexityChange
    let sign = (change?.value ?? 0) >= 0 ? "+" : ""
    return [
      "  reference \(folder): ppl \(text(measurement.referencePerplexity, digits: 4)), change "
        + "\(sign)\(text(change, digits: 4)), ratio \(text(measurement.perplexityRatio, digits: 5))",
      "  KL divergence \(text(measurement.estimate(comparison.divergence), digits: 6)) nats/token, "
        + "same top token \(text(share, digits: 3)) %; ± over \(measurement.samplingUnit.rawValue)",
    ]
  }

  private func text(_ estimate: Estimate?, digits: Int) -> String {
    guard let estimate else { return "unknown" }
    let error = estimate.standardError.map { decimalText($0, digits: digits) } ?? "unknown"
    return "\(decimalText(estimate.value, digits: digits)) ± \(error)"
  }

  // MARK: - JSON

  /// The result with all values that define it.
  var json: JSONOutput {
    let loss = measurement.loss
    var members: [JSONOutput.Member] = [
      .init("file", .string(planned.path)),
      .init("sha256", .string(planned.digest)),
      .init("bytes", .integer(planned.byteCount)),
      .init("data", KnownText(digest: planned.digest).map { .string($0.name) } ?? .null),
      .init("text_format", .string(planned.content.format.rawValue)),
      .init("lossy", .boolean(arguments[Options.lossy])),
      .init("strip_bom", .boolean(arguments[Options.stripMark])),
      .init("characters", arguments[Options.characters].map { .integer($0) } ?? .null),
      .init("protocol", .string(plan.protocol.rawValue)),
      .init("context", .integer(plan.contextLength)),
      .init("bos", .string(plan.beginning.rawValue)),
      .init("bos_definition", .string(beginning)),
      .init("tail", .string(plan.tail.rawValue)),
      .init("partial", .boolean(planned.isPartial)),
      .init("documents", .integer(planned.content.sample?.documentCount ?? plan.documentCount)),
      .init("windows", .integer(plan.windowCount)),
      .init("expected_windows", .integer(planned.expectedWindowCount)),
      .init("nonfinite_windows", 0),
      .init("tokens", .integer(plan.tokenCount)),
      .init("dropped_tokens", .integer(plan.droppedTokenCount)),
      .init("scored_tokens", .integer(measurement.scoredTokenCount)),
      .init("expected_tokens", .integer(planned.expectedTokenCount)),
      .init("nll_per_token", number(loss.mean)),
      .init("perplexity", .number(measurement.perplexity)),
      .init("perplexity_stderr", number(measurement.perplexityEstimate?.standardError)),
      .init("stderr_over", .string(measurement.samplingUnit.rawValue)),
      .init("nll_stderr_over_tokens", number(loss.standardErrorOverObservations)),
      .init("nll_stderr_over_windows", number(loss.standardErrorOverGroups)),
      .init("window_nll", means(loss)),
    ]
    if plan.protocol == .lmEval,
      let result = measurement.documentPerplexity(planned.content.documents)
    {
      members += [
        .init("words", .integer(result.wordCount)),
        .init("document_bytes", .integer(result.byteCount)),
      ]
      members += pair("word_perplexity", result.word)
      members += pair("byte_perplexity", result.byte)
      members += pair("bits_per_byte", result.bitsPerByte)
    }
    if let (sample, _) = planned.content.sample {
      members += [
        .init("seed", plan.protocol == .paperC4 ? .unsigned(arguments[Options.seed]) : .null),
        .init("sampled_documents", .integer(sample.documentCount)),
        .init("documents_of_exact_length", .integer(sample.exactLengthCount)),
      ]
    }
    if let comparison = measurement.comparison {
      members.append(.init("comparison", .object(comparisonMembers(comparison))))
    }
    return .object(members)
  }

  private func comparisonMembers(_ comparison: ModelComparison) -> [JSONOutput.Member] {
    pair("reference_perplexity", measurement.referencePerplexity)
      + pair("perplexity_change", measurement.perplexityChange)
      + pair("perplexity_ratio", measurement.perplexityRatio)
      + pair("log_ratio", measurement.estimate(comparison.logRatio))
      + pair("kl_divergence", measurement.estimate(comparison.divergence))
      + pair("same_top", measurement.estimate(comparison.sameTop))
      + [
        .init("window_kl_divergence", means(comparison.divergence)),
        .init("window_same_top", means(comparison.sameTop)),
      ]
  }

  private func pair(_ name: String, _ estimate: Estimate?) -> [JSONOutput.Member] {
    [
      .init(name, number(estimate?.value)),
      .init(name + "_stderr", number(estimate?.standardError)),
    ]
  }

  /// The mean of each window, by which two runs on the same windows are paired.
  private func means(_ values: GroupedMean) -> JSONOutput {
    .array(values.groups.map { .number($0.sum / $0.weight) })
  }

  private func number(_ value: Double?) -> JSONOutput { value.map { .number($0) } ?? .null }
}
