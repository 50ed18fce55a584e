internal import DuetSystem

extension PreTokenizer {
  /// The largest number of steps.
  private static let stepLimit = 64

  /// Reads the field `pre_tokenizer`.
  ///
  /// - Parameters:
  ///   - field: The field, if there is one.
  ///   - configuration: May replace `add_prefix_space` of a `ByteLevel`.
  /// - Throws: `TokenizerError`.
  init(_ field: TokenizerField?, _ configuration: TokenizerConfiguration) throws(TokenizerError) {
    guard let field else { return }
    let isByteLevelOnly = try field.type() == "ByteLevel"
    let fields = try field.steps("pretokenizers")
    var types: [String] = []
    for step in fields { types.append(try step.type()) }
    let lastByteLevel = types.lastIndex(of: "ByteLevel")
    for (index, (step, type)) in zip(fields, types).enumerated() {
      if type == "ByteLevel" {
        try appendByteLevel(
          step, addsPrefixSpace: isByteLevelOnly ? configuration.byteLevelAddsPrefixSpace : nil)
        // The model spells the bytes itself, if no later step is to see them spelled.
        if index < fields.count - 1 { append(.spellBytes) }
        continue
      }
      if type == "Metaspace", lastByteLevel.map({ $0 < index }) ?? false {
        // Its mark is not in the alphabet of the bytes.
        throw .unsupportedSequence(path: field.path, field: field.name, types: types)
      }
      try append(step, type: type)
    }
    isByteLevel = lastByteLevel != nil
    if let lastByteLevel, lastByteLevel < fields.count - 1 { append(.unspellBytes) }
    guard steps.count <= Self.stepLimit else {
      throw .unsupportedSequence(path: field.path, field: field.name, types: types)
    }
  }

  private mutating func append(_ field: TokenizerField, type: String) throws(TokenizerError) {
    switch type {
    case "Split": try appendSplit(field)
    case "Metaspace": append(.metaspace(try Metaspace(field)))
    case "Digits":
      try field.refuseMembers(besides: ["type", "individual_digits"])
      let areIndividual = try field.bool("individual_digits", default: false)
      try append(.set(.stepDigits), areIndividual ? .isolated : .contiguous, in: field)
    case "Punctuation":
      try field.refuseMembers(besides: ["type", "behavior"])
      let behavior = try field.optional("behavior")?.splitBehavior() ?? .isolated
      try append(.set(.stepPunctuation), behavior, in: field)
    case "Whitespace":
      try field.refuseMembers(besides: ["type"])
      let symbols = ScalarSet.stepWord.union(.whiteSpace).inverted
      try append(
        .alternation(
          [.stepWord, symbols].map {
            .repetition(.set($0), minimum: 1, maximum: nil, isLazy: false)
          }), .removed, isInverted: true, in: field)
    case "WhitespaceSplit":
      try field.refuseMembers(besides: ["type"])
      try append(.set(.whiteSpace), .removed, in: field)
    case "BertPreTokenizer":
      try field.refuseMembers(besides: ["type"])
      try append(.set(.whiteSpace), .removed, in: field)
      try append(.set(.stepPunctuation), .isolated, in: field)
    case "CharDelimiterSplit":
      try field.refuseMembers(besides: ["type", "delimiter"])
      let delimiter = String(decoding: try field.member("delimiter").scalar(), as: UTF8.self)
      try append(.set(ScalarSet(delimiter)), .removed, in: field)
    case "FixedLength":
      try field.refuseMembers(besides: ["type", "length"])
      let length = try field.member("length")
      guard try length.count() > 0 else { throw length.unsupported() }
      append(.fixedLength(try length.int()))
    default: throw field.unsupported()
    }
  }

  private mutating func appendSplit(_ field: TokenizerField) throws(TokenizerError) {
    try field.refuseMembers(besides: ["type", "pattern", "behavior", "invert"])
    let isInverted = try field.bool("invert", default: false)
    let behavior = try field.member("behavior").splitBehavior()
    let pattern = try field.member("pattern")
    try pattern.refuseMembers(besides: ["Regex", "String"])
    if let text = pattern.optional("String") {
      try append(.literal(text.string()), behavior, isInverted: isInverted, in: field)
      return
    }
    let expression = try pattern.member("Regex").string()
    if let known = WordPattern(regularExpression: expression), behavior == .isolated, !isInverted {
      append(.words(known))
      return
    }
    do {
      append(.split(Split(try RegularExpression(expression), behavior, isInverted: isInverted)))
    } catch {
      throw .unsupportedPattern(path: field.path, pattern: expression, problem: error.problem)
    }
  }

  /// Adds a split by an expression that is given as a tree.
  private mutating func append(
    _ node: RegularExpressionNode, _ behavior: Split.Behavior, isInverted: Bool = false,
    in field: TokenizerField
  ) throws(TokenizerError) {
    do {
      append(.split(Split(try RegularExpression(node), behavior, isInverted: isInverted)))
    } catch {
      throw .unsupportedPattern(path: field.path, pattern: field.name, problem: error.problem)
    }
  }

  private mutating func appendByteLevel(
    _ field: TokenizerField, addsPrefixSpace: Bool?
  ) throws(TokenizerError) {
    try field.refuseMembers(besides: ["type", "add_prefix_space", "trim_offsets", "use_regex"])
    let ownSetting = try field.bool("add_prefix_space", default: true)
    if addsPrefixSpace ?? ownSetting { append(.prefixSpace) }
    if try field.bool("use_regex", default: true) { append(.words(.gpt2)) }
  }
}

extension TokenizerField {
  /// What a split does with its matches.
  fileprivate func splitBehavior() throws(TokenizerError) -> Split.Behavior {
    guard let behavior = Split.Behavior(rawValue: try string()) else { throw unsupported() }
    return behavior
  }
}

extension PreTokenizer.Metaspace {
  /// Reads a `Metaspace`, whose prefix is given by `prepend_scheme` or, in older files, by
  /// `add_prefix_space`.
  init(_ field: TokenizerField) throws(TokenizerError) {
    try field.refuseMembers(besides: [
      "type", "replacement", "prepend_scheme", "add_prefix_space", "split", "str_rep",
    ])
    replacement = try field.member("replacement").scalar()
    splits = try field.bool("split", default: true)
    let addsPrefixSpace = try field.bool("add_prefix_space", default: true)
    guard let scheme = field.optional("prepend_scheme") else {
      prefix = addsPrefixSpace ? .always : .never
      return
    }
    guard let prefix = Prefix(rawValue: try scheme.string()), addsPrefixSpace || prefix == .never
    else { throw scheme.unsupported() }
    self.prefix = prefix
  }
}
