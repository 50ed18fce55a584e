import DuetCommandLine
import DuetEvaluation
import DuetRuntime
import DuetSystem
import DuetText

/// The number of threads to compute with.
func threadCount(_ arguments: Arguments) -> Int {
  arguments[CommonOptions.threads] ?? SessionOptions.processorCount
}

/// A task whose documents are read and encoded.
struct PlannedTask {
  let plan: EvaluationPlan

  var data: TaskData { plan.data }
  var task: EvaluationTask { plan.data.task }

  /// Reads and encodes the documents, and warns about data that differs from the published data.
  init(
    _ task: EvaluationTask, arguments: Arguments, model: Model, tokenizer: Tokenizer,
    messages: Messages
  ) throws {
    let data = try TaskData(
      task, folder: arguments[Options.data],
      exampleCount: task.hasExamples ? arguments[Options.examples] ?? 0 : 0)
    plan = try messages.encoding(data.path, with: tokenizer) {
      try EvaluationPlan(
        data, limit: arguments[Options.limit], protocol: arguments[Options.scheme],
        tokenizer: tokenizer, contextLength: model.configuration.contextLength)
    }
    if let expected = task.expectedCount, !data.hasExpectedCount {
      messages.warning(
        "\(printable(data.path)): \(data.documents.count) documents, where \(task.name) has "
          + "\(expected); the numbers are not comparable")
    }
    if data.joinedContextCount > 0 {
      messages.warning(
        "\(printable(data.path)): \(data.joinedContextCount) documents have ctx but no ctx_a and "
          + "ctx_b; lm-eval capitalizes ctx_b, so its numbers may differ a little")
    }
  }

  /// Scores all documents that are not recorded yet, with progress on standard error.
  func scored(_ model: Model, digest: String, _ invocation: Invocation) throws -> [EvaluationSample]
  {
    let arguments = invocation.arguments
    let mode: EvaluationJournal.Mode =
      arguments[Options.force] ? .overwrite : arguments[Options.resume] ? .resume : .refuse
    guard let folder = arguments[Options.samples] else {
      return try score(model, after: [], invocation) { _ in }
    }
    var journal = try EvaluationJournal(
      plan, folder: folder,
      identity: [
        .init("version", .string(duetVersion)), .init("model_sha256", .string(digest)),
      ], mode: mode)
    if arguments[Options.resume] {
      invocation.messages.note(
        "\(printable(task.name)): \(journal.recorded.count) of \(plan.documents.count) documents "
          + "are there already")
    }
    let samples = try score(model, after: journal.recorded, invocation) { try journal.append($0) }
    try journal.finish()
    return samples
  }

  private func score(
    _ model: Model, after recorded: [EvaluationSample], _ invocation: Invocation,
    _ record: ([EvaluationSample]) throws -> Void
  ) throws -> [EvaluationSample] {
    var samples = recorded
    guard samples.count < plan.documents.count else { return samples }
    let options = SessionOptions(threadCount: threadCount(invocation.arguments))
    var scorer = try ContinuationScorer(
      model, longestSequence: plan.longestSequence, options: options)
    let total = plan.evaluatedCount(first: plan.documents.count)
    let start = plan.evaluatedCount(first: samples.count)
    var done = start
    let progress = ProgressLine(
      task.name, total: total, unit: "tok", startingAt: start, messages: invocation.messages)
    let clock = ContinuousClock()
    let began = clock.now
    for (step, range) in plan.steps.enumerated() where range.lowerBound >= samples.count {
      let scored = try plan.score(step: step, &scorer)
      try record(scored)
      samples += scored
      done += plan.documents[range].reduce(0) { $0 + $1.evaluatedCount }
      progress.update(done, detail: "\(samples.count)/\(plan.documents.count) documents")
    }
    progress.finish(done, detail: "\(samples.count)/\(plan.documents.count) documents")
    let seconds = began.duration(to: clock.now) / .seconds(1)
    invocation.messages.note(
      "\(printable(task.name)): \(done - start) tokens of \(samples.count - recorded.count) documents "
        + "in \(durationText(seconds)), \(rateText(Double(done - start) / seconds)) tok/s")
    return samples
  }
}
