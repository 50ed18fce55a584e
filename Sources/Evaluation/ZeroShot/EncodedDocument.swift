package import DuetRuntime
package import DuetText

/// A document as tokens.
package struct EncodedDocument: Sendable, Equatable {
  /// The token counts of a choice.
  package struct Choice: Sendable, Equatable {
    /// The number of tokens before the continuation.
    package let contextTokenCount: Int
    /// The number of tokens whose log-likelihoods are added.
    package let continuationTokenCount: Int
    /// The special cases in the encoding of the choice.
    package let flags: [EncodingFlag]
  }

  /// The tokens of the choices, in order; neighbours with the same context share it.
  package let contexts: [SharedContext]
  /// The choices, in order.
  package let choices: [Choice]

  /// Encodes a document.
  ///
  /// A sequence that is too long is cut at the beginning: of context and continuation together, the
  /// last `contextLength` + 1 tokens are kept. The last one is predicted but not evaluated.
  ///
  /// - Parameters:
  ///   - document: The texts.
  ///   - name: The way texts are encoded.
  ///   - tokenizer: The tokenizer of the model.
  ///   - contextLength: The largest number of tokens that the model may evaluate at once, at least 1.
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

  /// The number of tokens that a model has to evaluate.
  package var evaluatedCount: Int { contexts.reduce(0) { $0 + $1.evaluatedCount } }

  /// The number of tokens of the longest sequence.
  package var longestSequence: Int { contexts.map(\.longestSequence).max() ?? 0 }
}
