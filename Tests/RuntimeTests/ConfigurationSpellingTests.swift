import DuetRuntime
import DuetSystem
import DuetText
import Foundation
import TestSupport
import Testing

/// Fields of config.json in the spellings that are published, with the values that transformers 5.24 reads.
@Suite("Spellings of configurations")
struct ConfigurationSpellingTests {
  private func read(_ json: String) throws(ConfigurationError) -> Configuration {
    try Configuration(parsing: Array(json.utf8), path: "c")
  }

  private func read(llama members: String) throws(ConfigurationError) -> Configuration {
    try read(#"{"model_type":"llama",\#(members)}"#)
  }

  /// The values of transformers 5.24, which keeps the base in either object.
  @Test(
    "the base of RoPE is read wherever it is",
    arguments: [
      (#""rope_theta":500000"#, 500_000),
      (#""rope_scaling":{"rope_type":"default","rope_theta":500000.0}"#, 500_000),
      (#""rope_scaling":{"rope_theta":500000}"#, 500_000),
      (#""rope_parameters":{"rope_theta":1000000.0,"rope_type":"default"}"#, 1_000_000),
      (#""rope_scaling":{"type":"linear","factor":2,"rope_theta":7e4}"#, 70_000),
      (
        #""rope_theta":5e5,"rope_scaling":{"type":"linear","factor":2,"rope_theta":500000}"#,
        500_000
      ),
      (#""rope_scaling":{}"#, 10_000), (#""rope_parameters":null"#, 10_000),
    ] as [(String, Double)])
  func readsTheBase(members: String, base: Double) throws {
    #expect(try read(llama: members).rotaryBase == base)
  }

  @Test("YaRN is read with the defaults of transformers")
  func readsYaRN() throws {
    // The section that Qwen2.5's model card gives. 0.1 ln(4) + 1 = 1.1386294361119891.
    let published =
      #""rope_scaling":{"type":"yarn","factor":4.0,"original_max_position_embeddings":32768}"#
    let scaling = Configuration.RotaryScaling.yarn(
      factor: 4, attentionFactor: 1.1386294361119891, fastTurns: 32, slowTurns: 1,
      originalContextLength: 32768, roundsBounds: true)
    #expect(try read(llama: published).rotaryScaling == scaling)
    let factor = #""factor":4"#
    for members in [
      #""max_position_embeddings":32768,"rope_parameters":{"rope_type":"yarn",\#(factor)}"#,
      #""original_max_position_embeddings":32768.0,"rope_scaling":{"type":"yarn",\#(factor)}"#,
      #""max_position_embeddings":131072,"rope_scaling":{"type":"yarn","factor":null,"original_max_position_embeddings":32768}"#,
    ] { #expect(try read(llama: members).rotaryScaling == scaling) }
    let all = try read(
      llama: """
        "rope_scaling":{"type":"yarn","factor":8,"original_max_position_embeddings":256,"beta_fast":16,
        "beta_slow":2,"truncate":false,"attention_factor":1.25,"mscale":1,"mscale_all_dim":0.5}
        """)
    #expect(
      all.rotaryScaling
        == .yarn(
          factor: 8, attentionFactor: 1.25, fastTurns: 16, slowTurns: 2,
          originalContextLength: 256, roundsBounds: false))
  }

  /// The values that transformers 5.24 computes, `_compute_yarn_parameters`.
  @Test(
    "YaRN's attention factor follows from the factor and both scales, and zeros are absent",
    arguments: [
      (#""mscale":1,"mscale_all_dim":0.5"#, 1.094179988101349, 32, 1),
      (#""mscale":0.707,"mscale_all_dim":0.707"#, 1, 32, 1),
      (#""mscale":2"#, 1.2079441541679836, 32, 1),
      (#""mscale_all_dim":2"#, 1.2079441541679836, 32, 1),
      (#""mscale":0,"mscale_all_dim":0"#, 1.2079441541679836, 32, 1),
      (#""beta_slow":0"#, 1.2079441541679836, 32, 1),
      (#""beta_fast":0,"beta_slow":3"#, 1.2079441541679836, 32, 3),
    ] as [(String, Double, Double, Double)])
  func readsYaRNsFactors(members: String, attention: Double, fast: Double, slow: Double) throws {
    let scaling = try read(
      llama: """
        "rope_scaling":{"type":"yarn","factor":8,"original_max_position_embeddings":256,\(members)}
        """
    ).rotaryScaling
    guard
      case .yarn(8, let actual, let actualFast, let actualSlow, originalContextLength: 256, true) =
        scaling
    else {
      Issue.record("\(scaling)")
      return
    }
    // A few roundings of numbers near 1.
    #expect(abs(actual - attention) < 1e-14)
    #expect(actualFast == fast && actualSlow == slow)
  }

  @Test("of two lengths before the extension the one at the top counts, as in transformers")
  func prefersTheOuterLength() throws {
    let length = #""original_max_position_embeddings""#
    for type in [
      #""type":"yarn""#, #""type":"llama3","low_freq_factor":1,"high_freq_factor":4"#,
    ] {
      let scaling = #""rope_scaling":{\#(type),"factor":4,\#(length):256}"#
      let both = try read(llama: "\(length):128,\(scaling)").rotaryScaling
      let outer = try read(
        llama: "\(length):128," + scaling.replacing(",\(length):256", with: "")
      ).rotaryScaling
      #expect(try both == outer && both != read(llama: scaling).rotaryScaling)
    }
  }

  @Test("YaRN's slow turns are at most the fast ones")
  func refusesTurnsInTheWrongOrder() throws {
    func yarn(_ fast: Int, _ slow: Int) throws(ConfigurationError) -> Configuration {
      let turns = #""beta_fast":\#(fast),"beta_slow":\#(slow)"#
      return try read(llama: #""rope_scaling":{"type":"yarn","factor":4,\#(turns)}"#)
    }
    #expect(
      throws: ConfigurationError.outOfRange(
        path: "c", key: "rope_scaling.beta_fast", value: "1.0",
        allowed: "at least \"beta_slow\" (2.0)")
    ) { try yarn(1, 2) }
    #expect(throws: Never.self) { try yarn(2, 2) }
  }

  @Test("the configurations of Qwen2 and Qwen2.5 are read")
  func readsQwen2() throws {
    func qwen2(_ members: String) throws -> Configuration {
      try read(#"{"model_type":"qwen2"\#(members.isEmpty ? "" : ",")\#(members)}"#)
    }
    // The defaults of Qwen2Config in transformers 5.24.
    let defaults = try qwen2("")
    #expect(defaults.vocabularySize == 151_936 && defaults.intermediateSize == 22_016)
    #expect(defaults.contextLength == 32_768 && defaults.keyValueHeadCount == 32)
    #expect(defaults.beginningOfSequence == nil && defaults.endOfSequence == [])
    #expect(defaults.rotaryBase == 10_000 && defaults.normEpsilon == 1e-6)
    #expect(!defaults.tiesEmbeddings && defaults.slidingWindow == nil)
    // Qwen2.5-0.5B-Instruct, as it is published.
    let published = try qwen2(
      """
      "architectures":["Qwen2ForCausalLM"],"attention_dropout":0.0,"bos_token_id":151643,
      "eos_token_id":151645,"hidden_act":"silu","hidden_size":896,"initializer_range":0.02,
      "intermediate_size":4864,"max_position_embeddings":32768,"max_window_layers":21,
      "num_attention_heads":14,"num_hidden_layers":24,"num_key_value_heads":2,"rms_norm_eps":1e-06,
      "rope_theta":1000000.0,"sliding_window":32768,"tie_word_embeddings":true,
      "torch_dtype":"bfloat16","use_cache":true,"use_sliding_window":false,"vocab_size":151936
      """)
    #expect(published.architecture == .qwen2 && published.headSize == 64)
    #expect(published.hasAttentionBias && !published.hasAttentionOutputBias)
    #expect(!published.hasFeedForwardBias && published.slidingWindow == nil)
    #expect(published.tiesEmbeddings && published.endOfSequence == [151645])
    // A window in all layers, in none, and in some.
    let window = #""use_sliding_window":true,"sliding_window":64,"num_hidden_layers":4"#
    #expect(try qwen2(window + #","max_window_layers":0"#).slidingWindow == 64)
    #expect(try qwen2(window + #","max_window_layers":4"#).slidingWindow == nil)
    #expect(try qwen2(window).slidingWindow == nil)
    let (full, sliding) = (#""full_attention""#, #""sliding_attention""#)
    #expect(try qwen2(window + #","layer_types":[\#(full),\#(full)]"#).slidingWindow == nil)
    #expect(try qwen2(window + #","layer_types":[\#(sliding),\#(sliding)]"#).slidingWindow == 64)
    for some in [#""max_window_layers":3"#, #""layer_types":[\#(full),\#(sliding)]"#] {
      #expect(throws: ConfigurationError.self) { try qwen2(window + "," + some) }
    }
  }

  @Test("integers written as floats are integers", arguments: ConfigurationTests.dimensions)
  func takesIntegersWrittenAsFloats(key: String) throws {
    func read(_ value: String) throws -> Configuration {
      // As many heads as there may be key-value heads, and a head size that is even with 64 channels.
      var members = ["hidden_size": "4096", "num_attention_heads": "32"]
      members[key] = value
      if key == "num_key_value_heads" { members["num_attention_heads"] = "64" }
      let text = members.map { "\"\($0.key)\":\($0.value)" }.joined(separator: ",")
      return try self.read(#"{"model_type":"mistral",\#(text)}"#)
    }
    #expect(try read("64.0") == read("64"))
    #expect(try read("6.4e1") == read("64"))
    #expect(throws: ConfigurationError.wrongType(path: "c", key: key, expected: "an integer")) {
      try read("64.5")
    }
  }

  @Test("ids and lengths of RoPE may be written as floats too")
  func takesOtherIntegersWrittenAsFloats() throws {
    let configuration = try read(
      llama: """
        "bos_token_id":1.0,"eos_token_id":[2.0,3],"rope_scaling":{"rope_type":"llama3","factor":8.0,
        "low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":64.0}
        """)
    #expect(configuration.beginningOfSequence == 1 && configuration.endOfSequence == [2, 3])
    #expect(
      configuration.rotaryScaling
        == .llama3(
          factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalContextLength: 64))
  }
}
