internal import DuetCommandLine
package import DuetText

/// The reason why an answer ended.
package enum StopReason: String, Sendable {
  /// The model chose a token that ends a text.
  case endOfText = "eos"
  /// The answer has the largest number of tokens allowed.
  case maximum = "max-tokens"
  /// The context is full.
  case contextFull = "context"
  /// The user stopped it.
  case interrupted
}

/// The tokens and statistics of an answer.
package struct Answer: Sendable, Equatable {
  /// The tokens of the answer, without the one that ended it.
  package var tokens: [Int] = []
  /// The reason why it ended.
  package var stop = StopReason.endOfText
  /// The number of tokens of the conversation before the answer.
  package var promptCount = 0
  /// The number of these tokens that were evaluated; the others were reused from earlier answers.
  package var evaluatedCount = 0
  /// The seconds that their evaluation took.
  package var promptSeconds = 0.0
  /// The seconds that the answer took.
  package var answerSeconds = 0.0
  /// The number of tokens that were dropped because the context was full.
  package var droppedCount = 0
  /// The number of tokens in the context after the answer.
  package var contextUsed = 0
  /// The number of tokens that fit in the context.
  package var contextLength = 0

  package init() {}
}

extension Answer {
  /// The line of statistics.
  ///
  ///     prompt 41 tok 96.1 tok/s · generated 128 tok 11.9 tok/s · context 169/4096 · stop: eos
  package func statistics(seed: UInt64) -> String {
    var parts = [
      "prompt \(evaluatedCount) tok" + Self.speed(evaluatedCount, promptSeconds),
      "generated \(tokens.count) tok" + Self.speed(tokens.count, answerSeconds),
      "context \(contextUsed)/\(contextLength)", "stop: \(stop.rawValue)", "seed \(seed)",
    ]
    let reused = promptCount - evaluatedCount
    if reused > 0 { parts.insert("reused \(reused) tok", at: 1) }
    if droppedCount > 0 { parts.insert("dropped \(droppedCount) tok", at: parts.count - 2) }
    return parts.joined(separator: " · ")
  }

  private static func speed(_ count: Int, _ seconds: Double) -> String {
    count > 0 && seconds > 0 ? " \(rateText(Double(count) / seconds)) tok/s" : ""
  }

  /// The document that `--json` prints.
  package func document(text: String, template: String, seed: UInt64) -> JSONOutput {
    func part(_ count: Int, _ seconds: Double) -> [JSONOutput.Member] {
      [
        .init("seconds", .number(seconds)),
        .init(
          "tokens_per_second",
          count > 0 && seconds > 0 ? .number(Double(count) / seconds) : .null),
      ]
    }
    return [
      "text": .string(text), "stop": .string(stop.rawValue), "seed": .unsigned(seed),
      "template": .string(template),
      "prompt": .object(
        [
          .init("tokens", .integer(promptCount)), .init("evaluated", .integer(evaluatedCount)),
        ] + part(evaluatedCount, promptSeconds)),
      "generated": .object(
        [.init("tokens", .integer(tokens.count))] + part(tokens.count, answerSeconds)),
      "context": [
        "used": .integer(contextUsed), "length": .integer(contextLength),
        "dropped": .integer(droppedCount),
      ],
    ]
  }
}
