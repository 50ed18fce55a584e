import DuetRuntime
import TestSupport
import Testing

@Suite("Generation configuration")
struct GenerationConfigurationTests {
  @Test("generation_config.json is read, and wrong values refused")
  func readsGenerationConfigurations() throws {
    func read(_ json: String) throws -> GenerationConfiguration {
      try GenerationConfiguration(parsing: Array(json.utf8), path: "g")
    }
    #expect(try read("{}") == GenerationConfiguration())
    let full = try read(
      """
      {"bos_token_id": 128000, "do_sample": true, "eos_token_id": [128001, 128009],
      "temperature": 0.6, "top_p": 0.9, "top_k": 50, "min_p": 0.05, "repetition_penalty": 1.1}
      """)
    #expect(full.endOfSequence == [128001, 128009])
    #expect(full.beginningOfSequence == 128000)
    #expect(full.samples == true)
    #expect(full.temperature == 0.6)
    #expect(full.topP == 0.9)
    #expect(full.topK == 50)
    #expect(full.minP == 0.05)
    #expect(full.repetitionPenalty == 1.1)
    #expect(try read(#"{"eos_token_id": 2}"#).endOfSequence == [2])
    for (key, value) in [
      ("temperature", "-1"), ("temperature", "\"hot\""), ("top_p", "1.5"), ("top_k", "-2"),
      ("top_k", "1.5"), ("repetition_penalty", "0"), ("do_sample", "1"), ("eos_token_id", "\"x\""),
    ] {
      #expect(throws: ConfigurationError.self) { try read("{\"\(key)\":\(value)}") }
    }
  }

  @Test("every spelling of no limit is read")
  func readsNoLimits() throws {
    // transformers writes 0 for all tokens, vLLM -1.
    let file = try GenerationConfiguration(
      parsing: Array(
        #"{"top_k":-1,"top_p":1.0,"min_p":0,"temperature":0.0,"eos_token_id":2.0}"#.utf8), path: "g"
    )
    #expect(file.topK == 0 && file.topP == 1 && file.minP == 0 && file.temperature == 0)
    #expect(file.endOfSequence == [2])
    for (text, value) in [("0", 0), ("-1.0", 0), ("50.0", 50)] {
      let file = try GenerationConfiguration(
        parsing: Array("{\"top_k\":\(text)}".utf8), path: "g")
      #expect(file.topK == value)
    }
  }

  @Test("a model needs no generation_config.json")
  func doesNotNeedAGenerationConfiguration() throws {
    let folder = try TemporaryFolder()
    #expect(try GenerationConfiguration(folder: folder.path) == GenerationConfiguration())
    try folder.write("generation_config.json", #"{"top_k": 7}"#)
    #expect(try GenerationConfiguration(folder: folder.path).topK == 7)
    try folder.write("generation_config.json", "{")
    #expect(throws: ConfigurationError.self) { try GenerationConfiguration(folder: folder.path) }
  }
}
