package import DuetText
package import Foundation

extension TemporaryFolder {
  /// Copies a file into the folder under its own name.
  package func copy(_ source: String) throws {
    let name = (source as NSString).lastPathComponent
    try write(name, Array(Data(contentsOf: URL(fileURLWithPath: source))))
  }
}

/// Small tokenizers, as the contents of a tokenizer.json.
package enum TokenizerFixture {
  /// A JSON object that can be changed before it is written.
  package typealias Object = [String: Any]

  /// A SentencePiece-like tokenizer.json with byte fallback: 3 special tokens, 256 bytes, 9 pieces.
  package static func sentencePiece() -> Object {
    var vocabulary: Object = ["<unk>": 0, "<s>": 1, "</s>": 2]
    for byte in 0..<256 { vocabulary[String(format: "<0x%02X>", byte)] = 3 + byte }
    let pieces = ["\u{2581}", "a", "b", "c", "ab", "abc", "\u{2581}a", "\u{2581}ab", "aa"]
    for (index, piece) in pieces.enumerated() { vocabulary[piece] = 259 + index }
    let mark: Object = ["type": "Replace", "pattern": ["String": " "], "content": "\u{2581}"]
    let unmark: Object = ["type": "Replace", "pattern": ["String": "\u{2581}"], "content": " "]
    return [
      "version": "1.0", "truncation": NSNull(), "padding": NSNull(),
      "added_tokens": ["<unk>", "<s>", "</s>"].enumerated().map(specialToken),
      "normalizer": [
        "type": "Sequence",
        "normalizers": [["type": "Prepend", "prepend": "\u{2581}"], mark],
      ],
      "pre_tokenizer": NSNull(),
      "post_processor": [
        "type": "TemplateProcessing",
        "single": [
          ["SpecialToken": ["id": "<s>", "type_id": 0]],
          ["Sequence": ["id": "A", "type_id": 0]],
        ],
        "pair": [Any](),
        "special_tokens": ["<s>": ["id": "<s>", "ids": [1], "tokens": ["<s>"]]],
      ],
      "decoder": [
        "type": "Sequence",
        "decoders": [
          unmark, ["type": "ByteFallback"], ["type": "Fuse"],
          ["type": "Strip", "content": " ", "start": 1, "stop": 0],
        ],
      ],
      "model": [
        "type": "BPE", "dropout": NSNull(), "unk_token": "<unk>", "fuse_unk": true,
        "byte_fallback": true, "ignore_merges": false, "vocab": vocabulary,
        "merges": ["a b", "ab c", "\u{2581} a", "\u{2581} ab", "\u{2581}a b", "a a"],
      ],
    ]
  }

  /// An entry of `added_tokens`.
  package static func specialToken(_ id: Int, _ content: String) -> Object {
    [
      "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
      "normalized": false, "special": true,
    ]
  }

  /// A byte-level tokenizer.json with the 256 bytes and a merge of "h" and "i".
  package static func byteLevel(pattern: String) -> Object {
    var vocabulary: Object = ["hi": 256]
    var next = 256
    for byte in 0..<256 {
      let isPlain =
        (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte) || byte >= 0xAE
      let value = isPlain ? byte : next
      if !isPlain { next += 1 }
      vocabulary[String(Character(Unicode.Scalar(UInt16(value)) ?? " "))] = byte
    }
    let byteLevel: Object = [
      "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false,
    ]
    return [
      "version": "1.0", "added_tokens": [specialToken(257, "<|end|>")],
      "normalizer": NSNull(),
      "pre_tokenizer": [
        "type": "Sequence",
        "pretokenizers": [
          [
            "type": "Split", "pattern": ["Regex": pattern], "behavior": "Isolated",
            "invert": false,
          ], byteLevel,
        ],
      ],
      "post_processor": NSNull(), "decoder": byteLevel,
      "model": ["type": "BPE", "ignore_merges": true, "vocab": vocabulary, "merges": ["h i"]],
    ]
  }

  /// The tokenizer of a tokenizer.json with these contents.
  package static func tokenizer(_ object: Object) throws -> Tokenizer {
    try tokenizer(JSONSerialization.data(withJSONObject: object))
  }

  /// The tokenizer of a tokenizer.json with these bytes.
  package static func tokenizer(_ data: Data) throws -> Tokenizer {
    let folder = try TemporaryFolder()
    try folder.write("tokenizer.json", Array(data))
    return try Tokenizer(contentsOf: folder.path)
  }
}
