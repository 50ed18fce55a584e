public import DuetRuntime
public import DuetSystem

/// An error of a measurement of perplexity.
public enum PerplexityError: DuetError, Equatable {
  /// The text is not UTF-8 at a byte offset from the start of the file.
  case invalidUTF8(path: String, byteOffset: Int)
  /// A line of a JSON Lines file is not an object with a string `text`; lines count from 1.
  case malformedLine(path: String, line: Int, problem: String)
  /// No document of C4 has more tokens than a window.
  case noLongDocument(path: String, documentCount: Int, longest: Int, contextLength: Int)
  /// The text has too few tokens for one measurement by the protocol.
  case textTooShort(path: String, tokenCount: Int, neededCount: Int, contextLength: Int)
  /// A BOS is required and the tokenizer has none.
  case noBeginningToken
  /// The rule cannot be used with the protocol.
  case ruleNotInProtocol(option: String, value: String, protocol: PerplexityProtocol)
  /// The context is so short that a window predicts nothing.
  case contextTooShort(contextLength: Int, minimum: Int, protocol: PerplexityProtocol)
  /// A window produced an infinity or NaN, after a layer (nil: in the logits); windows count from 1.
  ///
  /// `tensor` is the weight that itself has an infinity or NaN, if there is one.
  case nonFinite(
    model: Role, window: Int, windowCount: Int, layer: Int?, tensor: String?, scoredTokenCount: Int,
    expectedTokenCount: Int)
  /// The two models do not share a vocabulary.
  case differentVocabularies(modelSize: Int, referenceSize: Int)
  /// The tokenizers of the two models give different tokens for the text.
  case differentTokens(path: String)
  /// The model could not be run.
  case generation(GenerationError)

  /// A role of a model in a comparison.
  public enum Role: String, Sendable {
    /// The model that is measured.
    case model = "the model"
    /// The model that it is compared with.
    case reference = "the reference model"
  }

  /// The category of the error, for the exit code.
  public var category: FailureCategory {
    switch self {
    case .invalidUTF8, .malformedLine, .noLongDocument, .textTooShort,
      .noBeginningToken, .differentVocabularies, .differentTokens:
      .refusedData
    case .ruleNotInProtocol, .contextTooShort: .usage
    case .nonFinite: .numerical
    case .generation(let error): error.category
    }
  }

  /// A sentence that describes the error and how to resolve it.
  public var description: String {
    switch self {
    case .invalidUTF8(let path, let byteOffset):
      "\(printable(path)): byte \(byteOffset) is not UTF-8; convert the file, or replace such bytes "
        + "with --lossy"
    case .malformedLine(let path, let line, let problem):
      "\(printable(path)): line \(line) is not a JSON object with a string \"text\": "
        + printable(problem)
    case .noLongDocument(let path, let documentCount, let longest, let contextLength):
      "\(printable(path)): none of its \(documentCount) documents has more than \(contextLength) "
        + "tokens, the longest has \(longest); use a smaller --context or another file"
    case .textTooShort(let path, let tokenCount, let neededCount, let contextLength):
      "\(printable(path)): \(tokenCount) tokens are fewer than the \(neededCount) needed with a "
        + "context of \(contextLength); use a longer text or a smaller --context"
    case .noBeginningToken:
      "the tokenizer has no BOS token; choose another protocol, or use --bos never"
    case .ruleNotInProtocol(let option, let value, let name):
      "\(option) \(value) has no meaning with --protocol \(name.rawValue); see --help"
    case .contextTooShort(let contextLength, let minimum, let name):
      "a context of \(contextLength) predicts nothing with --protocol \(name.rawValue); use at least "
        + "\(minimum)"
    case .nonFinite(
      let model, let window, let windowCount, let layer, let tensor, let scored, let all):
      "\(model.rawValue) produced an infinity or NaN "
        + (layer.map { "after layer \($0)" } ?? "in the logits")
        + " in window \(window) of \(windowCount), \(scored) of \(all) predictions made"
        + (tensor.map { "; the weight \(printable($0)) holds one already" } ?? "")
        + "; no perplexity can be given"
    case .differentVocabularies(let modelSize, let referenceSize):
      "the model has a vocabulary of \(modelSize) and the reference one of \(referenceSize); only "
        + "models with the same tokenizer can be compared"
    case .differentTokens(let path):
      "\(printable(path)): the tokenizers of the model and the reference give different tokens; only "
        + "models with the same tokenizer can be compared"
    case .generation(let error): error.description
    }
  }
}
