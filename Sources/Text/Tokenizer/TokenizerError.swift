public import DuetSystem

/// A reason to refuse a tokenizer's files, with the file and the part of it that is wrong.
public enum TokenizerError: DuetError, Equatable {
  // MARK: Finding and reading the files

  /// The folder holds neither tokenizer.json nor tokenizer.model.
  case notFound(folder: String)
  /// A file could not be read.
  case unreadable(FileError)
  /// A file is not the JSON it should be.
  case malformedJSON(JSONError)

  // MARK: The shape of the JSON

  /// A field that must be there is absent.
  case missingField(path: String, field: String)
  /// A field holds the wrong kind of value.
  case wrongType(path: String, field: String, expected: String)
  /// A field asks for something that is not implemented.
  case unsupportedValue(path: String, field: String, value: String)
  /// A field that no known version of the format has, with a value that could matter.
  case unknownField(path: String, field: String)
  /// A pattern is not a regular expression, or one with a construct that is not implemented.
  case unsupportedPattern(path: String, pattern: String, problem: String)
  /// The parts of a pre-tokenizer or decoder are known but not in this order.
  case unsupportedSequence(path: String, field: String, types: [String])
  /// The post-processor does not insert the text exactly once, or names an unknown token.
  case malformedTemplate(path: String, problem: String)

  // MARK: Vocabulary and merges

  /// The vocabulary has no piece at all.
  case emptyVocabulary(path: String)
  /// An id is negative or not below 2^24.
  case idOutOfRange(path: String, piece: String, id: Int)
  /// Two pieces have the same id.
  case duplicateID(path: String, id: Int, first: String, second: String)
  /// A piece occurs twice, compared byte by byte.
  case duplicatePiece(path: String, piece: String)
  /// The highest id is far above the number of pieces.
  case sparseIDs(path: String, highest: Int, count: Int)
  /// A merge is not a pair of pieces.
  case malformedMerge(path: String, index: Int)
  /// A merge takes or makes a piece that is not in the vocabulary.
  case mergeOfUnknownPiece(path: String, index: Int, piece: String)
  /// A pair of pieces is merged twice.
  case duplicateMerge(path: String, index: Int)
  /// A token that the files rely on is not in the vocabulary.
  case tokenNotInVocabulary(path: String, role: String, token: String)
  /// An added token is unreasonably long.
  case malformedAddedToken(path: String, id: Int, byteCount: Int)

  // MARK: SentencePiece files

  /// tokenizer.model is not a SentencePiece file.
  case malformedSentencePiece(path: String, offset: Int, problem: String)
  /// tokenizer.model is the base64 list of Meta's own release.
  case tiktokenFile(path: String)
  /// The SentencePiece model is of a kind that is not implemented.
  case unsupportedSentencePiece(path: String, feature: String)

  /// The kind of trouble, for the exit code.
  public var category: FailureCategory {
    switch self {
    case .notFound: .inputOutput
    case .unreadable(let error): error.category
    default: .refusedData
    }
  }
}

extension TokenizerError {
  /// One sentence that names the file and what is wrong.
  public var description: String {
    switch self {
    case .notFound(let folder):
      "\(printable(folder)): no tokenizer.json or tokenizer.model in this folder"
    case .unreadable(let error): error.description
    case .malformedJSON(let error): error.description
    case .missingField(let path, let field):
      "\(printable(path)): the field \"\(printable(field))\" is missing"
    case .wrongType(let path, let field, let expected):
      "\(printable(path)): the field \"\(printable(field))\" should be \(expected)"
    case .unsupportedValue(let path, let field, let value):
      "\(printable(path)): \"\(printable(field))\" is \(printable(value)), which is not supported"
    case .unknownField(let path, let field):
      "\(printable(path)): the field \"\(printable(field))\" is not known and could matter"
    case .unsupportedPattern(let path, let pattern, let problem):
      "\(printable(path)): the pattern \(printable(pattern)) \(printable(problem))"
    case .unsupportedSequence(let path, let field, let types):
      "\(printable(path)): \"\(printable(field))\" combines "
        + "\(printable(types.joined(separator: ", "))), which is not supported"
    case .malformedTemplate(let path, let problem):
      "\(printable(path)): the post-processor's template \(printable(problem))"
    default: vocabularyDescription
    }
  }

  private var vocabularyDescription: String {
    switch self {
    case .emptyVocabulary(let path): "\(printable(path)): the vocabulary is empty"
    case .idOutOfRange(let path, let piece, let id):
      "\(printable(path)): the id \(id) of \"\(printable(piece))\" is not between 0 and 2^24 - 1"
    case .duplicateID(let path, let id, let first, let second):
      "\(printable(path)): the id \(id) belongs to both \"\(printable(first))\" and "
        + "\"\(printable(second))\""
    case .duplicatePiece(let path, let piece):
      "\(printable(path)): the piece \"\(printable(piece))\" appears twice"
    case .sparseIDs(let path, let highest, let count):
      "\(printable(path)): the highest id is \(highest) though there are only \(count) pieces"
    case .malformedMerge(let path, let index):
      "\(printable(path)): merge \(index) is not a pair of pieces"
    case .mergeOfUnknownPiece(let path, let index, let piece):
      "\(printable(path)): merge \(index) needs the piece \"\(printable(piece))\", "
        + "which is not in the vocabulary"
    case .duplicateMerge(let path, let index):
      "\(printable(path)): merge \(index) repeats an earlier one"
    case .tokenNotInVocabulary(let path, let role, let token):
      "\(printable(path)): the \(printable(role)) \"\(printable(token))\" is not in the vocabulary"
    case .malformedAddedToken(let path, let id, let byteCount):
      "\(printable(path)): the added token \(id) has \(byteCount) bytes; "
        + "\(AddedToken.longestContent) are allowed"
    case .malformedSentencePiece(let path, let offset, let problem):
      "\(printable(path)): not a SentencePiece model: \(printable(problem)) at byte \(offset)"
    case .tiktokenFile(let path):
      "\(printable(path)): this is a tiktoken list, not a SentencePiece model; "
        + "add the tokenizer.json of the same model"
    case .unsupportedSentencePiece(let path, let feature):
      "\(printable(path)): SentencePiece models with \(printable(feature)) are not supported"
    default: "the tokenizer's files cannot be used"
    }
  }
}
