/// The split of a text into words, each of which the model encodes by itself.
///
/// Every step cuts or changes each of the pieces that the steps before it have made.
struct PreTokenizer: Sendable {
  /// One step.
  enum Step: Sendable {
    /// Cuts into the words of a pattern that has a scanner.
    case words(WordPattern)
    /// Cuts where an expression matches.
    case split(Split)
    /// Cuts into pieces of a number of scalars, the last one shorter.
    case fixedLength(Int)
    /// Marks spaces.
    case metaspace(Metaspace)
    /// Puts a space before a piece that does not start with one.
    case prefixSpace
    /// Writes each byte as a character of the `ByteLevelAlphabet`.
    case spellBytes
    /// Turns the characters of the `ByteLevelAlphabet` back into bytes.
    case unspellBytes
  }

  /// The marking of spaces by a character that pieces contain.
  struct Metaspace: Sendable, Equatable {
    /// The texts that get a mark at the start.
    enum Prefix: String, Sendable {
      /// Every text between added tokens.
      case always
      /// Only the text at the very beginning.
      case first
      /// No text.
      case never
    }

    /// The bytes that replace a space.
    let replacement: [UInt8]
    /// The texts that get a mark at the start if they do not have one.
    let prefix: Prefix
    /// Whether a new word starts at each mark.
    let splits: Bool
  }

  /// The steps, in order; without steps the whole text is one word.
  private(set) var steps: [Step] = []
  /// Whether the model's symbols are bytes in the `ByteLevelAlphabet`.
  var isByteLevel = false
  /// Per step: the place of its expression among those of all steps.
  private var expressionIndices: [Int] = []
  private var expressions: [RegularExpression] = []

  /// Adds a step after the others.
  mutating func append(_ step: Step) {
    steps.append(step)
    expressionIndices.append(expressions.count)
    if case .split(let split) = step { expressions.append(split.expression) }
  }

  /// Calls `body` with each word of `text`, in order.
  ///
  /// - Parameters:
  ///   - text: Valid UTF-8, not empty.
  ///   - range: The part of it to be split.
  ///   - isFirst: Whether the part is at the very beginning of the encoded text.
  ///   - body: Called with the bytes that hold the word, and the word's range in them.
  func forEachWord(
    in text: [UInt8], _ range: Range<Int>, isFirst: Bool, _ body: ([UInt8], Range<Int>) -> Void
  ) {
    let matchers = expressions.map { $0.borrowMatcher() }
    run(0, text, range, firstEnd: isFirst ? range.lowerBound : -1, matchers, body)
    for (expression, matcher) in zip(expressions, matchers) { expression.giveBack(matcher) }
  }

  /// Takes a piece through the step `index` and those after it.
  ///
  /// The depth of the recursion is the number of steps, which is bounded when a file is read.
  ///
  /// Pieces that start at `firstEnd` or before are at the very beginning of the encoded text.
  private func run(
    _ index: Int, _ text: [UInt8], _ range: Range<Int>, firstEnd: Int, _ matchers: [Matcher],
    _ body: ([UInt8], Range<Int>) -> Void
  ) {
    guard index < steps.count else {
      body(text, range)
      return
    }
    let isLast = index == steps.count - 1
    func pass(_ piece: Range<Int>) {
      if isLast { return body(text, piece) }
      run(index + 1, text, piece, firstEnd: firstEnd, matchers, body)
    }
    switch steps[index] {
    case .words(let pattern):
      var start = range.lowerBound
      while start < range.upperBound {
        let end = pattern.endOfWord(in: text, from: start, to: range.upperBound)
        pass(start..<end)
        start = end
      }
    case .split(let split):
      split.forEachPiece(in: text, range, matchers[expressionIndices[index]], pass)
    case .fixedLength(let length): Self.forEachPiece(of: length, in: text, range, pass)
    case .metaspace(let metaspace):
      let isFirst = range.lowerBound <= firstEnd
      let (marked, added) = metaspace.marked(text[range], isFirst: isFirst)
      metaspace.forEachPiece(in: marked) {
        run(index + 1, marked, $0, firstEnd: isFirst ? added : -1, matchers, body)
      }
    case .prefixSpace:
      if text[range.lowerBound] == UInt8(ascii: " ") {
        pass(range)
      } else {
        let spaced = [UInt8(ascii: " ")] + text[range]
        let firstEnd = range.lowerBound <= firstEnd ? 1 : -1
        run(index + 1, spaced, spaced.indices, firstEnd: firstEnd, matchers, body)
      }
    case .spellBytes:
      var spelled: [UInt8] = []
      spelled.reserveCapacity(2 * range.count)
      for position in range { ByteLevelAlphabet.append(text[position], to: &spelled) }
      let firstEnd = range.lowerBound <= firstEnd ? 0 : -1
      run(index + 1, spelled, spelled.indices, firstEnd: firstEnd, matchers, body)
    case .unspellBytes:
      let bytes = ByteLevelAlphabet.bytes(spelledBy: text, in: range)
      run(index + 1, bytes, bytes.indices, firstEnd: -1, matchers, body)
    }
  }

  private static func forEachPiece(
    of length: Int, in text: [UInt8], _ range: Range<Int>, _ body: (Range<Int>) -> Void
  ) {
    var start = range.lowerBound
    var count = 0
    for position in range where text[position] & 0xC0 != 0x80 {
      if count == length {
        body(start..<position)
        (start, count) = (position, 0)
      }
      count += 1
    }
    body(start..<range.upperBound)
  }
}

extension PreTokenizer.Metaspace {
  /// `text` with its spaces replaced, and the number of bytes put before it.
  fileprivate func marked(
    _ text: ArraySlice<UInt8>, isFirst: Bool
  ) -> (bytes: [UInt8], added: Int) {
    var marked = TaggedText(Array(text)).replacing([UInt8(ascii: " ")], with: replacement)
    let isWanted = prefix == .always || prefix == .first && isFirst
    guard isWanted, !marked.bytes.starts(with: replacement) else { return (marked.bytes, 0) }
    marked.prepend(replacement)
    return (marked.bytes, replacement.count)
  }

  /// Cuts `text` before every mark, if it is to be cut.
  fileprivate func forEachPiece(in text: [UInt8], _ body: (Range<Int>) -> Void) {
    var start = 0
    var position = 0
    while splits, position < text.count {
      let end = position + replacement.count
      if end <= text.count, text[position..<end].elementsEqual(replacement) {
        if start < position { body(start..<position) }
        start = position
        position = end
      } else {
        position += 1
      }
    }
    if start < text.count { body(start..<text.count) }
  }
}
