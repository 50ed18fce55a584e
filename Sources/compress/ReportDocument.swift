import DuetCommandLine
import DuetCompressor
import DuetRuntime
import DuetText

/// The JSON documents of a run.
enum ReportDocument {
  /// The document of `--dry-run`.
  ///
  /// - Throws: `CompressionPlanError`.
  static func forecast(_ task: CompressionTask) throws -> JSONOutput {
    .object(try head(task) + [.init("dry_run", true)])
  }

  /// The document of `compress merge --dry-run`.
  static func parts(_ parts: [PartSummary]) -> JSONOutput {
    [
      "parts": .array(
        parts.map {
          [
            "index": .integer($0.number.index), "count": .integer($0.number.count),
            "complete": .boolean($0.isComplete), "state": .string($0.description),
          ]
        })
    ]
  }

  /// The document of a completed run.
  ///
  /// - Throws: `CompressionPlanError`.
  static func result(
    _ task: CompressionTask, _ summary: CompressionSummary
  ) throws -> JSONOutput {
    .object(
      try head(task) + [
        .init("dry_run", false),
        .init("output", task.output.map { .string($0) } ?? .null),
        // A part has no bytes of a model.
        .init("bytes", task.part == nil ? .integer(summary.byteCount) : .null),
        .init("source_bytes", .integer(summary.sourceByteCount)),
        .init("mean_relative_error", summary.meanRelativeError.map { .number($0) } ?? .null),
        .init(
          "worst",
          summary.worstRecord.map {
            ["name": .string($0.name), "relative_error": .number($0.relativeError)]
          } ?? .null),
        .init("embedding", summary.embedding.map(matrix) ?? .null),
        .init("resumed_matrices", .integer(summary.resumedCount)),
        .init("seconds", .number(summary.seconds)),
        .init("steps", StepTime.json(summary.steps)),
        .init("matrices", .array(summary.records.map(matrix))),
      ])
  }

  /// The document of a run that was stopped.
  static func stopped(_ summary: CompressionSummary, code: ExitCode) -> JSONOutput {
    [
      "error": [
        "code": .integer(Int(code.rawValue)), "message": .string(ReportText.stopped(summary)),
      ],
      "done_matrices": .integer(summary.records.count),
      "matrices": .integer(summary.matrixCount),
    ]
  }

  private static func head(_ task: CompressionTask) throws -> [JSONOutput.Member] {
    let part = try task.part.map { part in
      JSONOutput.Member("part", try part.json(rate: task.machine.rate))
    }
    return [
      .init("version", .string(duetVersion)), .init("model", .string(task.folder)),
      .init("plan", plan(task.plan, task.forecast.configuration)),
      .init("forecast", forecastObject(task)),
      .init("machine", task.machine.json),
    ] + [part].compactMap(\.self)
  }

  /// The plan, with the names of the command-line options.
  private static func plan(
    _ plan: CompressionPlan, _ configuration: Configuration
  ) -> JSONOutput {
    var choices = plan.method.choices
    choices.hiddenSize = configuration.hiddenSize
    return .object(
      [.init("method", .string(plan.method.name))]
        + MethodList.options.map { .init($0.jsonName, $0.commandLineJSON(in: choices)) }
        + [
          .init("head_format", .string(plan.headFormat.rawValue)),
          .init("embedding_format", plan.embeddingFormat.map { .string($0.rawValue) } ?? .null),
          .init("damping", .number(plan.damping)),
          .init("incoherence", .string(plan.incoherence.rawValue)),
          .init("propagate", .string(plan.propagation.rawValue)),
          .init("activations", .string(plan.activationType.rawValue)),
          .init("metric", .string(plan.metric.rawValue)),
          .init("samples", .integer(plan.sampleCount)),
          .init("context", .integer(plan.contextLength)), .init("seed", .unsigned(plan.seed)),
          .init("keep", .array(plan.keptNames.map { .string($0) })),
        ])
  }

  private static func forecastObject(_ task: CompressionTask) -> JSONOutput {
    let forecast = task.forecast
    let memory = task.memory
    return [
      "matrices": .integer(forecast.matrices.count), "weights": .integer(forecast.weightCount),
      "bytes": .integer(forecast.byteCount),
      "matrix_bytes": .integer(forecast.matrices.reduce(0) { $0 + $1.byteCount }),
      "rotation_bytes": .integer(forecast.rotationByteCount),
      "head_bytes": .integer(forecast.headByteCount),
      "embedding_bytes": .integer(forecast.embeddingByteCount),
      "copied_bytes": .integer(forecast.copiedByteCount),
      "source_bytes": .integer(forecast.sourceByteCount),
      "bits_per_weight": .number(forecast.bitsPerWeight),
      "bits_per_weight_whole_model": .number(forecast.bitsPerElement),
      "peak_memory_bytes": .integer(memory.peak),
      "mapped_bytes": .integer(memory.mappedFiles),
      "hidden_states_in_memory": .boolean(task.keepsHiddenStates),
      "disk_bytes": .integer(task.neededByteCount),
      "seconds": .number(forecast.seconds(rate: task.machine.rate)),
    ]
  }

  private static func matrix(_ record: MatrixRecord) -> JSONOutput {
    [
      "name": .string(record.name), "output_size": .integer(record.outputSize),
      "input_size": .integer(record.inputSize), "method": .string(record.method),
      "relative_error": .number(record.relativeError),
      "damped_relative_error": .number(record.dampedRelativeError),
      "round_to_nearest_error": .number(record.roundToNearestError),
      "feedback_rounding_error": .number(record.feedbackRoundingError),
      "damping": .number(record.damping), "rank": .integer(record.rank),
      "preserved_rank": record.preservedRank.map { .integer($0) } ?? .null,
      "scaling_exponent": record.scalingExponent.map { .number($0) } ?? .null,
      "kl_divergence": record.klDivergence.map { .number($0) } ?? .null,
      "bytes": .integer(record.byteCount), "bits_per_weight": .number(record.bitsPerWeight),
    ]
  }
}
