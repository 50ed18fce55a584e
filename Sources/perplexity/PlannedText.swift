import DuetCommandLine
import DuetEvaluation
import DuetRuntime
import DuetSystem
import DuetText

/// The number of threads to compute with.
func threadCount(_ arguments: Arguments) -> Int {
  arguments[CommonOptions.threads] ?? SessionOptions.processorCount
}

/// The model to compare with.
struct Reference {
  let model: Model
  let tokenizer: Tokenizer

  init(
    contentsOf folder: String, loading: Checkpoint.Loading, comparableWith other: Model
  ) throws {
    model = try Model(Checkpoint(contentsOf: folder, loading: loading))
    tokenizer = try Tokenizer(contentsOf: folder)
    let (size, otherSize) = (
      model.configuration.vocabularySize, other.configuration.vocabularySize
    )
    guard size == otherSize else {
      throw PerplexityError.differentVocabularies(modelSize: otherSize, referenceSize: size)
    }
  }
}

/// A file and the windows in which it is scored.
struct PlannedText {
  let path: String
  let byteCount: Int
  let digest: String
  let content: PlannedContent
  /// The windows that are scored.
  let plan: WindowPlan
  /// The number of predictions in the whole text, including windows left out by `--windows`.
  let expectedTokenCount: Int
  let expectedWindowCount: Int

  /// Reads and plans a file.
  init(
    path: String, arguments: Arguments, model: Model, tokenizer: Tokenizer, reference: Reference?,
    messages: Messages
  ) throws {
    let name = arguments[Options.scheme]
    let limit = min(
      model.configuration.contextLength, reference?.model.configuration.contextLength ?? .max)
    let context = arguments[Options.context] ?? min(name.standardContextLength, limit)
    if context > limit {
      messages.warning(
        "a context of \(context) is longer than the \(limit) tokens that the model was made for")
    }
    // 1 GiB of text is about 250 million tokens, which take weeks to evaluate.
    let bytes = try readFile(path, limit: 1 << 30)
    let source = try PlannedContent.Source(bytes, path: path, arguments: arguments)
    content = try messages.encoding(path, with: tokenizer) {
      try source.content(tokenizer, contextLength: context, arguments: arguments)
    }
    if let reference {
      let other = try source.content(
        reference.tokenizer, contextLength: context, arguments: arguments)
      guard other.tokens == content.tokens else {
        throw PerplexityError.differentTokens(path: path)
      }
    }
    let whole = try WindowPlan(
      documents: content.tokens, protocol: name, contextLength: context,
      beginning: arguments[Options.beginning], tail: arguments[Options.tail],
      beginningToken: tokenizer.beginningOfSequence,
      addsBeginning: tokenizer.addsBeginningOfSequence, path: path)
    self.path = path
    byteCount = bytes.count
    digest = SHA256.hexadecimalDigest(of: bytes)
    plan = arguments[Options.windows].map { whole.limited(to: $0) } ?? whole
    // Of C4 only the windows that are scored have been drawn.
    let isShort = name == .paperC4 && whole.windowCount < C4Tokens.standardWindowCount
    expectedWindowCount = isShort ? C4Tokens.standardWindowCount : whole.windowCount
    expectedTokenCount = isShort ? expectedWindowCount * (context - 1) : whole.targetCount
    if name.isC4 { content.warn(about: path, windowCount: plan.windowCount, messages) }
    if KnownText(digest: digest) == nil, let known = KnownText(fileName: path) {
      messages.warning(
        "\(printable(path)) is not the \(known.name) that others measure on: it has \(byteCount) "
          + "bytes and SHA-256 \(digest), that one \(known.byteCount) and \(known.digest)")
    }
  }

  /// Whether only a part of the file is scored.
  var isPartial: Bool { content.isPartial || omitsWindows }

  /// Whether windows are left out by `--windows`.
  var omitsWindows: Bool { plan.windowCount < expectedWindowCount }

  /// Scores all windows, with progress on standard error.
  func measured(
    _ model: Model, against reference: Model?, arguments: Arguments, messages: Messages
  ) throws -> PerplexityMeasurement {
    var options = SessionOptions(
      contextLength: plan.contextLength, threadCount: threadCount(arguments),
      cacheType: arguments[Options.cache], activations: arguments[CommonOptions.activations])
    var measurement = PerplexityMeasurement(plan)
    let progress = ProgressLine(
      "perplexity", total: plan.targetCount, unit: "tok", messages: messages)
    var detail = ""
    // An update at every 16th prediction is enough for a line that changes ten times a second.
    func show(_ count: Int) {
      if count % 16 == 0 { progress.update(count, detail: detail) }
    }
    var session = try Session(model, options: options)
    func compare<Source: LogitSource & ~Copyable>(with other: inout Source) throws {
      while !measurement.isComplete {
        try measurement.scoreNextWindow(&session, comparingWith: &other, progress: show)
        detail = runningText(measurement)
      }
    }
    if let reference {
      options.cacheType = arguments[Options.referenceCache] ?? options.cacheType
      var other = try Session(reference, options: options)
      if let path = arguments[Options.referenceStates] {
        let run = try ReferenceStates.run(
          reference, cacheType: options.cacheType, activations: options.activations, plan: plan)
        if fileExists(path) {
          var stored = StoredReference(
            other,
            try ReferenceStates(
              contentsOf: path, run: run, rowCount: plan.targetCount,
              hiddenSize: reference.configuration.hiddenSize))
          try compare(with: &stored)
        } else {
          var recorded = try RecordedReference(
            other, recordingTo: path, run: run, rowCount: plan.targetCount)
          try compare(with: &recorded)
          try recorded.finish()
        }
      } else {
        try compare(with: &other)
      }
    } else {
      while !measurement.isComplete {
        try measurement.scoreNextWindow(&session, progress: show)
        detail = runningText(measurement)
      }
    }
    progress.finish(measurement.scoredTokenCount, detail: detail)
    return measurement
  }

  private func runningText(_ measurement: PerplexityMeasurement) -> String {
    "ppl \(decimalText(measurement.perplexity, digits: 4)) after "
      + "\(measurement.windowsDone)/\(plan.windowCount) windows"
  }

  /// The JSON document of a numerical error, or nil for another error.
  func failure(_ error: PerplexityError) -> JSONOutput? {
    guard case .nonFinite(_, let window, _, let layer, let tensor, let scored, _) = error else {
      return nil
    }
    return [
      "error": [
        "code": .integer(Int(ExitCode(error.category).rawValue)),
        "message": .string(error.description),
      ],
      "file": .string(path), "sha256": .string(digest), "nonfinite_windows": 1,
      "window": .integer(window), "layer": layer.map { .integer($0) } ?? .null,
      "tensor": tensor.map { .string($0) } ?? .null, "scored_tokens": .integer(scored),
      "expected_tokens": .integer(expectedTokenCount), "partial": true,
    ]
  }
}
