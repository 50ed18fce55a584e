extension Configuration {
  /// The names that `preset(named:)` knows, in a fixed order.
  public static let presetNames = [
    "llama-2-7b", "llama-2-13b", "llama-2-70b", "llama-3-8b", "mistral-7b",
  ]

  /// The shape of a published model, for benchmarks without its weights.
  public static func preset(named name: String) -> Configuration? {
    switch name {
    case "llama-2-7b":
      Configuration(
        hiddenSize: 4096, intermediateSize: 11008, layerCount: 32, headCount: 32,
        vocabularySize: 32000, contextLength: 4096)
    case "llama-2-13b":
      Configuration(
        hiddenSize: 5120, intermediateSize: 13824, layerCount: 40, headCount: 40,
        vocabularySize: 32000, contextLength: 4096)
    case "llama-2-70b":
      Configuration(
        hiddenSize: 8192, intermediateSize: 28672, layerCount: 80, headCount: 64,
        keyValueHeadCount: 8, vocabularySize: 32000, contextLength: 4096)
    case "llama-3-8b":
      Configuration(
        hiddenSize: 4096, intermediateSize: 14336, layerCount: 32, headCount: 32,
        keyValueHeadCount: 8, vocabularySize: 128256, rotaryBase: 500_000, contextLength: 8192,
        beginningOfSequence: 128000, endOfSequence: [128001])
    case "mistral-7b":
      Configuration(
        architecture: .mistral, hiddenSize: 4096, intermediateSize: 14336, layerCount: 32,
        headCount: 32, keyValueHeadCount: 8, vocabularySize: 32000, contextLength: 32768,
        slidingWindow: 4096)
    default: nil
    }
  }
}
