internal import DuetSystem

extension ChatTemplate {
  /// The chat template of a model, or nil for a model that only continues text.
  ///
  /// The first of these that exists is used:
  /// 1. the file `chat_template.jinja`;
  /// 2. `chat_template` in `tokenizer_config.json`: a string, or a list of named templates of which
  ///    `default` is taken;
  /// 3. a built-in family, when the tokenizer has that family's control tokens. Base models of
  ///    Llama-3 have them too, so for Llama-3 the model's files must also name `<|eot_id|>` as the
  ///    end of a text.
  ///
  /// - Parameters:
  ///   - folder: The model's folder.
  ///   - tokenizer: The model's tokenizer.
  ///   - stopTokens: The tokens that end a text, as the model's files name them.
  /// - Returns: The template, or nil when no source has one.
  /// - Throws: `ChatTemplateError` when there is a template but it cannot be used.
  public static func load(
    folder: String, tokenizer: Tokenizer, stopTokens: StopTokens
  ) throws(ChatTemplateError) -> ChatTemplate? {
    let path = "\(folder)/chat_template.jinja"
    if let bytes = try file(path, limit: sourceLimit) {
      return try ChatTemplate(utf8: bytes, path: path)
    }
    if let template = try load(tokenizerConfiguration: "\(folder)/tokenizer_config.json") {
      return template
    }
    guard let family = ChatTemplateFamily(of: tokenizer, stopTokens: stopTokens) else { return nil }
    return try ChatTemplate(family: family)
  }

  /// The template in a file.
  ///
  /// - Throws: `ChatTemplateError` when the file cannot be read or holds no template.
  public init(contentsOf path: String) throws(ChatTemplateError) {
    let bytes: [UInt8]
    do throws(FileError) {
      bytes = try readFile(path, limit: Self.sourceLimit)
    } catch {
      throw .file(error)
    }
    try self.init(utf8: bytes, path: path)
  }

  private init(utf8 bytes: [UInt8], path: String) throws(ChatTemplateError) {
    guard let source = String(validating: bytes, as: UTF8.self) else {
      throw .malformedFile(path: path, problem: "the template is not UTF-8")
    }
    try self.init(source: source, origin: path)
  }

  private static func load(
    tokenizerConfiguration path: String
  ) throws(ChatTemplateError) -> ChatTemplate? {
    let limits = JSONLimits.smallFile
    guard let bytes = try file(path, limit: limits.byteCount) else { return nil }
    let document: JSONDocument
    do throws(JSONError) {
      document = try JSONDocument(parsing: bytes, path: path, limits: limits)
    } catch {
      throw .json(error)
    }
    guard let entry = document.root["chat_template"], !entry.isNull else { return nil }
    if let source = entry.string { return try ChatTemplate(source: source, origin: path) }
    let chosen = entry.elements?.first { $0["name"]?.isString("default") ?? false }
    guard let source = chosen?["template"]?.string else {
      throw .malformedFile(
        path: path,
        problem: "chat_template is neither a string nor a list with a template named 'default'")
    }
    return try ChatTemplate(source: source, origin: path)
  }

  /// The bytes of a file, or nil when there is none.
  private static func file(
    _ path: String, limit: Int
  ) throws(ChatTemplateError) -> [UInt8]? {
    do throws(FileError) {
      return try readFile(path, limit: limit)
    } catch .notFound {
      return nil
    } catch {
      throw .file(error)
    }
  }
}

extension ChatTemplateFamily {
  /// The family whose control tokens a tokenizer has.
  fileprivate init?(of tokenizer: Tokenizer, stopTokens: StopTokens) {
    var added: [String: Int] = [:]
    for token in tokenizer.addedTokens { added[token.content] = token.id }
    if added["<|start_header_id|>"] != nil, added["<|end_header_id|>"] != nil,
      let end = added["<|eot_id|>"], stopTokens.declared.contains(end)
    {
      // Llama-3.1 uses a reserved token of Llama-3 for the end of a message to a tool.
      self = added["<|eom_id|>"] == nil ? .llama3 : .llama31
    } else if added["[INST]"] != nil, added["[/INST]"] != nil {
      // The v3 vocabulary is SentencePiece's, with a piece for each byte; tekken's is byte-level.
      self = tokenizer.token("<0x0A>") == nil ? .mistralTekken : .mistralV3
    } else {
      return nil
    }
  }
}
