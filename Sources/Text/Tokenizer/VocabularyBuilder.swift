internal import DuetSystem

/// The pieces and merges of a tokenizer while they are being read.
struct VocabularyBuilder {
  let path: String
  private(set) var vocabulary: Vocabulary
  /// The added tokens so far, with their ids.
  private(set) var addedTokens: [AddedToken] = []
  /// What the user should know about the files, each a sentence.
  private(set) var notes: [String] = []

  /// An empty vocabulary.
  init(path: String, capacity: Int) {
    self.path = path
    vocabulary = Vocabulary(capacity: capacity)
  }

  /// Adds a piece of the model.
  mutating func insert(_ piece: [UInt8], id: Int) throws(TokenizerError) {
    do {
      try vocabulary.insert(piece, id: id)
    } catch {
      let text = String(decoding: piece, as: UTF8.self)
      switch error {
      case .idOutOfRange: throw .idOutOfRange(path: path, piece: text, id: id)
      case .pieceTaken: throw .duplicatePiece(path: path, piece: text)
      case .idTaken:
        throw .duplicateID(path: path, id: id, first: self.text(of: id), second: text)
      }
    }
  }

  /// Adds the added tokens of the tokenizer's own file and those of `configuration`, and gives each its id.
  ///
  /// A token whose text is a piece has that piece's id. Another one gets the id behind all pieces and
  /// added tokens before it, whatever id it has in the file: these are the ids that Hugging Face
  /// tokenizers gives, and so those that models are trained with. Only if a piece has that id already, the
  /// token keeps the one in the file: the package would give both the same. Of tokens with the same text the
  /// last one's settings hold; one without text is left out.
  ///
  /// - Returns: The ids that plain text must not become: those of special tokens and of tokens that are no
  ///   piece of the model.
  mutating func insert(
    _ tokens: [AddedToken], _ configuration: TokenizerConfiguration
  ) throws(TokenizerError) -> Set<Int> {
    let pieceCount = vocabulary.count
    var moved: [AddedToken] = []
    var highest = -1
    var places: [[UInt8]: Int] = [:]
    var hidden: Set<Int> = []

    func insert(_ token: AddedToken) throws(TokenizerError) {
      let content = Array(token.content.utf8)
      if content.isEmpty { return }
      guard content.count <= AddedToken.longestContent else {
        throw .malformedAddedToken(path: path, id: token.id, byteCount: content.count)
      }
      if let place = places[content] {
        addedTokens[place] = token.with(id: addedTokens[place].id)
        return
      }
      var id = highest >= pieceCount ? highest + 1 : pieceCount
      if let known = vocabulary.id(of: content) {
        id = Int(known)
      } else {
        // Where pieces lie beyond the number of pieces, the next id may be that of one.
        if vocabulary.hasPiece(id), token.id >= 0, !vocabulary.hasPiece(token.id) { id = token.id }
        try self.insert(content, id: id)
        hidden.insert(id)
      }
      if id != token.id { moved.append(token) }
      places[content] = addedTokens.count
      addedTokens.append(token.with(id: id))
      highest = max(highest, id)
    }

    for token in tokens { try insert(token) }
    for token in configuration.addedTokens { try insert(token) }
    var absent: [String] = []
    for text in configuration.specialTokens where places[Array(text.utf8)] == nil {
      if let id = vocabulary.id(of: Array(text.utf8)) {
        try insert(AddedToken(id: Int(id), content: text, isSpecial: true))
      } else if !absent.contains(text) {
        absent.append(text)
      }
    }
    if let first = moved.first, let place = places[Array(first.content.utf8)] {
      let others = moved.count > 1 ? " and \(moved.count - 1) more" : ""
      notes.append(
        "\(printable(path)): the added token \"\(printable(first.content))\"\(others) has the id "
          + "\(first.id) in the file, but the id \(addedTokens[place].id) comes next and is used")
    }
    if let first = absent.first {
      let others = absent.count > 1 ? " and \(absent.count - 1) more" : ""
      notes.append(
        "\(printable(configuration.path)): the special token \"\(printable(first))\"\(others) is "
          + "not in the vocabulary and is left out")
    }
    return hidden.union(addedTokens.filter(\.isSpecial).map(\.id))
  }

  /// Refuses a vocabulary that is empty or has too many ids without a piece.
  func check() throws(TokenizerError) {
    guard vocabulary.count > 0 else { throw .emptyVocabulary(path: path) }
    guard vocabulary.idCount - vocabulary.count <= Vocabulary.holeLimit else {
      throw .sparseIDs(
        path: path, highest: vocabulary.idCount - 1, count: vocabulary.count)
    }
  }

  /// The text of the piece with the given id.
  func text(of id: Int) -> String {
    String(decoding: vocabulary.piece(id) ?? [], as: UTF8.self)
  }

  /// Adds the merge of `pair[..<border]` and `pair[border...]` to `merges`.
  ///
  /// - Parameters:
  ///   - pair: The two pieces, one after the other.
  ///   - border: Where the second one starts.
  ///   - index: The place of the merge in the file, which is its rank.
  ///   - merges: The table that gets the merge.
  ///   - unreachable: Pieces that no text may become; merges that make one are left out.
  /// - Throws: `TokenizerError` for a piece that is unknown or a pair that is in the table already.
  func insertMerge(
    of pair: [UInt8], at border: Int, index: Int, into merges: inout MergeTable,
    unreachable: Set<Int>
  ) throws(TokenizerError) {
    var hash = vocabulary.emptyHash
    for byte in pair[..<border] { hash.append(byte) }
    let left = vocabulary.id(of: pair, in: 0..<border, hash: hash)
    for byte in pair[border...] { hash.append(byte) }
    let whole = vocabulary.id(of: pair, in: pair.indices, hash: hash)
    let right = vocabulary.id(of: pair, in: border..<pair.count)
    guard let left, let right, let whole else {
      let unknown = left == nil ? pair[..<border] : right == nil ? pair[border...] : pair[...]
      throw .mergeOfUnknownPiece(
        path: path, index: index, piece: String(decoding: unknown, as: UTF8.self))
    }
    if !unreachable.isEmpty, unreachable.contains(Int(whole)) { return }
    let merge = MergeTable.Merge(rank: UInt32(index), id: whole)
    guard merges.insert(left, right, merge) else {
      throw .duplicateMerge(path: path, index: index)
    }
  }

  /// Makes the finished model of merges, in which the tokens that plain text must not become are
  /// hidden.
  func makeEncoding(
    merges: MergeTable, unit: SymbolAlphabet.Unit, usesByteFallback: Bool, unknown: Int?,
    fusesUnknown: Bool, ignoresMerges: Bool, hiding hidden: Set<Int>
  ) -> BytePairEncoding {
    var visible = vocabulary
    visible.hide(hidden)
    let alphabet = SymbolAlphabet(
      unit: unit, vocabulary: visible, usesByteFallback: usesByteFallback,
      unknown: unknown.map { Int32($0) }, fusesUnknown: fusesUnknown)
    return BytePairEncoding(
      vocabulary: visible, merges: merges, alphabet: alphabet, ignoresMerges: ignoresMerges)
  }

  /// Makes the finished unigram model, in which the tokens that plain text must not become are
  /// hidden.
  func makeUnigram(
    scores: [Double], lowestScore: Double, usesByteFallback: Bool, unknown: Int?,
    isSinglePrecision: Bool, hiding hidden: Set<Int>
  ) -> UnigramEncoding {
    var visible = vocabulary
    visible.hide(hidden)
    return UnigramEncoding(
      vocabulary: visible, scores: scores, lowestScore: lowestScore, unknown: unknown,
      byteFallback: usesByteFallback ? SymbolAlphabet.fallbackIDs(of: vocabulary) : [],
      isSinglePrecision: isSinglePrecision)
  }
}
