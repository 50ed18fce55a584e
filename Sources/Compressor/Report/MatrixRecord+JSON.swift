internal import DuetSystem
public import DuetText

extension MatrixRecord {
  /// Every figure by name, for the report and the journal.
  public var members: [JSONOutput.Member] {
    [
      .init("name", .string(name)),
      .init("output_size", .integer(outputSize)),
      .init("input_size", .integer(inputSize)),
      .init("method", .string(method)),
      .init("inputs_are_zero", .boolean(inputsAreZero)),
      .init("relative_error", .number(relativeError)),
      .init("damped_relative_error", .number(dampedRelativeError)),
      .init("round_to_nearest_error", .number(roundToNearestError)),
      .init("feedback_rounding_error", .number(feedbackRoundingError)),
      .init("traces", .array(traces.map(\.json))),
      .init("mean_scale", .number(meanScale)),
      .init("largest_scale", .number(largestScale)),
      .init("quantized_role", .number(quantizedRole)),
      .init("low_rank_role", .number(lowRankRole)),
      .init("damping", .number(damping)),
      .init("correction", .number(correction)),
      .init("correction_damping", .number(correctionDamping)),
      .init("outlier_channels", .array(outlierChannels.map { .integer($0) })),
      .init("rank", .integer(rank)),
      .init("preserved_rank", preservedRank.map { .integer($0) } ?? .null),
      .init("scaling_exponent", scalingExponent.map { .number($0) } ?? .null),
      .init("kl_divergence", klDivergence.map { .number($0) } ?? .null),
      .init("byte_count", .integer(byteCount)),
    ]
  }

  /// The record that `members` describe, or nil when one is missing or of another kind.
  ///
  /// JSON has no infinities, so a number that was not finite is read as NaN, which is also written as null.
  init?(_ json: JSONValue) {
    func number(_ key: String) -> Double? { json[key].flatMap(Self.number) }
    guard let name = json["name"]?.string, let outputSize = json["output_size"]?.int,
      let inputSize = json["input_size"]?.int, let method = json["method"]?.string,
      let relativeError = number("relative_error"),
      let dampedRelativeError = number("damped_relative_error"),
      let roundToNearestError = number("round_to_nearest_error"),
      let feedbackRoundingError = number("feedback_rounding_error"),
      let traces = json["traces"]?.elements, let meanScale = number("mean_scale"),
      let largestScale = number("largest_scale"), let quantizedRole = number("quantized_role"),
      let lowRankRole = number("low_rank_role"), let damping = number("damping"),
      let correction = number("correction"),
      let correctionDamping = number("correction_damping"),
      let outlierChannels = json["outlier_channels"]?.elements, let rank = json["rank"]?.int,
      let byteCount = json["byte_count"]?.int
    else { return nil }
    self.init()
    self.name = name
    self.outputSize = outputSize
    self.inputSize = inputSize
    self.method = method
    inputsAreZero = json["inputs_are_zero"]?.bool ?? false
    self.relativeError = relativeError
    self.dampedRelativeError = dampedRelativeError
    self.roundToNearestError = roundToNearestError
    self.feedbackRoundingError = feedbackRoundingError
    self.meanScale = meanScale
    self.largestScale = largestScale
    self.quantizedRole = quantizedRole
    self.lowRankRole = lowRankRole
    self.damping = damping
    self.correction = correction
    self.correctionDamping = correctionDamping
    self.rank = rank
    preservedRank = json["preserved_rank"]?.int
    scalingExponent = json["scaling_exponent"]?.double
    klDivergence = json["kl_divergence"]?.double
    self.byteCount = byteCount
    for trace in traces {
      guard let trace = Trace(trace) else { return nil }
      self.traces.append(trace)
    }
    for channel in outlierChannels {
      guard let channel = channel.int else { return nil }
      self.outlierChannels.append(channel)
    }
  }

  fileprivate static func number(_ value: JSONValue) -> Double? {
    value.isNull ? .nan : value.double
  }
}

extension MatrixRecord.Trace {
  fileprivate var json: JSONOutput {
    [
      "initialization": .string(initialization),
      "errors": .array(errors.map { .number($0) }),
    ]
  }

  fileprivate init?(_ json: JSONValue) {
    guard let initialization = json["initialization"]?.string,
      let elements = json["errors"]?.elements
    else { return nil }
    var errors: [Double] = []
    for element in elements {
      guard let error = MatrixRecord.number(element) else { return nil }
      errors.append(error)
    }
    self.init(initialization: initialization, errors: errors)
  }
}
