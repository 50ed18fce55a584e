extension TokenizerModel {
  /// Reads a tokenizer.model.
  ///
  /// The result is equal to that from the tokenizer.json that Hugging Face makes of the same file.
  ///
  /// - Parameters:
  ///   - path: The file, at most 16 MB.
  ///   - configuration: The tokens added to the model's own, and which ids are put around a text.
  /// - Throws: `TokenizerError`.
  init(
    sentencePieceFile path: String, configuration: TokenizerConfiguration
  ) throws(TokenizerError) {
    let file = try SentencePieceFile(contentsOf: path)
    var builder = VocabularyBuilder(path: path, capacity: file.pieces.count)
    var added: [Int: AddedToken] = [:]
    var unknown: Int?
    for (id, piece) in file.pieces.enumerated() {
      try builder.insert(piece.bytes, id: id)
      let text = String(decoding: piece.bytes, as: UTF8.self)
      switch piece.kind {
      case .normal, .byte: break
      case .unknown:
        guard unknown == nil else {
          throw .unsupportedSentencePiece(path: path, feature: "two unknown pieces")
        }
        unknown = id
        added[id] = AddedToken(id: id, content: text, isSpecial: true)
      case .control: added[id] = AddedToken(id: id, content: text, isSpecial: true)
      case .userDefined: added[id] = AddedToken(id: id, content: text, isSpecial: false)
      case .unused: throw .unsupportedSentencePiece(path: path, feature: "unused pieces")
      }
    }
    for token in configuration.addedTokens { added[token.id] = token }
    let addedTokens = added.values.sorted { $0.id < $1.id }
    let merges = try Self.merges(of: file, builder: builder)

    var hidden: Set<Int> = []
    for token in addedTokens {
      let isOfModel = builder.vocabulary.id(of: Array(token.content.utf8)) != nil
      try builder.insert(token)
      if token.isSpecial || !isOfModel { hidden.insert(token.id) }
    }
    try builder.check()
    let named = NamedTokens(
      beginningOfSequence: builder.knownID(file.beginningOfSequence),
      endOfSequence: builder.knownID(file.endOfSequence),
      unknown: unknown)
    let mark = Array("\u{2581}".utf8)
    let space = [UInt8(ascii: " ")]
    let prepend = file.addsDummyPrefix ? [Normalizer.Step.prepend(mark)] : []
    let strip =
      file.addsDummyPrefix ? [TokenDecoder.Step.strip(content: space, start: 1, stop: 0)] : []
    guard
      let decoder = TokenDecoder(
        steps: [.replace(pattern: mark, content: space), .byteFallback, .fuse] + strip)
    else { throw .unsupportedSequence(path: path, field: "decoder", types: []) }
    self.init(
      addedTokens: addedTokens,
      normalizer: Normalizer(steps: prepend + [.replace(pattern: space, content: mark)]),
      preTokenizer: PreTokenizer(),
      encoding: try builder.makeEncoding(
        merges: merges, unit: .scalar, usesByteFallback: file.usesByteFallback, unknown: unknown,
        fusesUnknown: true, ignoresMerges: false, hiding: hidden),
      decoder: decoder,
      prefix: configuration.addsBeginningOfSequence ?? true
        ? [named.beginningOfSequence].compactMap { $0 } : [],
      suffix: configuration.addsEndOfSequence ?? false
        ? [named.endOfSequence].compactMap { $0 } : [],
      namedTokens: named)
  }

  /// The merges that lead to the pieces: for each piece all splits into two pieces.
  ///
  /// SentencePiece merges the pair whose merged piece has the highest score, so merges are ranked
  /// by falling score; merges of one piece, and pieces with the same score, by id.
  private static func merges(
    of file: SentencePieceFile, builder: VocabularyBuilder
  ) throws(TokenizerError) -> MergeTable {
    func isMergeable(_ id: Int32) -> Bool {
      switch file.pieces[Int(id)].kind {
      case .normal, .userDefined: true
      default: false
      }
    }

    let order = file.pieces.indices.filter { isMergeable(Int32($0)) }
      .sorted { (-file.pieces[$0].score, $0) < (-file.pieces[$1].score, $1) }
    var merges = MergeTable(capacity: 2 * file.pieces.count)
    var rank = 0
    for id in order {
      let piece = file.pieces[id].bytes
      var splits: [(left: Int32, right: Int32, border: Int)] = []
      for border in piece.indices.dropFirst() where piece[border] & 0xC0 != 0x80 {
        if let left = builder.vocabulary.id(of: piece, in: 0..<border), isMergeable(left),
          let right = builder.vocabulary.id(of: piece, in: border..<piece.count),
          isMergeable(right)
        {
          splits.append((left, right, border))
        }
      }
      splits.sort { ($0.left, $0.right) < ($1.left, $1.right) }
      for split in splits {
        try builder.insertMerge(
          of: piece, at: split.border, index: rank, into: &merges, unreachable: [])
        rank += 1
      }
    }
    return merges
  }
}

extension VocabularyBuilder {
  /// The id if it has a piece, else nil.
  fileprivate func knownID(_ id: Int) -> Int? { vocabulary.piece(id) == nil ? nil : id }
}
