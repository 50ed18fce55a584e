internal import DuetSystem
package import DuetText

extension Messages {
  /// Loads the tokenizer in `folder` and writes what is to be noted about its files.
  package func loadTokenizer(_ folder: String) throws(TokenizerError) -> Tokenizer {
    let tokenizer = try Tokenizer(contentsOf: folder)
    for sentence in tokenizer.notes { note(sentence) }
    return tokenizer
  }

  /// Calls `encode` and warns if the vocabulary could not express all of the text, once for the
  /// same text and count.
  ///
  /// - Parameters:
  ///   - text: What the text is, for the warning.
  ///   - tokenizer: The tokenizer with which `encode` encodes.
  ///   - encode: The work.
  /// - Returns: The result of `encode`.
  /// - Throws: What `encode` throws.
  package func encoding<Result, Failure: Error>(
    _ text: String, with tokenizer: Tokenizer, _ encode: () throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let known = tokenizer.droppedByteCount
    let result = try encode()
    let count = tokenizer.droppedByteCount - known
    // A conversation is encoded again and again.
    if count > droppedByteCounts[text, default: 0] {
      droppedByteCounts[text] = count
      let bytes =
        count == 1 ? "1 byte of this text, which is" : "\(count) bytes of this text, which are"
      warning("\(printable(text)): the vocabulary has no token for \(bytes) left out")
    }
    return result
  }
}
