import DuetRuntime
import DuetSystem
import DuetText
import TestSupport
import Testing

@Suite("Configuration")
struct ConfigurationTests {
  private func read(_ json: String) throws(ConfigurationError) -> Configuration {
    try Configuration(parsing: Array(json.utf8), path: "c")
  }

  private func read(llama members: String) throws(ConfigurationError) -> Configuration {
    try read(#"{"model_type":"llama",\#(members)}"#)
  }

  private func refusal(_ json: String) -> ConfigurationError? {
    do throws(ConfigurationError) {
      _ = try read(json)
      return nil
    } catch {
      return error
    }
  }

  // MARK: - Defaults and published values

  @Test("what a Llama does not say is as in Llama-7B")
  func defaultsToLlama7B() throws {
    let expected = Configuration(
      hiddenSize: 4096, intermediateSize: 11008, layerCount: 32, headCount: 32,
      vocabularySize: 32000, normEpsilon: 1e-6, contextLength: 2048)
    #expect(try read(#"{"model_type":"llama"}"#) == expected)
    #expect(expected.keyValueHeadCount == 32)
    #expect(expected.headSize == 128)
  }

  @Test("what a Mistral does not say is as in Mistral-7B")
  func defaultsToMistral7B() throws {
    let expected = Configuration(
      architecture: .mistral, hiddenSize: 4096, intermediateSize: 14336, layerCount: 32,
      headCount: 32, keyValueHeadCount: 8, vocabularySize: 32000, normEpsilon: 1e-6,
      contextLength: 131072, slidingWindow: 4096)
    #expect(try read(#"{"model_type":"mistral"}"#) == expected)
  }

  @Test("null is not the same as absent")
  func distinguishesNullFromAbsent() throws {
    let mistral = try read(
      #"{"model_type":"mistral","sliding_window":null,"num_key_value_heads":null}"#)
    #expect(mistral.slidingWindow == nil)
    #expect(mistral.keyValueHeadCount == 32)
    let llama = try read(
      llama:
        #""num_attention_heads":8,"num_key_value_heads":null,"head_dim":null,"bos_token_id":null,"#
        + #""eos_token_id":null,"rope_scaling":null,"hidden_size":null,"quantization_config":null"#)
    #expect(llama.keyValueHeadCount == 8)
    #expect(llama.headSize == 512)
    #expect(llama.beginningOfSequence == nil)
    #expect(llama.endOfSequence == [])
    #expect(llama.rotaryScaling == .none)
    #expect(llama.hiddenSize == 4096)
  }

  @Test("the configuration of Llama 3.1 is read")
  func readsLlama31() throws {
    let json = """
      {"architectures": ["LlamaForCausalLM"], "attention_bias": false, "bos_token_id": 128000,
      "eos_token_id": [128001, 128008, 128009], "hidden_act": "silu", "hidden_size": 4096,
      "intermediate_size": 14336, "max_position_embeddings": 131072, "mlp_bias": false,
      "model_type": "llama", "num_attention_heads": 32, "num_hidden_layers": 32,
      "num_key_value_heads": 8, "pretraining_tp": 2, "rms_norm_eps": 1e-05, "rope_scaling":
      {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
      "original_max_position_embeddings": 8192, "rope_type": "llama3"}, "rope_theta": 500000.0,
      "tie_word_embeddings": false, "torch_dtype": "bfloat16", "vocab_size": 128256}
      """
    let expected = Configuration(
      hiddenSize: 4096, intermediateSize: 14336, layerCount: 32, headCount: 32,
      keyValueHeadCount: 8, headSize: 128, vocabularySize: 128256, rotaryBase: 500_000,
      rotaryScaling: .llama3(
        factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalContextLength: 8192),
      normEpsilon: 1e-5, contextLength: 131072, beginningOfSequence: 128000,
      endOfSequence: [128001, 128008, 128009])
    #expect(try read(json) == expected)
    #expect(expected.queriesPerKeyValueHead == 4)
    #expect(expected.queryWidth == 4096)
    #expect(expected.keyValueWidth == 1024)
  }

  @Test("the configuration of Llama 3.2 is read in the new spelling")
  func readsLlama32InTheNewSpelling() throws {
    let json = """
      {"dtype": "bfloat16", "head_dim": 64, "hidden_size": 2048, "intermediate_size": 8192,
      "max_position_embeddings": 131072, "model_type": "llama", "num_attention_heads": 32,
      "num_hidden_layers": 16, "num_key_value_heads": 8, "rms_norm_eps": 1e-05, "rope_parameters":
      {"factor": 32.0, "low_freq_factor": 1, "high_freq_factor": 4,
      "original_max_position_embeddings": 8192, "rope_type": "llama3", "rope_theta": 500000},
      "tie_word_embeddings": true, "vocab_size": 128256, "attention_bias": true, "mlp_bias": true}
      """
    let configuration = try read(json)
    #expect(configuration.rotaryBase == 500_000)
    #expect(
      configuration.rotaryScaling
        == .llama3(
          factor: 32, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalContextLength: 8192))
    #expect(configuration.tiesEmbeddings)
    #expect(configuration.headSize == 64)
    #expect(configuration.hasAttentionBias)
    #expect(configuration.hasFeedForwardBias)
  }

  @Test("the configurations of Mistral's versions are read")
  func readsMistralVersions() throws {
    func mistral(_ rest: String) throws -> Configuration {
      try read(#"{"model_type":"mistral","max_position_embeddings":32768,\#(rest)}"#)
    }
    let first = try mistral(#""sliding_window":4096,"rope_theta":10000.0"#)
    #expect(first.slidingWindow == 4096)
    #expect(first.rotaryBase == 10_000)
    let second = try mistral(#""sliding_window":null,"rope_theta":1000000.0,"attention_bias":true"#)
    #expect(second.slidingWindow == nil)
    #expect(second.rotaryBase == 1_000_000)
    #expect(second.contextLength == 32768)
    #expect(!second.hasAttentionBias)
  }

  @Test(
    "both spellings of RoPE scaling are read",
    arguments: [
      (#""rope_scaling":{"type":"linear","factor":2}"#, .linear(factor: 2)),
      (
        #""rope_scaling":{"rope_type":"linear","type":"linear","factor":2.5}"#, .linear(factor: 2.5)
      ),
      (#""rope_scaling":{"rope_type":"default"}"#, .none),
      (#""rope_parameters":{"rope_type":"linear","factor":4}"#, .linear(factor: 4)),
      (#""rope_parameters":{"rope_theta":10000}"#, .none),
      (#""rope_parameters":{"rope_type":"default"},"rope_scaling":null"#, .none),
      (
        #""rope_theta":5,"rope_parameters":{"rope_theta":5.0},"rope_scaling":{"type":"default"}"#,
        .none
      ),
      (#""head_dim":64,"partial_rotary_factor":1.0"#, .none),
    ] as [(String, Configuration.RotaryScaling)])
  func readsBothSpellings(members: String, scaling: Configuration.RotaryScaling) throws {
    #expect(try read(llama: members).rotaryScaling == scaling)
  }

  @Test("the heads together need not be as wide as the model")
  func allowsHeadsUnlikeTheModelWidth() throws {
    let configuration = try read(
      llama: #""hidden_size":60,"num_attention_heads":8,"head_dim":32,"num_key_value_heads":2"#)
    #expect(configuration.queryWidth == 256)
    #expect(configuration.keyValueWidth == 64)
  }

  // MARK: - Refusals

  @Test("other families of models are refused")
  func refusesOtherFamilies() {
    #expect(
      refusal(#"{"model_type":"qwen3"}"#) == .unsupportedModelType(path: "c", value: "qwen3"))
    #expect(refusal("{}") == .missing(path: "c", key: "model_type"))
    #expect(refusal("[]") == .notAnObject(path: "c"))
    #expect(
      refusal(#"{"model_type":1}"#)
        == .wrongType(path: "c", key: "model_type", expected: "a string"))
    guard case .json(.malformed) = refusal("{") else {
      Issue.record("not refused as JSON")
      return
    }
  }

  @Test(
    "what is not supported or contradicts itself is refused",
    arguments: [
      (#""hidden_act":"gelu""#, .unsupportedActivation(path: "c", value: "gelu")),
      (
        #""rope_scaling":{"type":"longrope","factor":4}"#,
        .unsupportedRotaryType(path: "c", key: "rope_scaling", value: "longrope")
      ),
      (#""rope_scaling":{"type":"yarn"}"#, .missing(path: "c", key: "rope_scaling.factor")),
      (
        #""rope_theta":10000,"rope_scaling":{"rope_theta":500000}"#,
        .conflict(path: "c", key: "rope_theta", otherKey: "rope_scaling.rope_theta")
      ),
      (
        #""rope_scaling":{"type":"default","partial_rotary_factor":0.5}"#,
        .unsupportedValue(
          path: "c", key: "rope_scaling.partial_rotary_factor", value: "0.5", supported: "1")
      ),
      (
        #""rope_parameters":{"rope_type":"dynamic"}"#,
        .unsupportedRotaryType(path: "c", key: "rope_parameters", value: "dynamic")
      ),
      (
        #""num_attention_heads":32,"num_key_value_heads":5"#,
        .headsNotDivisible(path: "c", headCount: 32, keyValueHeadCount: 5)
      ),
      (
        #""num_attention_heads":4,"num_key_value_heads":8"#,
        .headsNotDivisible(path: "c", headCount: 4, keyValueHeadCount: 8)
      ),
      (#""head_dim":63"#, .oddHeadSize(path: "c", headSize: 63)),
      (
        #""hidden_size":96,"num_attention_heads":32"#, .oddHeadSize(path: "c", headSize: 3)
      ),
      (
        #""hidden_size":100,"num_attention_heads":32"#,
        .hiddenSizeNotDivisible(path: "c", hiddenSize: 100, headCount: 32)
      ),
      (
        #""quantization_config":{"quant_method":"gptq","bits":4}"#,
        .unsupportedQuantization(path: "c", method: "gptq")
      ),
      (
        #""quantization_config":{"quant_method":"duet"}"#,
        .missing(path: "c", key: "quantization_config.format_version")
      ),
      (
        #""quantization_config":{"bits":4}"#,
        .unsupportedQuantization(path: "c", method: "an unnamed method")
      ),
      (
        #""rope_theta":10000,"rope_parameters":{"rope_theta":500000}"#,
        .conflict(path: "c", key: "rope_theta", otherKey: "rope_parameters.rope_theta")
      ),
      (
        #""rope_scaling":{"type":"linear","factor":2},"rope_parameters":{"rope_type":"default"}"#,
        .conflict(path: "c", key: "rope_scaling", otherKey: "rope_parameters")
      ),
      (
        #""rope_scaling":{"type":"linear","rope_type":"llama3"}"#,
        .conflict(path: "c", key: "rope_scaling.type", otherKey: "rope_scaling.rope_type")
      ),
      (
        #""torch_dtype":"float16","dtype":"bfloat16""#,
        .conflict(path: "c", key: "torch_dtype", otherKey: "dtype")
      ),
      (
        #""rope_scaling":{"type":"linear"}"#, .missing(path: "c", key: "rope_scaling.factor")
      ),
      (
        #""rope_scaling":{"type":"llama3","factor":8,"low_freq_factor":1,"high_freq_factor":4}"#,
        .missing(path: "c", key: "rope_scaling.original_max_position_embeddings")
      ),
      (
        #""partial_rotary_factor":0.5"#,
        .unsupportedValue(path: "c", key: "partial_rotary_factor", value: "0.5", supported: "1")
      ),
      (
        #""rope_parameters":{"full_attention":{"rope_theta":1}}"#,
        .unsupportedValue(
          path: "c", key: "rope_parameters.full_attention", value: "present",
          supported: "one set of parameters for all layers")
      ),
    ] as [(String, ConfigurationError)])
  func refuses(members: String, error: ConfigurationError) {
    #expect(refusal(#"{"model_type":"llama",\#(members)}"#) == error)
    #expect(error.category == .refusedData)
  }

  static let dimensions = [
    "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "head_dim", "vocab_size", "max_position_embeddings", "sliding_window",
  ]

  @Test(
    "dimensions out of range are refused", arguments: dimensions,
    ["0", "-1", "16777217", "18446744073709551616", "1e400", "1e30"])
  func refusesDimensionsOutOfRange(key: String, value: String) {
    guard
      case .outOfRange("c", key, _, "1 to 16777216") = refusal(
        #"{"model_type":"mistral","\#(key)":\#(value)}"#)
    else {
      Issue.record("\(key) \(value)")
      return
    }
  }

  @Test(
    "dimensions that are not integers are refused", arguments: dimensions,
    ["\"8\"", "8.5", "64.000001", "true", "[8]", "{}"])
  func refusesDimensionsOfWrongType(key: String, value: String) {
    #expect(
      refusal(#"{"model_type":"mistral","\#(key)":\#(value)}"#)
        == .wrongType(path: "c", key: key, expected: "an integer"))
  }

  @Test("heads that are too wide together are refused")
  func refusesHeadsThatAreTooWideTogether() {
    guard
      case .outOfRange("c", "head_dim", _, _) = refusal(
        #"{"model_type":"llama","num_attention_heads":8192,"head_dim":4096,"num_key_value_heads":1}"#
      )
    else {
      Issue.record("not refused")
      return
    }
  }

  @Test(
    "numbers out of range are refused",
    arguments: [
      ("rms_norm_eps", "0"), ("rms_norm_eps", "-1e-5"), ("rms_norm_eps", "2"),
      ("rms_norm_eps", "1e999"), ("rope_theta", "0"), ("rope_theta", "-1"), ("rope_theta", "1e999"),
      ("partial_rotary_factor", "2"), ("bos_token_id", "-1"), ("bos_token_id", "16777216"),
      ("eos_token_id", "-1"), ("eos_token_id", "[2, 16777216]"),
    ])
  func refusesNumbersOutOfRange(key: String, value: String) {
    guard case .outOfRange("c", key, _, _) = refusal(#"{"model_type":"llama","\#(key)":\#(value)}"#)
    else {
      Issue.record("\(key) \(value)")
      return
    }
  }

  @Test(
    "RoPE scaling out of range is refused",
    arguments: [
      ("factor", "0"), ("factor", "-2"), ("factor", "1e999"), ("low_freq_factor", "4"),
      ("high_freq_factor", "0.5"), ("original_max_position_embeddings", "0"),
    ])
  func refusesScalingOutOfRange(key: String, value: String) {
    var members = [
      "factor": "8", "low_freq_factor": "1", "high_freq_factor": "4",
      "original_max_position_embeddings": "8192", "rope_type": "\"llama3\"",
    ]
    members[key] = value
    let scaling = members.map { "\"\($0.key)\":\($0.value)" }.joined(separator: ",")
    guard
      case .outOfRange("c", _, _, _) = refusal(
        #"{"model_type":"llama","rope_scaling":{\#(scaling)}}"#)
    else {
      Issue.record("\(key) \(value)")
      return
    }
  }

  @Test(
    "values of a wrong type are refused",
    arguments: [
      ("rms_norm_eps", "\"1e-5\"", "a number"), ("rope_theta", "true", "a number"),
      ("tie_word_embeddings", "1", "true or false"), ("attention_bias", "\"no\"", "true or false"),
      ("mlp_bias", "[]", "true or false"), ("hidden_act", "1", "a string"),
      ("rope_scaling", "\"linear\"", "an object or null"),
      ("rope_scaling", "2", "an object or null"),
      ("rope_parameters", "[]", "an object or null"),
      ("quantization_config", "\"gptq\"", "an object or null"),
      ("bos_token_id", "[1]", "an integer"),
      ("eos_token_id", "\"</s>\"", "an integer"), ("eos_token_id", "[2,null]", "an integer"),
      ("dtype", "16", "a string"),
    ])
  func refusesWrongTypes(key: String, value: String, expected: String) {
    #expect(
      refusal(#"{"model_type":"llama","\#(key)":\#(value)}"#)
        == .wrongType(path: "c", key: key, expected: expected))
  }

  @Test("messages name the key, its value and what is allowed")
  func namesTheKey() {
    #expect(
      refusal(#"{"model_type":"llama","vocab_size":0}"#)?.description
        == "c: \"vocab_size\" is 0, allowed is 1 to 16777216")
    #expect(
      refusal(#"{"model_type":"gpt\u001b[31m2"}"#)?.description
        == "c: \"model_type\" is \"gpt\\u{1b}[31m2\"; only \"llama\", \"mistral\" and "
        + "\"qwen2\" are supported")
    #expect(
      refusal(#"{"model_type":"llama","quantization_config":{"quant_method":"awq"}}"#)?.description
        == "c: \"quantization_config\" says the weights are quantised by \"awq\", which is not "
        + "supported; use the original checkpoint")
  }

  // MARK: - Mutations

  /// No text traps, and what is accepted keeps its promises.
  @Test("mutated configurations do no harm, and what is accepted is valid", arguments: 0..<20)
  func survivesMutations(seed: Int) {
    var generator = RandomGenerator(seed: UInt64(seed))
    let original = """
      {"bos_token_id":1,"eos_token_id":[2,3],"head_dim":64,"hidden_size":2048,"hidden_act":"silu",
      "intermediate_size":8192,"max_position_embeddings":131072,"model_type":"mistral",
      "num_attention_heads":32,"num_hidden_layers":16,"num_key_value_heads":8,"rms_norm_eps":1e-05,
      "rope_scaling":{"factor":32.0,"low_freq_factor":1,"high_freq_factor":4,"rope_type":"llama3",
      "original_max_position_embeddings":8192},"rope_theta":500000,"sliding_window":4096,
      "tie_word_embeddings":true,"torch_dtype":"bfloat16","vocab_size":128256}
      """
    for _ in 0..<200 {
      let bytes = mutated(Array(original.utf8), using: &generator)
      _ = try? GenerationConfiguration(parsing: bytes, path: "g")
      guard let accepted = try? Configuration(parsing: bytes, path: "c") else { continue }
      #expect(accepted.headSize % 2 == 0)
      #expect(accepted.queriesPerKeyValueHead * accepted.keyValueHeadCount == accepted.headCount)
      #expect((1...(1 << 24)).contains(accepted.queryWidth))
      #expect(accepted.rotaryBase.isFinite && accepted.rotaryBase > 0)
    }
  }
}
