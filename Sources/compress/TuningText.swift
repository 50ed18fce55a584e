import DuetCommandLine
import DuetCompressor
import DuetRuntime
import DuetText

/// The lines of text and the JSON documents of `compress tune`.
enum TuningText {
  /// "plan       100 steps of 1 samples of 2048 tokens, 128 samples, 4 of them held out; peak RAM 1.2 GiB, about 40 min".
  static func plan(_ task: TuningTask) -> String {
    let options = task.options
    let length = task.forecast.contextLength
    let own = options.ownSampleCount
    return ReportText.line(
      "plan",
      "\(options.stepCount) steps of \(options.batchSize) samples of \(length) tokens, "
        + "\(task.forecast.sampleCount) samples, \(options.heldOutCount) of them held out"
        + (own > 0 ? ", \(own) more that the original writes" : "") + "; peak RAM "
        + "\(ByteCount(task.memory).text), about \(durationText(task.seconds))")
  }

  /// "step 10    KL 0.3312 nats/token on the held-out samples".
  static func check(_ check: TuningCheck) -> String {
    ReportText.line(
      "step \(check.step)", "KL \(figure(check.divergence)) nats/token on the held-out samples")
  }

  /// The last line.
  static func done(_ task: TuningTask, _ summary: TuningSummary, seconds: Double) -> String {
    let first = summary.checks.first?.divergence ?? 0
    let best = summary.best
    let change =
      best?.step == 0
      ? "no step made it better on the held-out samples, so it is the model that was read"
      : "KL \(figure(first)) -> \(figure(best?.divergence ?? 0)) nats/token on the held-out samples, at step "
        + "\(best?.step ?? 0) of \(summary.steps)"
    return ReportText.line(
      "done",
      "\(ReportText.name(of: task.output ?? ""))  \(change); "
        + "\(countText(summary.parameterCount)) numbers, \(durationText(seconds))")
  }

  /// The message of a run that was stopped.
  static func stopped(_ summary: TuningSummary, _ task: TuningTask) -> String {
    "stopped after \(summary.steps) of \(task.options.stepCount) steps; give the same command again to go on"
  }

  /// The members that a document has before and after the run.
  static func members(_ task: TuningTask) -> [JSONOutput.Member] {
    [
      .init("model", .string(task.folder)),
      .init("original", .string(task.originalFolder)),
      .init("output", task.output.map { .string($0) } ?? .null),
      .init("version", .string(duetVersion)),
      .init("machine", task.machine.json),
      .init("samples", .integer(task.forecast.sampleCount)),
      .init("context", .integer(task.forecast.contextLength)),
      .init("options", .object(task.options.members)),
      .init("memory_bytes", .integer(task.memory)),
      .init("forecast_seconds", .number(task.seconds)),
    ]
  }

  /// The document of a completed run.
  static func result(
    _ task: TuningTask, _ summary: TuningSummary, seconds: Double
  ) -> JSONOutput {
    .object(
      members(task) + [
        .init("dry_run", false),
        .init("parameters", .integer(summary.parameterCount)),
        .init("steps", .integer(summary.steps)),
        .init("resumed_steps", .integer(summary.resumedSteps)),
        .init("checks", .array(summary.checks.map(\.json))),
        .init("losses", .array(summary.losses.map { .number($0) })),
        .init("best", summary.best?.json ?? .null),
        .init("seconds", .number(seconds)),
      ])
  }

  private static func figure(_ divergence: Double) -> String { decimalText(divergence, digits: 4) }
}
