import DuetRuntime
import Testing

/// The shapes of published models, which are known by name.
@Suite("Presets of configurations")
struct ConfigurationPresetTests {
  @Test("presets are consistent, and Llama-2-7B has its number of weights")
  func hasPresets() throws {
    for name in Configuration.presetNames {
      let preset = try #require(Configuration.preset(named: name))
      #expect(preset.headCount % preset.keyValueHeadCount == 0)
      #expect(preset.headSize == 128)
    }
    #expect(Configuration.preset(named: "gpt-2") == nil)
    // 4096 * 11008 * 3 + 4096 * 4096 * 4 weights per layer make the 6.7e9 of Llama-2-7B.
    let llama = try #require(Configuration.preset(named: "llama-2-7b"))
    let perLayer = llama.hiddenSize * (3 * llama.intermediateSize + 4 * llama.queryWidth)
    #expect(
      llama.layerCount * perLayer + 2 * llama.vocabularySize * llama.hiddenSize + 65 * 4096
        == 6_738_415_616)
  }
}
