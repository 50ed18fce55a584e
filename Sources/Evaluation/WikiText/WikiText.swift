internal import DuetSystem

/// Conversions of the raw WikiText file into the texts of papers and of lm-eval.
enum WikiText {
  /// Whether `text` begins like the raw file: a blank line, then a line ` = Title = `.
  static func isRawFile(_ text: String) -> Bool {
    let lines = text.utf8.prefix(4096).split(
      separator: UInt8(ascii: "\n"), maxSplits: 2, omittingEmptySubsequences: false)
    guard lines.count == 3 else { return false }
    let title = String(decoding: lines[1], as: UTF8.self)
    return lines[0].allSatisfy { $0 == 0x20 } && title.hasPrefix(" = ")
      && isTitle(Array(title.unicodeScalars)[...])
  }

  /// The text of the papers: the rows of the Hugging Face data set, joined with two line feeds.
  ///
  /// A row is a line with its line feed, or an empty text for a line of white space.
  static func joinedRows(_ text: String) -> String {
    var rows = lines(text).map { line in
      line.allSatisfy(isWhitespace) ? "" : string(line) + "\n"
    }
    // The part after the last line feed is a row only when it is not empty.
    let endsWithLineFeed = text.utf8.last == UInt8(ascii: "\n")
    if endsWithLineFeed || text.isEmpty {
      rows.removeLast()
    } else if let last = rows.last, !last.isEmpty {
      rows[rows.count - 1] = String(last.unicodeScalars.dropLast())
    }
    return rows.joined(separator: "\n\n")
  }

  /// The pages of the document-level data set of lm-eval: each begins with a line ` = Title = `.
  ///
  /// The text before the first title is a page only when it is more than white space.
  static func pages(_ text: String) -> [String] {
    var pages: [String] = []
    var page: [ArraySlice<Unicode.Scalar>] = []
    for line in lines(text) {
      if isTitle(line) {
        if !page.allSatisfy({ $0.allSatisfy(isWhitespace) }) { pages.append(joined(page)) }
        page = []
      }
      page.append(line)
    }
    pages.append(joined(page))
    return pages
  }

  /// The number of words: the number of runs of white space, plus one.
  static func wordCount(_ text: String) -> Int {
    var count = 1
    var isInRun = false
    for scalar in text.unicodeScalars {
      let isSpace = isWhitespace(scalar)
      if isSpace, !isInRun { count += 1 }
      isInRun = isSpace
    }
    return count
  }

  /// Whether `scalar` is white space in Python's `\s` and `strip()`.
  ///
  /// These are the scalars with the Unicode property White_Space, and U+001C to U+001F.
  static func isWhitespace(_ scalar: Unicode.Scalar) -> Bool {
    if scalar.value < 0x80 {
      return scalar.value == 0x20 || (0x09...0x0D).contains(scalar.value)
        || (0x1C...0x1F).contains(scalar.value)
    }
    return scalar.properties.isWhitespace
  }

  /// Whether a line is the heading of a page, and not of a section.
  ///
  /// The marks of sections, `= = =` and `= =`, are replaced by `===` and `==`. Then white space at
  /// both ends is removed, and the rest must begin with `= ` and end with ` =`.
  private static func isTitle(_ line: ArraySlice<Unicode.Scalar>) -> Bool {
    guard line.contains("=") else { return false }
    let closed = Array(line).replacing("= = =", with: "===").replacing("= =", with: "==")
    let title = trimmed(closed[...])
    return title.starts(with: Array("= ".unicodeScalars))
      && title.suffix(2).elementsEqual(" =".unicodeScalars)
  }

  /// `scalars` without the white space at both ends.
  static func trimmed(_ scalars: ArraySlice<Unicode.Scalar>) -> ArraySlice<Unicode.Scalar> {
    var result = scalars
    while let first = result.first, isWhitespace(first) { result.removeFirst() }
    while let last = result.last, isWhitespace(last) { result.removeLast() }
    return result
  }

  private static func lines(_ text: String) -> [ArraySlice<Unicode.Scalar>] {
    Array(text.unicodeScalars).split(separator: "\n", omittingEmptySubsequences: false)
  }

  private static func joined(_ lines: [ArraySlice<Unicode.Scalar>]) -> String {
    string(lines.joined(separator: CollectionOfOne<Unicode.Scalar>("\n")))
  }

  static func string(_ scalars: some Sequence<Unicode.Scalar>) -> String {
    var view = String.UnicodeScalarView()
    view.append(contentsOf: scalars)
    return String(view)
  }
}
