internal import DuetText

/// The way a context and a continuation are encoded as tokens.
///
/// The accuracies of a model under the two protocols differ by up to several per cent, so they can be
/// compared only when they are of one protocol. Papers on compression to two bits use the older one.
/// It can be recognized by the accuracy of the uncompressed Llama-2-7B on WinoGrande: about 67 %, and
/// about 69 % with the newer one.
package enum EvaluationProtocol: String, CaseIterable, Sendable {
  /// Context and continuation are encoded as one text, with the tokenizer's special tokens.
  case joined = "lm-eval-0.4"
  /// Context and continuation are encoded separately and without special tokens.
  case separate = "lm-eval-0.3"
}

/// A special case in the encoding of a choice, which is reported with the score.
package enum EncodingFlag: String, CaseIterable, Sendable {
  /// The context and the continuation do not fit in the model's context; the beginning is cut off.
  case contextTruncated = "context_truncated"
  /// The continuation alone does not fit; its beginning is not scored.
  case continuationTruncated = "continuation_truncated"
  /// Encoded together, both have no more tokens than the context alone.
  ///
  /// No token is left for the continuation, so it is encoded separately; lm-eval 0.4 fails here.
  case continuationInContext = "continuation_in_context"
  /// The continuation has no tokens; its log-likelihood is 0.
  case continuationEmpty = "continuation_empty"
  /// The context is empty; a BOS or EOS token replaces it.
  case contextEmpty = "context_empty"
}

/// A choice as tokens.
struct EncodedChoice: Equatable {
  var context: [Int]
  var continuation: [Int]
  var flags: [EncodingFlag] = []

  /// Cuts the beginning off, so that all tokens except the last fit in `contextLength`.
  ///
  /// At least one token stays in the context, because the first prediction needs one before it.
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
  /// Encodes a choice without truncation.
  ///
  /// - Parameters:
  ///   - choice: The texts.
  ///   - tokenizer: The tokenizer of the model.
  /// - Returns: The tokens of the context, at least one, and of the continuation.
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
    // White space at the end of the context moves to the continuation, because tokenizers attach a
    // space to the word after it.
    let (context, space) = PythonText.splittingTrailingWhitespace(choice.context)
    let contextTokens = encodeWhole(context, tokenizer)
    let tokens = encodeWhole(context + space + choice.continuation, tokenizer)
    return EncodedChoice(
      context: contextTokens, continuation: Array(tokens.dropFirst(contextTokens.count)))
  }

  /// The tokens of a text with the tokenizer's special tokens.
  ///
  /// A text that itself begins with the text of the BOS token gets none of them.
  private static func encodeWhole(_ text: String, _ tokenizer: Tokenizer) -> [Int] {
    if tokenizer.addsBeginningOfSequence, let id = tokenizer.beginningOfSequence,
      let piece = tokenizer.piece(id), text.utf8.starts(with: piece)
    {
      return tokenizer.encode(text, addingSpecialTokens: false)
    }
    return tokenizer.encode(text)
  }
}
