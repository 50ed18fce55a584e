internal import DuetText

/// How a context and a continuation become tokens.
///
/// The same model scores up to several per cent apart between the two, so an accuracy without its
/// protocol means nothing. Papers on compression to two bits report the older one; its mark is an
/// uncompressed Llama-2-7B with about 67 % on WinoGrande, where the newer one gives about 69 %.
package enum EvaluationProtocol: String, CaseIterable, Sendable {
  /// Context and continuation are encoded together, with the tokenizer's own special tokens: a token of
  /// the continuation is what the tokenizer makes of it behind that context.
  case joined = "lm-eval-0.4"
  /// Context and continuation are encoded apart and without special tokens.
  case separate = "lm-eval-0.3"
}

/// Something about the encoding of a choice that a reader of its score should know.
package enum EncodingFlag: String, CaseIterable, Sendable {
  /// The context and the continuation do not fit in the model's context: the beginning is cut off.
  case contextTruncated = "context_truncated"
  /// Not even the continuation fits: its beginning is not scored.
  case continuationTruncated = "continuation_truncated"
  /// The tokens of both together are no more than those of the context, so that none is left for the
  /// continuation, which is encoded by itself instead; lm-eval 0.4 fails here.
  case continuationInContext = "continuation_in_context"
  /// The continuation has no tokens at all; its log-likelihood is 0.
  case continuationEmpty = "continuation_empty"
  /// The context is empty; a BOS or EOS token stands for it.
  case contextEmpty = "context_empty"
}

/// A choice as tokens.
struct EncodedChoice: Equatable {
  var context: [Int]
  var continuation: [Int]
  var flags: [EncodingFlag] = []

  /// Cuts the beginning off, so that all tokens but the last fit in `contextLength`.
  ///
  /// At least one token stays in the context, since something has to be before the first prediction.
  mutating func truncate(contextLength: Int) {
    let count = context.count + continuation.count
    let kept = contextLength + 1
    guard count > kept else { return }
    flags.append(.contextTruncated)
    if continuation.count >= kept {
      flags.append(.continuationTruncated)
      let tail = continuation.suffix(kept)
      context = Array(tail.prefix(1))
      continuation = Array(tail.dropFirst())
    } else {
      context = Array(context.suffix(kept - continuation.count))
    }
  }
}

extension EvaluationProtocol {
  /// The tokens of a choice, before anything is cut off.
  ///
  /// - Parameters:
  ///   - choice: The texts.
  ///   - tokenizer: What encodes them.
  /// - Returns: Context, at least one token, and continuation.
  /// - Throws: `EvaluationError.noPrefixToken`.
  func encode(
    _ choice: ChoiceDocument.Choice, _ tokenizer: Tokenizer
  ) throws(EvaluationError) -> EncodedChoice {
    var encoded =
      switch self {
      case .joined: Self.encodeTogether(choice, tokenizer)
      case .separate:
        EncodedChoice(
          context: tokenizer.encode(choice.context, addingSpecialTokens: false),
          continuation: tokenizer.encode(choice.continuation, addingSpecialTokens: false))
      }
    if encoded.continuation.isEmpty, self == .joined {
      encoded.continuation = tokenizer.encode(choice.continuation, addingSpecialTokens: false)
      encoded.flags.append(.continuationInContext)
    }
    if encoded.continuation.isEmpty { encoded.flags.append(.continuationEmpty) }
    if encoded.context.isEmpty {
      let (beginning, end) = (tokenizer.beginningOfSequence, tokenizer.endOfSequence)
      guard let prefix = self == .joined ? beginning ?? end : end ?? beginning else {
        throw .noPrefixToken
      }
      encoded.context = [prefix]
      encoded.flags.append(.contextEmpty)
    }
    return encoded
  }

  private static func encodeTogether(
    _ choice: ChoiceDocument.Choice, _ tokenizer: Tokenizer
  ) -> EncodedChoice {
    guard !choice.context.isEmpty else {
      return EncodedChoice(
        context: [],
        continuation: tokenizer.encode(choice.continuation, addingSpecialTokens: false))
    }
    // White space at the end of the context goes to the continuation, as tokenizers have it.
    let (context, space) = PythonText.splittingTrailingWhitespace(choice.context)
    let contextTokens = encodeWhole(context, tokenizer)
    let tokens = encodeWhole(context + space + choice.continuation, tokenizer)
    return EncodedChoice(
      context: contextTokens, continuation: Array(tokens.dropFirst(contextTokens.count)))
  }

  /// The tokens of a text with the tokenizer's special tokens, but not with a second BOS before one that
  /// the text spells.
  private static func encodeWhole(_ text: String, _ tokenizer: Tokenizer) -> [Int] {
    if tokenizer.addsBeginningOfSequence, let id = tokenizer.beginningOfSequence,
      let piece = tokenizer.piece(id), text.utf8.starts(with: piece)
    {
      return tokenizer.encode(text, addingSpecialTokens: false)
    }
    return tokenizer.encode(text)
  }
}
