/// A scanner of one word, which tries the alternatives of a `WordPattern` in their order.
///
/// Every alternative is a few runs of scalar classes, so each is matched in one pass.
struct WordScanner {
  let text: [UInt8]
  /// Where the text to be split ends.
  let end: Int

  // MARK: - Scalars

  /// The class of the scalar at `position` and the position after it, or nil at the end.
  func scalar(at position: Int) -> (class: ScalarClass, next: Int)? {
    guard position < end else { return nil }
    guard position + scalarLength(text[position]) <= end else { return (.other, end) }
    let (value, next) = decodedScalar(text, at: position)
    return (ScalarClass.of(value), next)
  }

  private func byte(at position: Int) -> UInt8? { position < end ? text[position] : nil }

  private func isLineBreak(at position: Int) -> Bool {
    position < end && (text[position] == 0x0A || text[position] == 0x0D)
  }

  /// The end of the run of scalars at `position` whose class satisfies `condition`.
  private func endOfRun(from position: Int, where condition: (ScalarClass) -> Bool) -> Int {
    var position = position
    while let scalar = scalar(at: position), condition(scalar.class) { position = scalar.next }
    return position
  }

  private func endOfLineBreaks(from position: Int, orSlash: Bool = false) -> Int {
    var position = position
    while isLineBreak(at: position) || orSlash && byte(at: position) == UInt8(ascii: "/") {
      position += 1
    }
    return position
  }

  // MARK: - Patterns

  /// The end of the word at `start`, which is before `end`, by the pattern of Llama 3.
  func endOfLlama3Word(from start: Int) -> Int {
    if let contraction = endOfContraction(from: start, ignoringCase: true) { return contraction }
    guard let first = scalar(at: start) else { return end }
    // [^\r\n\p{L}\p{N}]?\p{L}+
    let letters =
      first.class.isLetter || first.class == .number || isLineBreak(at: start)
      ? start : first.next
    let endOfLetters = endOfRun(from: letters) { $0.isLetter }
    if endOfLetters > letters { return endOfLetters }
    // \p{N}{1,3}
    if first.class == .number {
      var position = first.next
      for _ in 0..<2 {
        guard let next = scalar(at: position), next.class == .number else { break }
        position = next.next
      }
      return position
    }
    if let symbols = endOfSymbols(from: start) { return endOfLineBreaks(from: symbols) }
    return endOfWhiteSpace(from: start, breaksAtLines: true)
  }

  /// The end of the word at `start`, which is before `end`, by the pattern of tekken.
  func endOfTekkenWord(from start: Int) -> Int {
    guard let first = scalar(at: start) else { return end }
    // The optional scalar before the letters is tried first and given back if need be.
    let isPrefix = !first.class.isLetter && first.class != .number && !isLineBreak(at: start)
    if isPrefix, let word = endOfLowerCaseWord(from: first.next) { return word }
    if let word = endOfLowerCaseWord(from: start) { return word }
    if isPrefix, let word = endOfUpperCaseWord(from: first.next) { return word }
    if let word = endOfUpperCaseWord(from: start) { return word }
    if first.class == .number { return first.next }
    if let symbols = endOfSymbols(from: start) {
      return endOfLineBreaks(from: symbols, orSlash: true)
    }
    return endOfWhiteSpace(from: start, breaksAtLines: true)
  }

  /// The end of the word at `start`, which is before `end`, by the pattern of GPT-2.
  func endOfGPT2Word(from start: Int) -> Int {
    if let contraction = endOfContraction(from: start, ignoringCase: false) { return contraction }
    let position = byte(at: start) == UInt8(ascii: " ") ? start + 1 : start
    if let next = scalar(at: position) {
      if next.class.isLetter { return endOfRun(from: position) { $0.isLetter } }
      if next.class == .number { return endOfRun(from: position) { $0 == .number } }
      if next.class.isSymbol { return endOfRun(from: position) { $0.isSymbol } }
    }
    return endOfWhiteSpace(from: start, breaksAtLines: false)
  }

  // MARK: - Alternatives

  /// `'s|'t|'re|'ve|'m|'ll|'d`; when ignoring case also U+017F, which folds to "s".
  private func endOfContraction(from start: Int, ignoringCase: Bool) -> Int? {
    guard byte(at: start) == UInt8(ascii: "'"), let first = byte(at: start + 1) else { return nil }
    let mask: UInt8 = ignoringCase ? 0x20 : 0
    let second = byte(at: start + 2)
    switch first | mask {
    case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"):
      return start + 2
    case UInt8(ascii: "r"), UInt8(ascii: "v"):
      return second.map { $0 | mask } == UInt8(ascii: "e") ? start + 3 : nil
    case UInt8(ascii: "l"):
      return second.map { $0 | mask } == UInt8(ascii: "l") ? start + 3 : nil
    default:
      return ignoringCase && first == 0xC5 && second == 0xBF ? start + 3 : nil
    }
  }

  /// ` ?[^\s\p{L}\p{N}]+`, without the line breaks after it.
  private func endOfSymbols(from start: Int) -> Int? {
    let position = byte(at: start) == UInt8(ascii: " ") ? start + 1 : start
    let symbols = endOfRun(from: position) { $0.isSymbol }
    return symbols > position ? symbols : nil
  }

  /// `\s*[\r\n]+` (when `breaksAtLines`), else `\s+(?!\S)|\s+`.
  private func endOfWhiteSpace(from start: Int, breaksAtLines: Bool) -> Int {
    var position = start
    var lastScalar = start
    var endOfLastBreak: Int?
    while let scalar = scalar(at: position), scalar.class == .whiteSpace {
      lastScalar = position
      if isLineBreak(at: position) { endOfLastBreak = scalar.next }
      position = scalar.next
    }
    if breaksAtLines, let endOfLastBreak { return endOfLastBreak }
    // The last white space before a word belongs to the word, unless it is alone.
    return position == end || lastScalar == start ? position : lastScalar
  }

  /// `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+`.
  private func endOfLowerCaseWord(from start: Int) -> Int? {
    var position = start
    var endOfLastCaseless: Int?
    while let scalar = scalar(at: position), Self.isUpper(scalar.class) {
      position = scalar.next
      if Self.isLower(scalar.class) { endOfLastCaseless = position }
    }
    let lower = endOfRun(from: position, where: Self.isLower)
    // Without a lower-case letter the first run gives back scalars up to one that is in both sets.
    return lower > position ? lower : endOfLastCaseless
  }

  /// `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*`.
  private func endOfUpperCaseWord(from start: Int) -> Int? {
    let upper = endOfRun(from: start, where: Self.isUpper)
    return upper > start ? endOfRun(from: upper, where: Self.isLower) : nil
  }

  private static func isUpper(_ scalarClass: ScalarClass) -> Bool {
    switch scalarClass {
    case .upperCaseLetter, .otherLetter, .mark: true
    default: false
    }
  }

  private static func isLower(_ scalarClass: ScalarClass) -> Bool {
    switch scalarClass {
    case .lowerCaseLetter, .otherLetter, .mark: true
    default: false
    }
  }
}
