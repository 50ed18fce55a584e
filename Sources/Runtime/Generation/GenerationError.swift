public import DuetSystem

/// A failure while a model runs.
public enum GenerationError: DuetError, Equatable {
  /// The tokens do not fit in what is left of the context.
  case contextFull(needed: Int, capacity: Int)
  /// The context asked for is not a positive number of tokens, or too large for memory.
  case invalidContextLength(Int)
  /// A token id is not in the vocabulary.
  case tokenOutOfRange(id: Int, vocabularySize: Int)
  /// The activations after a layer (nil: the logits) hold an infinity or NaN; `tensor` is the first
  /// weight that holds one itself, or nil.
  case nonFinite(layer: Int?, tensor: String?)
  /// The caller's `isCancelled` returned true.
  case cancelled

  /// One sentence that says what is wrong and what to do.
  public var description: String {
    switch self {
    case .contextFull(let needed, let capacity):
      "the context is full: \(needed) tokens are needed and it holds \(capacity); use a larger --context"
    case .invalidContextLength(let length):
      "a context of \(length) tokens is not possible; choose another --context"
    case .tokenOutOfRange(let id, let vocabularySize):
      "token \(id) is not in the model's vocabulary of \(vocabularySize); "
        + "do the tokenizer and the model belong together?"
    case .nonFinite(_, .some(let tensor)):
      "the weight \(printable(tensor)) holds an infinity or NaN; fetch or make the model anew"
    case .nonFinite(.some(let layer), nil):
      "the activations after layer \(layer) hold an infinity or NaN although its weights do not; "
        + "the model is not usable in single precision"
    case .nonFinite(nil, nil):
      "the logits hold an infinity or NaN although the weights do not; "
        + "the model is not usable in single precision"
    case .cancelled: "stopped"
    }
  }

  /// The kind of trouble, for the exit code.
  public var category: FailureCategory {
    switch self {
    case .contextFull, .invalidContextLength: .usage
    case .tokenOutOfRange: .refusedData
    case .nonFinite: .numerical
    case .cancelled: .failure
    }
  }
}
