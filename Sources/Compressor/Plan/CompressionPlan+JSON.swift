public import DuetRuntime

extension CompressionPlan {
  /// Every choice by name, in the order of the declarations, for the report and the fingerprint.
  public var members: [JSONOutput.Member] {
    [
      .init("method", .string(method.rawValue)),
      .init("format", .string(format.rawValue)),
      .init("group_size", groupSize.json),
      .init("grid", .string(grid.rawValue)),
      .init("scale_fit", .string(scaleFit.rawValue)),
      .init("orders_by_activation", .boolean(ordersByActivation)),
      .init("head_format", .string(headFormat.rawValue)),
      .init("rank", .integer(rank)),
      .init("target_bits", targetBits.map { .number($0) } ?? .null),
      .init("factor_format", .string(factorFormat.rawValue)),
      .init("factor_block_size", factorBlockSize.json),
      .init("factor_rounding", .string(factorRounding.rawValue)),
      .init("outlier_channel_count", outlierChannelCount.map { .integer($0) } ?? .null),
      .init("outlier_storage", .string(outlierStorage.rawValue)),
      .init("initialization", .string(initialization.rawValue)),
      .init("update_order", .string(updateOrder.rawValue)),
      .init("outer_iterations", .integer(outerIterations)),
      .init("inner_iterations", .integer(innerIterations)),
      .init("refinement_rounds", .integer(refinementRounds)),
      .init("projects_metric", .boolean(projectsMetric)),
      .init("damping", .number(damping)),
      .init("incoherence", .string(incoherence.rawValue)),
      .init("propagation", .string(propagation.rawValue)),
      .init("sample_count", .integer(sampleCount)),
      .init("context_length", .integer(contextLength)),
      .init("seed", .unsigned(seed)),
      .init("kept_names", .array(keptNames.map { .string($0) })),
    ]
  }
}

extension GroupSize {
  /// The number of columns, or "row".
  var json: JSONOutput { columnCount.map { .integer($0) } ?? .string(rawValue) }
}
