/// The checked contents of a tokenizer's files, from which a `Tokenizer` is made.
struct TokenizerModel: Sendable {
  /// The tokens that are cut out of the text before anything else.
  let addedTokens: [AddedToken]
  let normalizer: Normalizer
  let preTokenizer: PreTokenizer
  let encoding: Encoding
  /// The pieces of the model and the added tokens.
  let vocabulary: Vocabulary
  let decoder: TokenDecoder
  /// The ids put before an encoded text.
  let prefix: [Int]
  /// The ids put after an encoded text.
  let suffix: [Int]
  /// The start, end and unknown tokens that the file itself names.
  var namedTokens = NamedTokens()
  /// What the user should know about the files, each a sentence.
  var notes: [String] = []

  /// The kinds of models that turn a word into ids.
  enum Encoding: Sendable {
    case bytePairs(BytePairEncoding)
    case unigram(UnigramEncoding)
  }

  /// Tokens with a special role.
  struct NamedTokens: Sendable, Equatable {
    var beginningOfSequence: Int?
    var endOfSequence: Int?
    var unknown: Int?
  }
}
