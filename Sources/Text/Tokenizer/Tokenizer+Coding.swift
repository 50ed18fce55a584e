internal import DuetSystem

extension Tokenizer {
  // MARK: - Encoding

  /// The ids of a text.
  ///
  /// Added tokens that the text spells become those tokens: use `encode(_: [TextSegment])` for text
  /// that comes from a person.
  ///
  /// - Parameters:
  ///   - text: Any text; an empty text gives only the added special tokens, if any.
  ///   - addingSpecialTokens: Whether the file's post-processor adds its tokens, such as the one that
  ///     starts a sequence.
  /// - Returns: The ids, all below `vocabularySize`.
  /// - Complexity: O(length), also for text without spaces.
  public func encode(_ text: String, addingSpecialTokens: Bool = true) -> [Int] {
    encode(TaggedText(Array(text.utf8)), addingSpecialTokens: addingSpecialTokens)
  }

  /// The ids of a text given as UTF-8.
  ///
  /// Bytes that are not UTF-8 count as U+FFFD; see `offsetOfInvalidUTF8(in:)`.
  ///
  /// - Complexity: O(length).
  public func encode(utf8 bytes: [UInt8], addingSpecialTokens: Bool = true) -> [Int] {
    let isValid = offsetOfInvalidUTF8(in: bytes) == nil
    let valid = isValid ? bytes : Array(String(decoding: bytes, as: UTF8.self).utf8)
    return encode(TaggedText(valid), addingSpecialTokens: addingSpecialTokens)
  }

  /// The ids of a conversation, without those that the post-processor would add.
  ///
  /// The segments are joined and encoded as one text, so their borders have no effect, except that
  /// an added token is not recognised if any byte of it is content: a special token that a person
  /// typed stays plain text.
  ///
  /// - Complexity: O(length).
  public func encode(_ segments: [TextSegment]) -> [Int] {
    encode(TaggedText(joining: segments), addingSpecialTokens: false)
  }

  /// The ids of an encoded text with those that the file's post-processor adds.
  public func addingSpecialTokens(to ids: [Int]) -> [Int] { model.prefix + ids + model.suffix }

  /// The number of bytes of text that all calls of `encode` so far have left out.
  ///
  /// Greater than 0 only for a vocabulary that has neither a piece for each byte nor a token for unknown
  /// text: what it cannot express is left out, as Hugging Face tokenizers does.
  public var droppedByteCount: Int { droppedBytes.value }

  private func encode(_ text: TaggedText, addingSpecialTokens: Bool) -> [Int] {
    var ids = addingSpecialTokens ? model.prefix : []
    var workspace = BytePairEncoding.Workspace()
    for part in rawMatcher.split(text) {
      switch part {
      case .token(let id): ids.append(id)
      case .text(let range):
        let isWhole = range == text.bytes.indices
        encodeBetweenTokens(
          isWhole ? text : TaggedText(text, in: range), isFirst: range.lowerBound == 0,
          workspace: &workspace, into: &ids)
      }
    }
    if addingSpecialTokens { ids += model.suffix }
    if workspace.droppedByteCount > 0 { droppedBytes.add(workspace.droppedByteCount) }
    return ids
  }

  /// Appends the ids of text in which only added tokens of the normalized kind are left.
  private func encodeBetweenTokens(
    _ text: TaggedText, isFirst: Bool, workspace: inout BytePairEncoding.Workspace,
    into ids: inout [Int]
  ) {
    let normalized = model.normalizer.normalized(text)
    for part in normalizedMatcher.split(normalized) {
      switch part {
      case .token(let id): ids.append(id)
      case .text(let range):
        let isFirst = isFirst && range.lowerBound == 0 && !normalized.hasLostStart
        switch model.encoding {
        case .bytePairs(let encoding):
          model.preTokenizer.forEachWord(in: normalized.bytes, range, isFirst: isFirst) {
            encoding.encode($0, in: $1, workspace: &workspace, into: &ids)
          }
        case .unigram(let encoding):
          model.preTokenizer.forEachWord(in: normalized.bytes, range, isFirst: isFirst) {
            encode($0, $1, by: encoding, &workspace.droppedByteCount, into: &ids)
          }
        }
      }
    }
  }

  /// Appends the ids of a word by a unigram model.
  private func encode(
    _ text: [UInt8], _ word: Range<Int>, by encoding: UnigramEncoding,
    _ droppedByteCount: inout Int, into ids: inout [Int]
  ) {
    var (text, word) = (text, word)
    if model.preTokenizer.isByteLevel {
      text = TaggedText(TaggedText(text), in: word).spelledByteLevel().bytes
      word = text.indices
    }
    encoding.encode(text, in: word, droppedByteCount: &droppedByteCount, into: &ids)
  }

  /// The words that a text without added tokens is split into, before any normalization.
  ///
  /// For tests, which compare them with those of the reference. The words of a byte-level tokenizer
  /// may end within a character.
  package func words(of text: String) -> [[UInt8]] {
    let bytes = Array(text.utf8)
    guard !bytes.isEmpty else { return [] }
    var words: [[UInt8]] = []
    model.preTokenizer.forEachWord(in: bytes, bytes.indices, isFirst: true) { text, range in
      words.append(Array(text[range]))
    }
    return words
  }

  /// The ids of a text that is taken as one word, neither normalized nor split.
  ///
  /// For tests, which show that the size of the windows makes no difference.
  package func encodeWord(_ word: [UInt8], windowSize: Int) -> [Int] {
    var ids: [Int] = []
    switch model.encoding {
    case .bytePairs(let encoding):
      var workspace = BytePairEncoding.Workspace()
      encoding.mergeLongWord(
        word, in: word.indices, windowSize: windowSize, &workspace, into: &ids)
    case .unigram(let encoding):
      var droppedByteCount = 0
      encoding.encode(
        word, in: word.indices, windowSize: windowSize, droppedByteCount: &droppedByteCount,
        into: &ids)
    }
    return ids
  }

  /// The text after normalization.
  ///
  /// For tests, which compare the normalizers with those of other implementations.
  package func normalized(_ text: String) -> [UInt8] {
    model.normalizer.normalized(TaggedText(Array(text.utf8))).bytes
  }

  // MARK: - Decoding

  /// The text of `ids`.
  ///
  /// Follows the file's decoder; bytes that are not UTF-8 become U+FFFD, and ids without a piece
  /// give no text.
  ///
  /// - Parameters:
  ///   - ids: The tokens of one text from its beginning.
  ///   - skippingSpecialTokens: Whether tokens that control the model are left out.
  /// - Returns: The text.
  /// - Complexity: O(length of the text).
  public func decode(_ ids: [Int], skippingSpecialTokens: Bool = false) -> String {
    var stream = TokenStream(self, skippingSpecialTokens: skippingSpecialTokens)
    var output: [UInt8] = []
    for id in ids { stream.append(id, to: &output) }
    stream.finish(to: &output)
    return String(decoding: output, as: UTF8.self)
  }
}

/// The position of the first byte at which `bytes` stops being UTF-8, or nil if it is valid.
///
/// - Complexity: O(length).
package func offsetOfInvalidUTF8(in bytes: [UInt8]) -> Int? {
  do {
    _ = try UTF8Span(validating: bytes.span)
    return nil
  } catch {
    return error.byteOffsets.lowerBound
  }
}
