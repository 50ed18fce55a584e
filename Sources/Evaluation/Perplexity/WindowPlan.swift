/// A piece of a text that a model evaluates, with the tokens that are predicted in it.
public struct ScoringWindow: Sendable, Equatable {
  /// The document that the window belongs to.
  public let document: Int
  /// The tokens to evaluate, from position 0.
  public let inputs: [Int]
  /// The predicted tokens: `targets[i]` by the logits after `inputs[firstScored + i]`.
  public let targets: [Int]

  /// The index of the first input whose logits predict a target.
  public var firstScored: Int { inputs.count - targets.count }
}

/// The windows in which a protocol predicts the tokens of a text.
///
/// C is the context length. Each window is a sequence of tokens, of which the last `targets.count` are
/// predicted; all tokens except the last one are evaluated.
///
/// - `paper`: windows of C tokens, of which the last C - 1 are predicted. With a BOS in every window:
///   a BOS followed by C - 1 tokens, all of which are predicted.
/// - `llama.cpp`: windows of C tokens, of which the last C - C/2 - 1 are predicted. With a BOS in
///   every window, it replaces the first token.
/// - `paper-c4`, `c4-new`: windows of C tokens, of which the last C - 1 are predicted; the tokens are
///   those of `C4Tokens`, in which every BOS is already.
/// - `lm-eval`: each document follows a BOS. Windows have C predictions; each window except the first
///   begins with the last token of the window before. The last window predicts the tokens that
///   remain and begins with as many earlier tokens as fit, so that it evaluates C tokens too.
public struct WindowPlan: Sendable {
  /// The protocol.
  public let `protocol`: PerplexityProtocol
  /// The largest number of tokens evaluated together, C.
  public let contextLength: Int
  /// The positions of the BOS; never `auto`.
  public let beginning: BeginningRule
  /// Whether a last, shorter window is scored.
  public let tail: TailRule
  /// The number of tokens of all documents, including a BOS that is part of the text.
  public let tokenCount: Int
  /// The number of tokens that belong to no window, over all documents.
  public let droppedTokenCount: Int
  /// The number of documents.
  public var documentCount: Int { documents.count }
  /// The number of windows left out by `limited(to:)`.
  public private(set) var omittedWindowCount = 0

  private let documents: [[Int]]
  private let beginningToken: Int?
  private var layouts: [Layout]

  /// The position of a window in its document.
  private struct Layout {
    let document: Int
    let tokens: Range<Int>
    let targetCount: Int
    let opening: Opening
  }

  /// The use of a BOS in a window: none, before the tokens, or in place of the first token.
  private enum Opening { case none, prefix, overwrite }

  /// Lays out the windows of a text.
  ///
  /// - Parameters:
  ///   - documents: The token ids of each document, without special tokens. All protocols except
  ///     `lmEval` expect one document.
  ///   - name: The protocol.
  ///   - contextLength: The largest number of tokens evaluated together.
  ///   - beginning: The positions at which a BOS is inserted.
  ///   - tail: The treatment of a last, shorter window; nil: `score` for `lmEval` and when every
  ///     window of `paper` has a BOS, else `drop`.
  ///   - beginningToken: The id of BOS, when the tokenizer has one.
  ///   - addsBeginning: Whether the tokenizer adds a BOS by default, for `auto`.
  ///   - path: The name of the text, for messages.
  /// - Throws: `PerplexityError` when the rules cannot be combined or the text is shorter than one
  ///   window (than 2C tokens for `llamaCpp`).
  /// - Complexity: O(tokens).
  public init(
    documents: [[Int]], protocol name: PerplexityProtocol, contextLength: Int,
    beginning: BeginningRule = .auto, tail: TailRule? = nil, beginningToken: Int?,
    addsBeginning: Bool, path: String
  ) throws(PerplexityError) {
    try Self.check(name, contextLength, beginning, tail)
    let resolved = Self.resolve(beginning, in: name, addsBeginning: addsBeginning)
    if resolved != .never, !name.isC4, beginningToken == nil { throw .noBeginningToken }
    self.protocol = name
    self.contextLength = contextLength
    self.beginning = resolved
    self.beginningToken = beginningToken
    // lm-eval puts a BOS before each document, which no window predicts; its tokenizer may add a
    // second BOS, which is part of the text.
    let isBeginningInText =
      switch name {
      case .paper: resolved == .first
      case .llamaCpp: resolved != .never
      case .lmEval: beginning == .auto && addsBeginning
      case .paperC4, .c4New: false
      }
    let prefix = isBeginningInText ? beginningToken.map { [$0] } ?? [] : []
    let texts = prefix.isEmpty ? documents : documents.map { prefix + $0 }
    self.documents = texts
    tokenCount = texts.reduce(0) { $0 + $1.count }

    var layouts: [Layout] = []
    var used = 0
    switch name {
    case .paper, .paperC4, .c4New:
      self.tail = tail ?? (resolved == .every ? .score : .drop)
      let opening: Opening = resolved == .every ? .prefix : .none
      for (index, text) in texts.enumerated() {
        used += Self.layOutAdjacent(
          text.count, document: index, length: contextLength, opening: opening,
          scoresTail: self.tail == .score, into: &layouts)
      }
      // A shorter window that is scored needs only a token to predict, and one before it.
      let window = self.tail == .score ? 2 : contextLength
      let needed = resolved == .every ? window - 1 : window
      try Self.checkLength(tokenCount, needed, contextLength, path)
    case .llamaCpp:
      self.tail = .drop
      let opening: Opening = resolved == .every ? .overwrite : .none
      for (index, text) in texts.enumerated() {
        for start in stride(from: 0, to: text.count - contextLength + 1, by: contextLength) {
          layouts.append(
            Layout(
              document: index, tokens: start..<start + contextLength,
              targetCount: contextLength - contextLength / 2 - 1, opening: opening))
          used += contextLength
        }
      }
      try Self.checkLength(tokenCount, 2 * contextLength, contextLength, path)
    case .lmEval:
      self.tail = .score
      for (index, text) in texts.enumerated() {
        Self.layOutRolling(text.count, document: index, length: contextLength, into: &layouts)
        used += text.count
      }
      // One token besides those that begin the texts.
      try Self.checkLength(tokenCount, prefix.count * texts.count + 1, contextLength, path)
    }
    self.layouts = layouts
    droppedTokenCount = tokenCount - used
  }

  /// The number of windows.
  public var windowCount: Int { layouts.count }

  /// The number of predictions in all windows.
  public var targetCount: Int { layouts.reduce(0) { $0 + $1.targetCount } }

  /// The number of predictions in a window.
  public func targetCount(inWindow index: Int) -> Int { layouts[index].targetCount }

  /// The window at `index`.
  ///
  /// - Complexity: O(`contextLength`).
  public subscript(index: Int) -> ScoringWindow {
    let layout = layouts[index]
    var tokens = Array(documents[layout.document][layout.tokens])
    if let beginningToken {
      switch layout.opening {
      case .none: break
      case .prefix: tokens.insert(beginningToken, at: 0)
      case .overwrite: tokens[0] = beginningToken
      }
    }
    return ScoringWindow(
      document: layout.document, inputs: Array(tokens.dropLast()),
      targets: Array(tokens.suffix(layout.targetCount)))
  }

  /// The plan with only its first `count` windows.
  public func limited(to count: Int) -> WindowPlan {
    var plan = self
    plan.layouts = Array(layouts.prefix(count))
    plan.omittedWindowCount = omittedWindowCount + layouts.count - plan.layouts.count
    return plan
  }
}

extension WindowPlan {
  private static func check(
    _ name: PerplexityProtocol, _ contextLength: Int, _ beginning: BeginningRule, _ tail: TailRule?
  ) throws(PerplexityError) {
    let minimum = [.llamaCpp: 3, .lmEval: 1][name] ?? 2
    guard contextLength >= minimum else {
      throw .contextTooShort(contextLength: contextLength, minimum: minimum, protocol: name)
    }
    let unknown: [BeginningRule] =
      name == .lmEval ? [.every, .never] : name.isC4 ? [.every] : []
    if unknown.contains(beginning) {
      throw .ruleNotInProtocol(option: "--bos", value: beginning.rawValue, protocol: name)
    }
    if let tail, name != .paper, (tail == .score) != (name == .lmEval) {
      throw .ruleNotInProtocol(option: "--tail", value: tail.rawValue, protocol: name)
    }
  }

  private static func resolve(
    _ rule: BeginningRule, in name: PerplexityProtocol, addsBeginning: Bool
  ) -> BeginningRule {
    guard rule == .auto else { return rule }
    return switch name {
    case .paper, .paperC4, .c4New: addsBeginning ? .first : .never
    case .llamaCpp: addsBeginning ? .every : .never
    case .lmEval: .first
    }
  }

  private static func checkLength(
    _ count: Int, _ needed: Int, _ contextLength: Int, _ path: String
  ) throws(PerplexityError) {
    guard count >= needed else {
      throw .textTooShort(
        path: path, tokenCount: count, neededCount: needed, contextLength: contextLength)
    }
  }

  /// Lays out adjacent windows; with a BOS before it, a window has one token less of the text.
  ///
  /// - Returns: The number of tokens in windows.
  private static func layOutAdjacent(
    _ count: Int, document: Int, length: Int, opening: Opening, scoresTail: Bool,
    into layouts: inout [Layout]
  ) -> Int {
    let step = opening == .prefix ? length - 1 : length
    var start = 0
    while start < count {
      let end = min(start + step, count)
      let targetCount = opening == .prefix ? end - start : end - start - 1
      // A single token without a BOS before it cannot be predicted.
      guard end - start == step || (scoresTail && targetCount > 0) else { break }
      layouts.append(
        Layout(
          document: document, tokens: start..<end, targetCount: targetCount, opening: opening))
      start = end
    }
    return start
  }

  /// Lays out windows of `length` predictions after a BOS; each token is predicted once.
  private static func layOutRolling(
    _ count: Int, document: Int, length: Int, into layouts: inout [Layout]
  ) {
    guard count > 0 else { return }
    var predicted = min(length, count)
    layouts.append(
      Layout(
        document: document, tokens: 0..<predicted, targetCount: predicted, opening: .prefix))
    while predicted < count {
      let targetCount = min(length, count - predicted)
      let end = predicted + targetCount
      // length + 1 tokens, of which all but the last are evaluated. Before `end` there are at least
      // length + 1, because the first window has `length` of them.
      layouts.append(
        Layout(
          document: document, tokens: end - length - 1..<end, targetCount: targetCount,
          opening: .none))
      predicted = end
    }
  }
}
