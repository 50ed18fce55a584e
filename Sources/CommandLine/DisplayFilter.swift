internal import DuetSystem

/// A filter that makes a model's text safe to show on a terminal.
///
/// On a terminal, tabs, line feeds and printable scalars are kept. All others could move the cursor,
/// write to the clipboard or reverse the text's direction; they are shown as `\x1b` or `\u{202e}`.
/// Elsewhere the text is not changed.
package struct DisplayFilter: Sendable {
  private let isTerminal: Bool

  /// Makes a filter for a terminal or for another output.
  package init(isTerminal: Bool) {
    self.isTerminal = isTerminal
  }

  /// The text with unsafe scalars escaped.
  ///
  /// Each scalar is filtered alone, so the result does not depend on how a text is split into pieces.
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

  /// The escaped form of a scalar that must not be written to a terminal.
  static func escaped(_ scalar: Unicode.Scalar) -> String {
    let digits = String(scalar.value, radix: 16)
    if scalar.value > 0xFF { return "\\u{\(digits)}" }
    return digits.utf8.count < 2 ? "\\x0\(digits)" : "\\x\(digits)"
  }
}
