package import DuetRuntime
package import DuetText

/// A document as the tokens that a model evaluates.
package struct EncodedDocument: Sendable, Equatable {
  /// What a choice became.
  package struct Choice: Sendable, Equatable {
    /// The tokens before the continuation.
    package let contextTokenCount: Int
    /// The tokens whose likelihoods are added up.
    package let continuationTokenCount: Int
    /// What is unusual about them.
    package let flags: [EncodingFlag]
  }

  /// The choices, neighbours with the same context together, in order.
  package let contexts: [SharedContext]
  /// The choices, in order.
  package let choices: [Choice]

  /// Encodes a document.
  ///
  /// What a model of `contextLength` tokens cannot read is cut off at the beginning: of context and
  /// continuation the last `contextLength` + 1 tokens are kept, the last of which is only predicted.
  ///
  /// - Parameters:
  ///   - document: The texts.
  ///   - name: How they become tokens.
  ///   - tokenizer: What encodes them.
  ///   - contextLength: The most tokens that the model may evaluate at once, at least 1.
  /// - Throws: `EvaluationError.noPrefixToken`.
  /// - Complexity: O(length of the texts).
  package init(
    _ document: ChoiceDocument, protocol name: EvaluationProtocol, tokenizer: Tokenizer,
    contextLength: Int
  ) throws(EvaluationError) {
    precondition(contextLength > 0, "a context of \(contextLength) tokens")
    var contexts: [SharedContext] = []
    var choices: [Choice] = []
    for choice in document.choices {
      var encoded = try name.encode(choice, tokenizer)
      encoded.truncate(contextLength: contextLength)
      if contexts.last?.context == encoded.context {
        contexts[contexts.count - 1].append(encoded.continuation)
      } else {
        contexts.append(
          SharedContext(context: encoded.context, continuations: [encoded.continuation]))
      }
      choices.append(
        Choice(
          contextTokenCount: encoded.context.count,
          continuationTokenCount: encoded.continuation.count, flags: encoded.flags))
    }
    self.contexts = contexts
    self.choices = choices
  }

  /// The tokens that a model has to evaluate.
  package var evaluatedCount: Int { contexts.reduce(0) { $0 + $1.evaluatedCount } }

  /// The tokens of the longest sequence among them.
  package var longestSequence: Int { contexts.map(\.longestSequence).max() ?? 0 }
}
