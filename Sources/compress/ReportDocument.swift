import DuetCommandLine
import DuetCompressor
import DuetRuntime

/// The JSON documents of a run.
enum ReportDocument {
  /// The document of `--dry-run`.
  static func forecast(_ task: CompressionTask) -> JSONOutput {
    .object(head(task) + [.init("dry_run", true)])
  }

  /// The document of a run that has ended well.
  static func result(_ task: CompressionTask, _ summary: CompressionSummary) -> JSONOutput {
    .object(
      head(task) + [
        .init("dry_run", false),
        .init("output", task.output.map { .string($0) } ?? .null),
        .init("bytes", .integer(summary.byteCount)),
        .init("source_bytes", .integer(summary.sourceByteCount)),
        .init("mean_relative_error", summary.meanRelativeError.map { .number($0) } ?? .null),
        .init(
          "worst",
          summary.worstRecord.map {
            ["name": .string($0.name), "relative_error": .number($0.relativeError)]
          } ?? .null),
        .init("resumed_matrices", .integer(summary.resumedCount)),
        .init("seconds", .number(summary.seconds)),
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

  private static func head(_ task: CompressionTask) -> [JSONOutput.Member] {
    [
      .init("version", .string(duetVersion)), .init("model", .string(task.folder)),
      .init("plan", plan(task.plan)), .init("forecast", forecastObject(task)),
      .init("machine", task.machine.json),
    ]
  }

  private static func plan(_ plan: CompressionPlan) -> JSONOutput {
    [
      "method": .string(plan.method.rawValue), "format": .string(plan.format.rawValue),
      "group_size": .string(plan.groupSize.rawValue), "grid": .string(plan.grid.rawValue),
      "scale_fit": .string(plan.scaleFit.rawValue),
      "act_order": .boolean(plan.ordersByActivation),
      "head_format": .string(plan.headFormat.rawValue), "rank": .integer(plan.rank),
      "target_bits": plan.targetBits.map { .number($0) } ?? .null,
      "lr_format": .string(plan.factorFormat.rawValue),
      "lr_rounding": .string(plan.factorRounding.rawValue),
      "lr_block_size": .string(plan.factorBlockSize.rawValue),
      "outlier_channels": plan.outlierChannelCount.map { .integer($0) } ?? .null,
      "outlier_storage": .string(plan.outlierStorage.rawValue),
      "initialization": .string(plan.initialization.rawValue),
      "update_order": .string(plan.updateOrder.rawValue),
      "outer_iterations": .integer(plan.outerIterations),
      "inner_iterations": .integer(plan.innerIterations),
      "refinement_rounds": .integer(plan.refinementRounds),
      "hessian_downdate": .boolean(plan.projectsMetric), "damping": .number(plan.damping),
      "incoherence": .string(plan.incoherence.rawValue),
      "propagate": .string(plan.propagation.rawValue), "samples": .integer(plan.sampleCount),
      "context": .integer(plan.contextLength), "seed": .unsigned(plan.seed),
      "keep": .array(plan.keptNames.map { .string($0) }),
    ]
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
      "copied_bytes": .integer(forecast.copiedByteCount),
      "source_bytes": .integer(forecast.sourceByteCount),
      "bits_per_weight": .number(forecast.bitsPerWeight),
      "bits_per_weight_whole_model": .number(forecast.bitsPerElement),
      "peak_memory_bytes": .integer(memory.peak),
      "mapped_bytes": .integer(memory.mappedFiles),
      "hidden_states_in_memory": .boolean(task.keepsHiddenStates),
      "disk_bytes": .integer(forecast.diskByteCount),
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
      "bytes": .integer(record.byteCount), "bits_per_weight": .number(record.bitsPerWeight),
    ]
  }
}
