internal import DuetSystem

/// The way of a model's text to the user.
///
/// On a terminal only tabs, line feeds and printable scalars pass; the others, which could move the
/// cursor, write the clipboard or turn the text around, are shown as `\x1b` or `\u{202e}`. Elsewhere
/// the text passes as it is.
package struct DisplayFilter: Sendable {
  private let isTerminal: Bool

  /// Makes a filter for a terminal or for anything else.
  package init(isTerminal: Bool) {
    self.isTerminal = isTerminal
  }

  /// The text as it may be written.
  ///
  /// Works scalar by scalar and so gives the same for a text in one piece and in several.
  ///
  /// - Complexity: O(length of `text`).
  package func callAsFunction(_ text: String) -> String {
    guard isTerminal, !text.unicodeScalars.allSatisfy(Self.passes) else { return text }
    var result = ""
    for scalar in text.unicodeScalars {
      if Self.passes(scalar) {
        result.unicodeScalars.append(scalar)
      } else {
        result += Self.escaped(scalar)
      }
    }
    return result
  }

  private static func passes(_ scalar: Unicode.Scalar) -> Bool {
    scalar == "\n" || scalar == "\t" || isSafeToDisplay(scalar)
  }

  /// The visible stand-in for a scalar that may not reach a terminal.
  static func escaped(_ scalar: Unicode.Scalar) -> String {
    let digits = String(scalar.value, radix: 16)
    if scalar.value > 0xFF { return "\\u{\(digits)}" }
    return digits.utf8.count < 2 ? "\\x0\(digits)" : "\\x\(digits)"
  }
}
