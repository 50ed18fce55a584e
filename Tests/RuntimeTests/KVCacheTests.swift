import DuetRuntime
import TestSupport
import Testing

/// The types of the KV cache, and attention of one token to more keys than a part has.
@Suite("KV cache")
struct KVCacheTests {
  /// Head sizes that no vector divides, with and without grouped heads and windows.
  static let shapes: [(headSize: Int, headCount: Int, keyValueHeadCount: Int, window: Int?)] = [
    (40, 3, 3, nil), (64, 6, 2, nil), (80, 4, 1, 550), (96, 7, 1, nil), (128, 2, 2, 100),
  ]

  private static func model(_ index: Int) throws -> Model {
    let shape = shapes[index]
    var configuration = Configuration(
      hiddenSize: 32, intermediateSize: 16, layerCount: 2, headCount: shape.headCount,
      keyValueHeadCount: shape.keyValueHeadCount, headSize: shape.headSize, vocabularySize: 40,
      contextLength: 1024)
    if let window = shape.window {
      configuration.architecture = .mistral
      configuration.slidingWindow = window
    }
    return try Model(TinyCheckpoint(configuration, seed: UInt64(index)).inMemory())
  }

  private static let tokens = (0..<600).map { ($0 * $0 + 3) % 40 }

  /// The logits after all tokens, of which the last `singleCount` are evaluated one by one.
  private func logits(
    _ model: Model, _ type: KVCacheType, singleCount: Int = 0, threadCount: Int = 2
  ) throws -> [Float] {
    var session = try Session(
      model, options: SessionOptions(threadCount: threadCount, cacheType: type))
    try session.append(Array(Self.tokens.dropLast(singleCount)))
    for token in Self.tokens.suffix(singleCount) { try session.append(token) }
    return session.logits.indices.map { session.logits[$0] }
  }

  private func largestDifference(_ a: [Float], _ b: [Float]) -> Float {
    zip(a, b).map { abs($0 - $1) }.max() ?? .infinity
  }

  // A prompt attends in tiles of 64 queries, a token in parts of 512 keys: sums in another order. For
  // F32 this is the bar of batches in `GoldenCheckpointTests`. In the other types a number that is
  // nearly in the middle of two steps may turn: in F16 by 2^-11 of itself, in int8 by 1/127 of the
  // largest of its row, sixteen times as much.
  @Test(
    "tokens that are evaluated one by one have the logits of a prompt", arguments: shapes.indices,
    KVCacheType.allCases)
  func tokensEqualAPrompt(index: Int, type: KVCacheType) throws {
    let model = try Self.model(index)
    let bar: Float =
      switch type {
      case .f32: 1e-4
      case .f16: 1e-3
      case .int8: 1.6e-2
      }
    let difference = largestDifference(
      try logits(model, type), try logits(model, type, singleCount: 5))
    #expect(difference < bar)
  }

  // In int8 a number is off by at most a = 1/254 of the largest of its row, which a Hadamard matrix
  // keeps near three root mean squares: 1.2 % of a root mean square, 0.7 % on average, in keys and in
  // values. Attention averages over many keys, and logits of size 2 to 4 through two layers are off by
  // 4 * 2 * 0.7 % = 6e-2 if nothing averages out. F16 is off by at most 2^-12 in each number.
  @Test(
    "logits are near those of a cache in single precision", arguments: shapes.indices,
    [KVCacheType.f16, .int8])
  func isNearSinglePrecision(index: Int, type: KVCacheType) throws {
    let model = try Self.model(index)
    let difference = largestDifference(try logits(model, type), try logits(model, .f32))
    #expect(difference < (type == .f16 ? 4e-3 : 6e-2))
    // The type is not ignored.
    #expect(difference > 0)
  }

  @Test(
    "the number of threads changes no bit of a token with a long context",
    arguments: KVCacheType.allCases)
  func threadsDoNotChangeABit(type: KVCacheType) throws {
    let model = try Self.model(1)
    let one = try logits(model, type, singleCount: 2, threadCount: 1)
    #expect(try logits(model, type, singleCount: 2, threadCount: 3) == one)
  }

  @Test("the size in bytes has the scales of int8 and does not overflow")
  func countsBytes() {
    let configuration = Configuration(
      hiddenSize: 32, intermediateSize: 16, layerCount: 3, headCount: 4, keyValueHeadCount: 2,
      headSize: 40, vocabularySize: 40, contextLength: 1024)
    let count = 2 * 3 * 2 * 100
    let sizes = KVCacheType.allCases.map {
      KVCache.byteCount(configuration, capacity: 100, type: $0)
    }
    #expect(sizes == [count * 40 * 2, count * 40 * 4, count * (40 + 4)])
    for type in KVCacheType.allCases {
      #expect(KVCache.byteCount(configuration, capacity: Int.max / 2, type: type) == nil)
    }
  }
}
