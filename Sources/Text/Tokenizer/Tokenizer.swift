internal import DuetSystem

/// A tokenizer of the Llama or Mistral family: text to token ids and back.
///
/// Read from the tokenizer.json of a Hugging Face folder, or from its tokenizer.model when there is no
/// tokenizer.json. Immutable: one tokenizer may be used from several threads.
public struct Tokenizer: Sendable {
  /// The tokens that are cut out of the text before anything else, in the order of the file.
  public let addedTokens: [AddedToken]
  /// The id that starts a sequence.
  public let beginningOfSequence: Int?
  /// The id that ends a sequence, as the tokenizer's files name it; models may have more.
  public let endOfSequence: Int?
  /// The id for text without a piece.
  public let unknown: Int?

  /// What the user should know about the tokenizer's files, each a sentence that names the file.
  public var notes: [String] { model.notes }

  let model: TokenizerModel
  let rawMatcher: AddedTokenMatcher
  let normalizedMatcher: AddedTokenMatcher
  /// The ids of special tokens.
  private let controlIDs: Set<Int>
  /// The ids of added tokens by the bytes of their text.
  private let addedIDs: [[UInt8]: Int]
  /// The normalized text, by id, of the added tokens that are matched after normalization.
  private let normalizedContents: [Int: [UInt8]]
  /// The number of bytes that all calls of `encode` left out.
  let droppedBytes = DroppedByteCounter()

  /// Reads the tokenizer of a folder.
  ///
  /// Only the tokenizer's own files are needed: tokenizer.json or tokenizer.model, and, if they are
  /// there, tokenizer_config.json, special_tokens_map.json and added_tokens.json.
  ///
  /// - Throws: `TokenizerError`.
  /// - Complexity: O(size of the files).
  public init(contentsOf folder: String) throws(TokenizerError) {
    let configuration = try TokenizerConfiguration(folder: folder)
    do {
      self.init(
        try TokenizerModel(
          tokenizerFile: "\(folder)/tokenizer.json", configuration: configuration),
        configuration: configuration)
      return
    } catch .unreadable(.notFound) {}
    do {
      self.init(
        try TokenizerModel(
          sentencePieceFile: "\(folder)/tokenizer.model", configuration: configuration),
        configuration: configuration)
    } catch .unreadable(.notFound) {
      throw .notFound(folder: folder)
    }
  }

  private init(_ model: TokenizerModel, configuration: TokenizerConfiguration) {
    self.model = model
    addedTokens = model.addedTokens
    var controlIDs: Set<Int> = []
    var addedIDs: [[UInt8]: Int] = [:]
    var contents: [Int: [UInt8]] = [:]
    for token in model.addedTokens {
      let content = Array(token.content.utf8)
      addedIDs[content] = token.id
      if token.isSpecial { controlIDs.insert(token.id) }
      if token.isNormalized {
        contents[token.id] = model.normalizer.normalized(TaggedText(content)).bytes
      }
    }
    let raw = model.addedTokens.filter { !$0.isNormalized }
    let normalized = model.addedTokens.filter(\.isNormalized)
    rawMatcher = AddedTokenMatcher(raw, contents: raw.map { Array($0.content.utf8) })
    normalizedMatcher = AddedTokenMatcher(
      normalized, contents: normalized.map { contents[$0.id] ?? [] })
    normalizedContents = contents
    self.controlIDs = controlIDs
    self.addedIDs = addedIDs

    // A token that the vocabulary lacks is absent; the model's notes name it.
    func id(_ text: String?) -> Int? {
      guard let text else { return nil }
      let bytes = Array(text.utf8)
      return addedIDs[bytes] ?? model.vocabulary.id(of: bytes).map { Int($0) }
    }
    beginningOfSequence =
      id(configuration.beginningOfSequence) ?? model.namedTokens.beginningOfSequence
      ?? model.prefix.first
    endOfSequence =
      id(configuration.endOfSequence) ?? model.namedTokens.endOfSequence ?? model.suffix.last
    unknown = id(configuration.unknown) ?? model.namedTokens.unknown
  }

  // MARK: - Vocabulary

  /// The highest id plus one.
  public var vocabularySize: Int { model.vocabulary.idCount }

  /// Whether an encoded text starts with `beginningOfSequence`.
  public var addsBeginningOfSequence: Bool {
    model.prefix.first.map { $0 == beginningOfSequence } ?? false
  }

  /// Whether the id belongs to a special token: one that controls the model instead of being text.
  public func isControl(_ id: Int) -> Bool { controlIDs.contains(id) }

  /// The bytes of the piece as the vocabulary spells it, or nil for an id without a piece.
  ///
  /// SentencePiece vocabularies write a space as "▁" and some bytes as `<0xHH>`; byte-level
  /// vocabularies write each byte as a character of its own ("Ġ" for a space).
  public func piece(_ id: Int) -> [UInt8]? { model.vocabulary.piece(id).map(Array.init) }

  /// The piece in a form that is safe in a message, or nil for an id without a piece.
  public func displayedPiece(_ id: Int) -> String? {
    model.vocabulary.piece(id).map { printable(String(decoding: $0, as: UTF8.self)) }
  }

  /// The id of the piece that the vocabulary spells with exactly these bytes.
  public func token(_ piece: [UInt8]) -> Int? {
    addedIDs[piece] ?? model.vocabulary.id(of: piece).map { Int($0) }
  }

  /// The id of the piece that the vocabulary spells with exactly the UTF-8 of `piece`.
  public func token(_ piece: String) -> Int? { token(Array(piece.utf8)) }

  /// The steps from tokens back to text.
  var decoder: TokenDecoder { model.decoder }

  /// The text of a token that the decoder gets.
  func textOfToken(_ id: Int) -> [UInt8]? { normalizedContents[id] ?? piece(id) }
}
