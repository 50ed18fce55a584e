/// Text operations that work by code points, like those of Python's `str`.
package enum PythonText {
  typealias Scalars = [Unicode.Scalar]

  /// `text` without the white space at both ends, like `strip`.
  package static func stripped(_ text: String) -> String {
    WikiText.string(WikiText.trimmed(Array(text.unicodeScalars)[...]))
  }

  /// `text` split into the part before the white space at its end, and that white space.
  package static func splittingTrailingWhitespace(_ text: String) -> (body: String, space: String) {
    let scalars = Array(text.unicodeScalars)
    let end = (scalars.lastIndex { !WikiText.isWhitespace($0) } ?? -1) + 1
    return (WikiText.string(scalars[..<end]), WikiText.string(scalars[end...]))
  }

  /// `text` with its first code point in title case and all others in lower case.
  ///
  /// This is `capitalize` of Python 3.8 and later. A capital sigma becomes "ς" at the end of a word:
  /// when a cased letter precedes it and none follows, case-ignorable code points skipped.
  ///
  /// Source: Unicode 15, section 3.13, Final_Sigma.
  package static func capitalized(_ text: String) -> String {
    let scalars = Array(text.unicodeScalars)
    guard let first = scalars.first else { return "" }
    var result = first.properties.titlecaseMapping
    for (index, scalar) in scalars.enumerated().dropFirst() {
      if scalar == "\u{3A3}" {
        result += isFinalSigma(index, in: scalars) ? "\u{3C2}" : "\u{3C3}"
      } else {
        result += scalar.properties.lowercaseMapping
      }
    }
    return result
  }

  private static func isFinalSigma(_ index: Int, in scalars: Scalars) -> Bool {
    func isCased(_ scalar: Unicode.Scalar?) -> Bool { scalar?.properties.isCased ?? false }
    let before = scalars[..<index].last { !$0.properties.isCaseIgnorable }
    let after = scalars[(index + 1)...].first { !$0.properties.isCaseIgnorable }
    return isCased(before) && !isCased(after)
  }

  /// `text` with every `pattern` replaced, from the left and without overlap.
  package static func replacing(_ pattern: String, with replacement: String, in text: String)
    -> String
  {
    WikiText.string(
      Array(text.unicodeScalars)
        .replacing(Array(pattern.unicodeScalars), with: Array(replacement.unicodeScalars)))
  }

  /// `text` without its brackets and the text in them: `re.sub(r"\[.*?\]", "", text)`.
  ///
  /// Brackets on different lines are not a pair.
  package static func removingBrackets(_ text: String) -> String {
    let scalars = Array(text.unicodeScalars)
    var result: Scalars = []
    var position = 0
    while position < scalars.count {
      if scalars[position] == "[",
        let end = scalars[position...].firstIndex(where: { $0 == "]" || $0 == "\n" }),
        scalars[end] == "]"
      {
        position = end + 1
      } else {
        result.append(scalars[position])
        position += 1
      }
    }
    return WikiText.string(result)
  }
}
