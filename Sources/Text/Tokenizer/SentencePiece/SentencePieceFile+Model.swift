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
    var added: [AddedToken] = []
    /// Pieces that text never becomes.
    var hidden: Set<Int> = []
    var unknown: Int?
    for (id, piece) in file.pieces.enumerated() {
      try builder.insert(piece.bytes, id: id)
      let text = String(decoding: piece.bytes, as: UTF8.self)
      switch piece.kind {
      case .normal: break
      case .byte: if file.isUnigram { hidden.insert(id) }
      case .unknown:
        guard unknown == nil else {
          throw .unsupportedSentencePiece(path: path, feature: "two unknown pieces")
        }
        unknown = id
        added.append(AddedToken(id: id, content: text, isSpecial: true))
      case .control: added.append(AddedToken(id: id, content: text, isSpecial: true))
      case .userDefined: added.append(AddedToken(id: id, content: text, isSpecial: false))
      case .unused:
        guard file.isUnigram else {
          throw .unsupportedSentencePiece(
            path: path, feature: "unused pieces in a byte-pair model")
        }
        hidden.insert(id)
      }
    }
    let merges = file.isUnigram ? nil : try Self.merges(of: file, builder: builder)
    hidden.formUnion(try builder.insert(added + configuration.addedTokens, configuration))
    try builder.check()
    let encoding: Encoding =
      if let merges {
        .bytePairs(
          builder.makeEncoding(
            merges: merges, unit: .scalar, usesByteFallback: file.usesByteFallback,
            unknown: unknown, fusesUnknown: true, ignoresMerges: false, hiding: hidden))
      } else {
        .unigram(
          builder.makeUnigram(
            scores: file.unigramScores, lowestScore: file.lowestScore,
            usesByteFallback: file.usesByteFallback, unknown: unknown, isSinglePrecision: true,
            hiding: hidden))
      }
    func named(_ text: String?, _ id: Int) -> Int? {
      text.flatMap { builder.vocabulary.id(of: Array($0.utf8)) }.map { Int($0) }
        ?? builder.knownID(id)
    }
    let named = NamedTokens(
      beginningOfSequence: named(configuration.beginningOfSequence, file.beginningOfSequence),
      endOfSequence: named(configuration.endOfSequence, file.endOfSequence),
      unknown: unknown)
    let steps = Self.steps(file.normalization, configuration)
    guard let decoder = TokenDecoder(steps: steps.decoder) else {
      throw .unsupportedSequence(path: path, field: "decoder", types: [])
    }
    self.init(
      addedTokens: builder.addedTokens,
      normalizer: Normalizer(steps: steps.normalizer),
      preTokenizer: steps.preTokenizer,
      encoding: encoding,
      vocabulary: builder.vocabulary,
      decoder: decoder,
      prefix: configuration.addsBeginningOfSequence ?? true
        ? [named.beginningOfSequence].compactMap { $0 } : [],
      suffix: configuration.addsEndOfSequence ?? false
        ? [named.endOfSequence].compactMap { $0 } : [],
      namedTokens: named,
      notes: builder.notes)
  }

  /// The steps around the model.
  ///
  /// Without `legacy`, only the very beginning of a text gets a mark, not the text behind an added token,
  /// and a text that begins with a space gets no second one.
  private static func steps(
    _ normalization: SentencePieceNormalization, _ configuration: TokenizerConfiguration
  ) -> (normalizer: [Normalizer.Step], preTokenizer: PreTokenizer, decoder: [TokenDecoder.Step]) {
    let mark = SentencePieceNormalization.mark
    let space = [UInt8(ascii: " ")]
    var normalization = normalization
    var preTokenizer = PreTokenizer()
    let addsPrefix: Bool
    if configuration.isLegacy {
      addsPrefix = normalization.addsDummyPrefix && configuration.addsPrefixSpace
      normalization.addsDummyPrefix = addsPrefix
    } else {
      addsPrefix = configuration.addsPrefixSpace
      normalization.addsDummyPrefix = false
      preTokenizer.append(
        .metaspace(
          PreTokenizer.Metaspace(
            replacement: mark, prefix: addsPrefix ? .first : .never, splits: false)))
    }
    var normalizer: [Normalizer.Step] = [.sentencePiece(normalization)]
    if normalization.map == nil, !normalization.removesExtraSpaces {
      normalizer = addsPrefix && configuration.isLegacy ? [.prepend(mark)] : []
      normalizer.append(.replace(pattern: space, content: mark))
    }
    var decoder: [TokenDecoder.Step] = [
      .replace(pattern: mark, content: space), .byteFallback, .fuse,
    ]
    if normalization.removesExtraSpaces {
      decoder.append(.strip(content: space, start: .max, stop: 0))
    } else if addsPrefix {
      decoder.append(.strip(content: space, start: 1, stop: 0))
    }
    return (normalizer, preTokenizer, decoder)
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

extension SentencePieceFile {
  /// The score of each piece of a unigram model.
  ///
  /// A user-defined piece has a score above all others, whatever the file says.
  fileprivate var unigramScores: [Double] {
    pieces.map { $0.kind == .userDefined ? Double(Float(-0.1)) : Double($0.score) }
  }

  /// The lowest score of an ordinary piece.
  fileprivate var lowestScore: Double {
    Double(pieces.lazy.filter { $0.kind == .normal }.map(\.score).min() ?? 0)
  }
}

extension VocabularyBuilder {
  /// The id if it has a piece, else nil.
  fileprivate func knownID(_ id: Int) -> Int? { vocabulary.piece(id) == nil ? nil : id }
}
