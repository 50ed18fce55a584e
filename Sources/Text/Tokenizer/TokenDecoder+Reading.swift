extension TokenDecoder {
  /// Reads the field `decoder`.
  init(_ field: TokenizerField?, path: String) throws(TokenizerError) {
    var result: [Step] = []
    var types: [String] = []
    for step in try field?.steps("decoders") ?? [] {
      types.append(try step.type())
      result.append(try Step(step))
    }
    guard let decoder = TokenDecoder(steps: result, separatesTokens: field == nil) else {
      throw .unsupportedSequence(path: path, field: "decoder", types: types)
    }
    self = decoder
  }
}

extension TokenDecoder.Step {
  /// Reads one decoder.
  fileprivate init(_ field: TokenizerField) throws(TokenizerError) {
    switch try field.type() {
    case "Replace":
      try field.refuseMembers(besides: ["type", "pattern", "content"])
      self = .replace(
        pattern: try field.stringPattern(), content: try field.member("content").utf8())
    case "ByteFallback":
      try field.refuseMembers(besides: ["type"])
      self = .byteFallback
    case "Fuse":
      try field.refuseMembers(besides: ["type"])
      self = .fuse
    case "Strip":
      try field.refuseMembers(besides: ["type", "content", "start", "stop"])
      self = .strip(
        content: try field.member("content").scalar(),
        start: try field.member("start").count(),
        stop: try field.member("stop").count())
    case "Metaspace":
      let metaspace = try PreTokenizer.Metaspace(field)
      self = .metaspace(
        replacement: metaspace.replacement, dropsFirst: metaspace.prefix != .never)
    case "ByteLevel":
      try field.refuseMembers(besides: ["type", "add_prefix_space", "trim_offsets", "use_regex"])
      self = .byteLevel
    default: throw field.unsupported()
    }
  }
}
