import DuetCommandLine
import DuetRuntime
import DuetSystem
import DuetText

/// The task given by the arguments: a text to tokenize and the form of the output.
struct TokenizeTask {
  private enum Source {
    case text(String)
    case file(String)
    case lines(String)
  }

  private let source: Source
  private let addsSpecialTokens: Bool
  private let isJSON: Bool

  /// Reads the arguments; exactly one source of text must be given.
  init(_ arguments: Arguments) throws(UsageError) {
    var sources: [Source] = []
    if let text = arguments[prompt] { sources.append(.text(text)) }
    if let path = arguments[file] { sources.append(.file(path)) }
    if let path = arguments[lines] { sources.append(.lines(path)) }
    guard sources.count == 1, let source = sources.first else {
      throw .conflict(
        sources.isEmpty
          ? "one of --prompt, --file and --jsonl is required; see --help"
          : "only one of --prompt, --file and --jsonl can be given")
    }
    if case .lines = source, arguments[CommonOptions.json] {
      throw .conflict("--jsonl prints JSON lines by itself; leave out --json")
    }
    self.source = source
    addsSpecialTokens = !arguments[withoutSpecial]
    isJSON = arguments[CommonOptions.json]
  }

  /// What the text is, for messages.
  var name: String {
    switch source {
    case .text: "--prompt"
    case .file(let path), .lines(let path): path == "-" ? "standard input" : path
    }
  }

  /// Reads the text and prints its tokens.
  func run(_ tokenizer: Tokenizer, output: StandardOutput) throws {
    switch source {
    case .text(let text):
      try print(tokenizer.encode(text, addingSpecialTokens: addsSpecialTokens), tokenizer, output)
    case .file(let path):
      let bytes = try readInput(path)
      if let offset = offsetOfInvalidUTF8(in: bytes) {
        throw TokenizeError.notUTF8(path: path, offset: offset)
      }
      let ids = tokenizer.encode(utf8: bytes, addingSpecialTokens: addsSpecialTokens)
      try print(ids, tokenizer, output)
    case .lines(let path): try printLines(of: path, tokenizer, output)
    }
  }

  /// Prints ids with their pieces.
  private func print(_ ids: [Int], _ tokenizer: Tokenizer, _ output: StandardOutput) throws {
    if isJSON {
      let pieces = ids.map { String(decoding: tokenizer.piece($0) ?? [], as: UTF8.self) }
      try output.write([
        "ids": .array(ids.map { .integer($0) }), "pieces": .array(pieces.map { .string($0) }),
      ])
      return
    }
    for id in ids {
      // Pieces are written as JSON, so that quotes and control characters in them are escaped.
      let piece = JSONOutput.string(String(decoding: tokenizer.piece(id) ?? [], as: UTF8.self))
      try output.writeLine("\(id)  \(piece.text)")
    }
  }

  /// Prints ids and decoded text for each line of a file of JSON objects.
  private func printLines(
    of path: String, _ tokenizer: Tokenizer, _ output: StandardOutput
  ) throws {
    let bytes = try readInput(path)
    var start = 0
    var number = 1
    while start < bytes.count {
      let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
      let line = Array(bytes[start..<end])
      if !line.allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }) {
        try printLine(line, number: number, path: path, tokenizer, output)
      }
      start = end + 1
      number += 1
    }
  }

  private func printLine(
    _ line: [UInt8], number: Int, path: String, _ tokenizer: Tokenizer, _ output: StandardOutput
  ) throws {
    let place = "\(path), line \(number)"
    let document = try JSONDocument(
      parsing: line, path: place, limits: JSONLimits(byteCount: inputLimit))
    guard let text = document.root["text"]?.utf8 else {
      throw TokenizeError.noText(path: path, line: number)
    }
    // The tokens that the post-processor adds are not part of the text.
    let own = tokenizer.encode(utf8: text, addingSpecialTokens: false)
    let ids = addsSpecialTokens ? tokenizer.addingSpecialTokens(to: own) : own
    try output.write([
      "ids": .array(ids.map { .integer($0) }), "decoded": .string(tokenizer.decode(own)),
    ])
  }
}
