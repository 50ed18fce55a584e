/// The reversal of WikiText's tokenization that lm-eval applies before it tokenizes a page.
///
/// Three lists of replacements are applied to the whole page one after another: first marks of
/// contractions, numbers and punctuation; then white space just inside brackets and quotation marks;
/// last headings, the degree sign, spaces around line feeds, and a single `N`. Published results depend
/// on their order and peculiarities: `s '` loses its space everywhere, and a quotation mark pairs with
/// the next one, whether that is an opening or a closing one.
///
/// Source: the wikitext task of lm-evaluation-harness, version 2.
package enum WikiTextDetokenizer {
  /// The detokenized text of a page.
  ///
  /// - Complexity: O(page), a fixed number of passes.
  package static func detokenize(_ page: String) -> String {
    var text = Array(page.unicodeScalars)
    text = text.replacing("s '", with: "s'")
    text = replacingSlashedDigits(text)
    for (pattern, replacement) in marks { text = text.replacing(pattern, with: replacement) }
    for (opening, closing) in pairs { text = trimmingInside(text, opening, closing) }
    for (pattern, replacement) in leftovers { text = text.replacing(pattern, with: replacement) }
    return WikiText.string(text)
  }

  private static let marks = [
    (" @-@ ", "-"), (" @,@ ", ","), (" @.@ ", "."), (" : ", ": "), (" ; ", "; "), (" . ", ". "),
    (" ! ", "! "), (" ? ", "? "), (" , ", ", "),
  ]

  private static let pairs: [(Unicode.Scalar, Unicode.Scalar)] = [
    ("(", ")"), ("[", "]"), ("{", "}"), ("\"", "\""), ("'", "'"),
  ]

  private static let leftovers = [
    ("= = = =", "===="), ("= = =", "==="), ("= =", "=="), (" \u{B0} ", "\u{B0}"), (" \n", "\n"),
    ("\n ", "\n"), (" N ", " 1 "), (" 's", "'s"),
  ]

  /// Replaces `/' 7/`, or the same with another digit, by the literal characters `/'[0-9]/`.
  ///
  /// The harness uses a pattern as the replacement; this error is kept so that results are equal.
  private static func replacingSlashedDigits(_ text: [Unicode.Scalar]) -> [Unicode.Scalar] {
    let start = Array("/' ".unicodeScalars)
    var result: [Unicode.Scalar] = []
    result.reserveCapacity(text.count)
    var position = 0
    while position < text.count {
      let end = position + 5
      if text[position] == "/", end <= text.count,
        text[position..<position + 3].elementsEqual(start),
        ("0"..."9").contains(text[position + 3]), text[position + 4] == "/"
      {
        result.append(contentsOf: "/'[0-9]/".unicodeScalars)
        position = end
      } else {
        result.append(text[position])
        position += 1
      }
    }
    return result
  }

  /// Removes the white space just inside each pair of marks.
  ///
  /// An opening mark pairs with the next closing mark, whatever is between them, and the search
  /// continues after that; the text after an opening mark without a closing one is not changed.
  private static func trimmingInside(
    _ text: [Unicode.Scalar], _ opening: Unicode.Scalar, _ closing: Unicode.Scalar
  ) -> [Unicode.Scalar] {
    var result: [Unicode.Scalar] = []
    result.reserveCapacity(text.count)
    var rest = text[...]
    while let start = rest.firstIndex(of: opening),
      let end = rest[(start + 1)...].firstIndex(of: closing)
    {
      result.append(contentsOf: rest[...start])
      result.append(contentsOf: WikiText.trimmed(rest[(start + 1)..<end]))
      result.append(closing)
      rest = rest[(end + 1)...]
    }
    return result + rest
  }
}

extension [Unicode.Scalar] {
  /// The scalars with each occurrence of `pattern` replaced, from the left and without overlap.
  ///
  /// - Precondition: `pattern` is not empty.
  func replacing(_ pattern: String, with replacement: String) -> [Unicode.Scalar] {
    let pattern = Array(pattern.unicodeScalars)
    precondition(!pattern.isEmpty, "a search for nothing")
    var result: [Unicode.Scalar] = []
    result.reserveCapacity(count)
    var position = 0
    while position < count {
      let end = position + pattern.count
      if self[position] == pattern[0], end <= count, self[position..<end].elementsEqual(pattern) {
        result.append(contentsOf: replacement.unicodeScalars)
        position = end
      } else {
        result.append(self[position])
        position += 1
      }
    }
    return result
  }
}
