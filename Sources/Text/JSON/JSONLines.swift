internal import DuetSystem

/// The values of a JSON Lines text: one on each line; blank lines are skipped.
package enum JSONLines {
  /// Reads the lines of `text` in order.
  ///
  /// Lines end at line feeds only; a carriage return before one is white space of JSON.
  ///
  /// - Parameters:
  ///   - text: The text in UTF-8.
  ///   - malformed: Makes the error for a line that is not JSON, from its number, from 1, and what
  ///     is wrong.
  ///   - body: Called with the number of each line, from 1, and its value.
  /// - Throws: The error that `malformed` makes, or that `body` throws.
  /// - Complexity: O(bytes).
  package static func forEach<Failure: Error>(
    in text: some Collection<UInt8>, malformed: (_ line: Int, _ problem: String) -> Failure,
    _ body: (_ line: Int, _ value: JSONValue) throws(Failure) -> Void
  ) throws(Failure) {
    let lines = text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    for (index, line) in lines.enumerated() {
      if line.allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }) { continue }
      let document: JSONDocument
      do throws(JSONError) {
        document = try JSONDocument(
          parsing: Array(line), path: "line \(index + 1)", limits: .tokenizer)
      } catch {
        throw malformed(index + 1, error.description)
      }
      try body(index + 1, document.root)
    }
  }
}
