internal import DuetSystem

extension TokenizerModel {
  /// Reads a tokenizer.json.
  ///
  /// What the file asks for is either done exactly or refused: a type, field or value that is not
  /// implemented is an error that names it.
  ///
  /// - Parameters:
  ///   - path: The file, at most 64 MB.
  ///   - configuration: Tokens added to the file's own, and which ids are put around a text.
  /// - Throws: `TokenizerError`.
  /// - Complexity: O(size of the file).
  ///
  /// Source: Hugging Face tokenizers 0.23, the serialization of `Tokenizer`.
  init(
    tokenizerFile path: String, configuration: TokenizerConfiguration
  ) throws(TokenizerError) {
    let root = try TokenizerField.root(ofFile: path, limits: .tokenizer)
    // "truncation" and "padding" are those of the last batch of the program that wrote the file.
    try root.refuseMembers(besides: [
      "version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer",
      "post_processor", "decoder", "model",
    ])
    if let version = root.optional("version"), try version.string() != "1.0" {
      throw version.unsupported()
    }
    let preTokenizer = try PreTokenizer(root.optional("pre_tokenizer"), configuration)
    var reader = ModelReader(
      model: try root.member("model"), unit: preTokenizer.isByteLevel ? .byte : .scalar,
      addedTokens: try Self.addedTokens(root.optional("added_tokens")))
    let encoding = try reader.encoding(configuration)
    let template = try TokenTemplate(
      root.optional("post_processor"), vocabulary: reader.builder.vocabulary)
    let (prefix, suffix) = configuration.affixes(
      instead: (template.prefix, template.suffix), vocabulary: reader.builder.vocabulary)
    self.init(
      addedTokens: reader.addedTokens,
      normalizer: try Normalizer(root.optional("normalizer")),
      preTokenizer: preTokenizer,
      encoding: encoding,
      vocabulary: reader.builder.vocabulary,
      decoder: try TokenDecoder(root.optional("decoder"), path: path),
      prefix: prefix,
      suffix: suffix,
      notes: reader.builder.notes)
  }

  /// The tokens of the field `added_tokens`.
  private static func addedTokens(
    _ field: TokenizerField?
  ) throws(TokenizerError) -> [AddedToken] {
    guard let field else { return [] }
    var result: [AddedToken] = []
    for element in try field.elements() {
      result.append(try AddedToken(element, id: element.member("id").int()))
    }
    return result
  }
}

extension AddedToken {
  /// Reads one entry of `added_tokens` or `added_tokens_decoder`.
  init(_ field: TokenizerField, id: Int) throws(TokenizerError) {
    try field.refuseMembers(besides: [
      "id", "content", "single_word", "lstrip", "rstrip", "normalized", "special", "__type",
    ])
    let isSpecial = try field.bool("special", default: false)
    self.init(
      id: id,
      content: try field.member("content").string(),
      isSpecial: isSpecial,
      isNormalized: try field.bool("normalized", default: !isSpecial),
      stripsLeft: try field.bool("lstrip", default: false),
      stripsRight: try field.bool("rstrip", default: false),
      isSingleWord: try field.bool("single_word", default: false))
  }
}
