/// A published way to cut a text into windows and to average over them.
///
/// Perplexities of the same model and text differ by tens of per cent between protocols, so they can
/// be compared only when they are of one protocol.
public enum PerplexityProtocol: String, CaseIterable, Sendable {
  /// Adjacent windows with one BOS at the start of the text, as in the papers that follow GPTQ.
  ///
  /// Every token of a window except its first is predicted.
  case paper
  /// Adjacent windows, each with a BOS in place of its first token; the second half is predicted.
  case llamaCpp = "llama.cpp"
  /// Every token of every document is predicted once; the results are per word and byte.
  ///
  /// The words and bytes are counted in the text before it is detokenized.
  case lmEval = "lm-eval"
  /// Windows of random documents of C4, as in the scripts of QuIP# and CALDERA; see `C4Tokens`.
  ///
  /// Every token of a window except its first is predicted.
  case paperC4 = "paper-c4"
  /// Adjacent windows of the first documents of C4, joined to one text; see `C4Tokens`.
  ///
  /// Every token of a window except its first is predicted.
  case c4New = "c4-new"

  /// Whether the text is a file of C4, of which a sample is scored.
  public var isC4: Bool { self == .paperC4 || self == .c4New }

  /// The default context length.
  ///
  /// It is the default of the protocol's original program, or 2048 where that program uses the largest
  /// context of the model.
  public var standardContextLength: Int { self == .llamaCpp ? 512 : 2048 }
}

/// The positions at which a BOS token is inserted.
public enum BeginningRule: String, CaseIterable, Sendable {
  /// The positions that the protocol and the tokenizer specify.
  case auto
  /// The start of the text, or of each document with `lmEval`.
  case first
  /// The start of every window.
  case every
  /// None.
  case never
}

/// The treatment of the tokens at the end of a text that do not fill a window.
public enum TailRule: String, CaseIterable, Sendable {
  /// They are not predicted.
  case drop
  /// They form a last, shorter window.
  case score
}
