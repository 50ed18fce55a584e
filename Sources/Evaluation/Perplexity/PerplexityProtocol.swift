/// A published way to cut a text into windows and to average over them.
///
/// The same model and text give numbers that differ by tens of per cent between protocols, so a
/// perplexity without its protocol means nothing.
public enum PerplexityProtocol: String, CaseIterable, Sendable {
  /// Adjacent windows, one BOS at the very start of the text, every token but the first of a window
  /// predicted: what the papers of the GPTQ lineage report.
  case paper
  /// Adjacent windows, each opened by a BOS in place of its first token, the second half predicted.
  case llamaCpp = "llama.cpp"
  /// Every token of every document predicted once, per word and byte of the undetokenized text.
  case lmEval = "lm-eval"

  /// The context length when none is asked for: what each protocol's own program takes, and 2048
  /// where programs take whatever the model allows.
  public var standardContextLength: Int { self == .llamaCpp ? 512 : 2048 }
}

/// Where a BOS token is put.
public enum BeginningRule: String, CaseIterable, Sendable {
  /// Where the protocol and the tokenizer put it.
  case auto
  /// Once, at the very start of the text; with `lmEval`, of each document.
  case first
  /// At the start of every window.
  case every
  /// Nowhere.
  case never
}

/// What happens to the tokens at the end that do not fill a window.
public enum TailRule: String, CaseIterable, Sendable {
  /// They are not predicted.
  case drop
  /// They make a last, shorter window.
  case score
}
