package import DuetCommandLine
package import DuetRuntime
internal import DuetSystem

/// What can be changed between two answers: how tokens are chosen, and how many there are at most.
package struct AnswerSettings: Sendable, Equatable {
  package var sampling: SamplingOptions
  package var maximumCount: Int

  package init(sampling: SamplingOptions, maximumCount: Int) {
    self.sampling = sampling
    self.maximumCount = maximumCount
  }

  private static let options: [any DeclaredOption] = [
    ChatOptions.temperature, ChatOptions.topK, ChatOptions.topP, ChatOptions.minP,
    ChatOptions.repeatPenalty, ChatOptions.seed, ChatOptions.maximum,
  ]

  /// The names of the settings, which are those of the options.
  package static var names: [String] { options.map(\.declaration.name) }

  /// Sets one of them.
  ///
  /// - Parameters:
  ///   - name: One of `names`.
  ///   - value: A text that the option accepts.
  /// - Throws: `UsageError` that says what is accepted; nothing is changed then.
  package mutating func set(_ name: String, to value: String) throws(UsageError) {
    guard Self.names.contains(name) else {
      throw .conflict(
        "there is no setting '\(printable(name))'; the settings are "
          + Self.names.joined(separator: ", "))
    }
    let command = Command(name: "/set", summary: "", options: Self.options)
    guard case .run(let arguments) = try ArgumentParser(command).parse(["--\(name)=\(value)"])
    else { return }
    if let value = arguments[ChatOptions.temperature] { sampling.temperature = value }
    if let value = arguments[ChatOptions.topK] { sampling.topK = max(0, value) }
    if let value = arguments[ChatOptions.topP] { sampling.topP = value }
    if let value = arguments[ChatOptions.minP] { sampling.minP = value }
    if let value = arguments[ChatOptions.repeatPenalty] { sampling.repetitionPenalty = value }
    if let value = arguments[ChatOptions.seed] { sampling.seed = value }
    if arguments.isGiven(ChatOptions.maximum) { maximumCount = arguments[ChatOptions.maximum] }
  }

  /// All settings in one line.
  package var text: String {
    "temperature \(sampling.temperature), top-k \(sampling.topK), top-p \(sampling.topP), "
      + "min-p \(sampling.minP), repeat-penalty \(sampling.repetitionPenalty), "
      + "seed \(sampling.seed), max-tokens \(maximumCount)"
  }
}
