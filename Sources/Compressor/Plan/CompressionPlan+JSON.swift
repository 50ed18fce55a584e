internal import DuetRuntime
public import DuetText

extension CompressionPlan {
  /// Every choice by name, for the report and the fingerprint.
  ///
  /// An option that the method does not read has its standard value.
  ///
  /// - Parameter hiddenSize: The hidden size of the model, for the standard rank; nil where the model is not
  ///   known.
  /// - Returns: The members of a JSON object, in a fixed order.
  public func members(hiddenSize: Int? = nil) -> [JSONOutput.Member] {
    var choices = method.choices
    choices.hiddenSize = hiddenSize
    func members(_ options: [any MethodOptionDeclaration]) -> [JSONOutput.Member] {
      options.map { .init($0.key, $0.json(in: choices)) }
    }
    return [.init("method", .string(method.name))]
      + members(MethodOptions.ofQuantized)
      + [
        .init("head_format", .string(headFormat.rawValue)),
        .init("embedding_format", embeddingFormat.map { .string($0.rawValue) } ?? .null),
      ]
      + members(MethodOptions.ofLowRank + choices.others)
      + [
        .init("damping", .number(damping)),
        .init("incoherence", .string(incoherence.rawValue)),
        .init("propagation", .string(propagation.rawValue)),
        .init("activation_type", .string(activationType.rawValue)),
        .init("metric", .string(metric.rawValue)),
        .init("sample_count", .integer(sampleCount)),
        .init("context_length", .integer(contextLength)),
        .init("seed", .unsigned(seed)),
        .init("kept_names", .array(keptNames.map { .string($0) })),
      ]
  }
}
