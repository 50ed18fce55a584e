import DuetText
import Foundation

extension HostileKind {
  /// The good inputs that mutations start from, in a fixed order.
  package func examples() throws -> [[UInt8]] {
    switch self {
    case .header: Self.headers
    case .json: [Array(Self.jsonText.utf8)] + Self.configurations
    case .tokenizer: try Self.tokenizers()
    case .sentencepiece: [Self.sentencePieceFile]
    case .template: try Self.templates()
    case .configuration: Self.configurations
    case .index: Self.indexes
    case .packed: try CompressedFolders.examples()
    case .session: try SavedSessions().examples()
    }
  }

  private static let headers: [[UInt8]] = [
    (
      #"{"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"#
        + #""b":{"dtype":"BF16","shape":[4],"data_offsets":[24,32]},"__metadata__":{"format":"pt"},"#
        + #""c":{"dtype":"F4","shape":[0,18,2],"data_offsets":[32,32]}}"#, 32
    ),
    (#"{"w":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}       "#, 1),
    (#"{"__metadata__":{}}"#, 0),
    (
      #"{"é\n":{"shape":[1,0],"data_offsets":[0,0],"dtype":"I64"},"#
        + #""x":{"dtype":"F6_E2M3","shape":[4],"data_offsets":[0,3],"extra":[{}]}}"#, 3
    ),
  ].map { safeTensorsBytes(header: $0.0, dataBytes: $0.1) }

  private static let jsonText =
    #"{"a":[1,-2.5e1,true,false,null,"x\u00e9\ud83d\ude00\n"],"b":{"c":{}},"é":[[],[0]]}"#

  private static let configurations: [[UInt8]] = [
    """
    {"bos_token_id":1,"eos_token_id":[2,3],"head_dim":64,"hidden_size":2048,"hidden_act":"silu",
    "intermediate_size":8192,"max_position_embeddings":131072,"model_type":"mistral",
    "num_attention_heads":32,"num_hidden_layers":16,"num_key_value_heads":8,"rms_norm_eps":1e-05,
    "rope_scaling":{"factor":32.0,"low_freq_factor":1,"high_freq_factor":4,"rope_type":"llama3",
    "original_max_position_embeddings":8192},"rope_theta":500000,"sliding_window":4096,
    "tie_word_embeddings":true,"torch_dtype":"bfloat16","vocab_size":128256}
    """,
    """
    {"model_type":"llama","quantization_config":{"quant_method":"duet","format_version":1,
    "format":"e8p","group_size":"row","rank":64,"lr_format":"int4","incoherence":"both",
    "module_ranks":{"model.layers.0.mlp.up_proj":3}},"temperature":0.6,"top_k":50,"top_p":0.9}
    """,
  ].map { Array($0.utf8) }

  private static let indexes: [[UInt8]] = [
    #"{"metadata":{"total_size":4},"weight_map":{"a":"a.safetensors","b":"b.safetensors"}}"#,
    #"{"weight_map":{"a":"a.safetensors"}}"#,
  ].map { Array($0.utf8) }

  private static func tokenizers() throws -> [[UInt8]] {
    // Sorted, so that the same number means the same case everywhere.
    try [
      TokenizerFixture.sentencePiece(),
      TokenizerFixture.byteLevel(pattern: WordPattern.llama3.regularExpression),
    ].map { Array(try JSONSerialization.data(withJSONObject: $0, options: .sortedKeys)) }
  }

  private static func templates() throws -> [[UInt8]] {
    let folder = SharedData.project("Tests/Golden/templates/sources")
    let names = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
    return try names.map { Array(try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\($0)"))) }
      + ChatTemplateFamily.allCases.map { Array($0.source.utf8) }
  }

  /// A SentencePiece model of an unknown piece, 2 control pieces, 256 bytes and some words.
  private static let sentencePieceFile: [UInt8] = {
    func varint(_ value: Int) -> [UInt8] {
      value < 128 ? [UInt8(value)] : [UInt8(value & 127) | 128] + varint(value >> 7)
    }
    func field(_ number: Int, _ bytes: [UInt8]) -> [UInt8] {
      varint(number << 3 | 2) + varint(bytes.count) + bytes
    }
    /// Type 1 is normal, 2 unknown, 3 control, 6 a byte.
    func piece(_ text: String, score: Float, type: Int) -> [UInt8] {
      let bits = (0..<4).map { UInt8(truncatingIfNeeded: score.bitPattern >> (8 * UInt32($0))) }
      return field(1, field(1, Array(text.utf8)) + [0x15] + bits + [0x18] + varint(type))
    }
    var bytes = piece("<unk>", score: 0, type: 2)
    bytes += piece("<s>", score: 0, type: 3) + piece("</s>", score: 0, type: 3)
    for byte in 0..<256 { bytes += piece(String(format: "<0x%02X>", byte), score: 0, type: 6) }
    for (index, text) in ["\u{2581}", "a", "b", "c", "ab", "abc", "\u{2581}a", "aa"].enumerated() {
      bytes += piece(text, score: -Float(index), type: 1)
    }
    // Trainer: model_type 2 (BPE), byte_fallback. Normalizer: add_dummy_prefix, no whitespace removed.
    bytes += field(2, [0x18, 2, 0x98, 0x02, 1])
    bytes += field(3, field(1, Array("identity".utf8)) + [0x18, 1, 0x20, 0, 0x28, 1])
    return bytes
  }()
}
