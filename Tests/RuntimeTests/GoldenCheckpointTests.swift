import DuetRuntime
import Foundation
import TestSupport
import Testing

/// The tiny checkpoints of `../shared/golden`, whose logits an independent implementation computed.
@Suite(
  "Golden checkpoints",
  .enabled(if: SharedData.path("golden/checkpoints") != nil, "../shared is absent"))
struct GoldenCheckpointTests {
  static let names = [
    "llama2-mha-f32", "llama3-gqa-bf16", "llama-tied-f16", "mistral-sliding-bf16",
  ]

  /// What expected.json and logits.npy say.
  struct Golden {
    let folder: String
    let ids: [Int]
    let meanNLL: Double
    let greedyPrompt: [Int]
    let greedy: [Int]
    let logits: NumPyArray

    init(_ name: String) throws {
      folder = try #require(SharedData.path("golden/checkpoints/\(name)"))
      let data = try Data(contentsOf: URL(fileURLWithPath: folder + "/expected.json"))
      let object = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
      ids = try #require(object["input_ids"] as? [Int])
      meanNLL = try #require(object["mean_nll"] as? Double)
      greedyPrompt = try #require(object["greedy_prompt"] as? [Int])
      greedy = try #require(object["greedy_16"] as? [Int])
      logits = try NumPyArray(contentsOf: folder + "/logits.npy")
    }
  }

  static let cases = names.flatMap { name in
    KernelSet.supported.flatMap { set in
      KVCacheType.allCases.map { (name, set.name, $0) }
    }
  }

  // The bars of golden/README.md for an implementation in single precision, which the F32 cache is. A
  // cache of half precision rounds every key and value by up to 2^-12 relative, and logits of size 2
  // to 4 made of such values through three layers by a few times 2^-12 * 4 = 1e-3: twice the bar. In
  // int8 a number is off by up to 1/254 of the largest of its row, sixteen times as much.
  @Test("logits and loss agree with the reference", arguments: cases)
  func logitsAndLossAgree(name: String, kernels: String, cache: KVCacheType) throws {
    let golden = try Golden(name)
    let result = try allLogits(golden, options(kernels, cache))
    let vocabularySize = golden.logits.shape[1]
    try #require(result.count == golden.logits.values.count)
    var largest: Float = 0
    for (ours, theirs) in zip(result, golden.logits.values) {
      largest = max(largest, abs(ours - theirs))
    }
    let bar: Float =
      switch cache {
      case .f32: 2e-3
      case .f16: 4e-3
      case .int8: 6.4e-2
      }
    #expect(
      largest < bar,
      "\(name): the largest difference of a logit is \(largest)")

    var nll = 0.0
    for index in 0..<golden.ids.count - 1 {
      let row = Array(result[index * vocabularySize..<(index + 1) * vocabularySize])
      let normaliser = KernelSet.standard.logSumExp(row.span) ?? .nan
      nll += normaliser - Double(row[golden.ids[index + 1]])
    }
    nll /= Double(golden.ids.count - 1)
    #expect(
      abs(nll - golden.meanNLL) < (cache == .int8 ? 1.6e-3 : 1e-4),
      "\(name): mean NLL \(nll), not \(golden.meanNLL)")
  }

  @Test("greedy continuations agree with the reference", arguments: cases)
  func greedyContinuationsAgree(name: String, kernels: String, cache: KVCacheType) throws {
    // In int8 logits differ by more than the margins of these small models.
    if cache == .int8 { return }
    let golden = try Golden(name)
    var session = try Session(Model(contentsOf: golden.folder), options: options(kernels, cache))
    var sampler = Sampler(
      SamplingOptions(temperature: 0), vocabularySize: golden.logits.shape[1])
    try session.append(golden.greedyPrompt)
    var ids: [Int] = []
    while ids.count < golden.greedy.count {
      ids.append(try sampler.next(session.logits))
      if let last = ids.last { try session.append([last]) }
    }
    // What follows the prompt is also in the golden logits, of a plain forward pass over more tokens.
    let vocabularySize = golden.logits.shape[1]
    let last = golden.greedyPrompt.count - 1
    let row = golden.logits.values[last * vocabularySize..<(last + 1) * vocabularySize]
    #expect(ids.first == row.firstIndex(of: row.max() ?? 0).map { $0 - row.startIndex })
    // The golden continuation of this prompt was made by a generator that takes id 0 for padding and
    // masks it (masking it here too gives exactly the golden ids): it contradicts the golden logits.
    if golden.greedyPrompt.contains(0) {
      withKnownIssue { #expect(ids == golden.greedy) }
    } else {
      #expect(ids == golden.greedy)
    }
  }

  /// All at once, in batches that end mid-way, and one by one: they differ only in the order of sums.
  @Test("batches of any size give the same logits", arguments: names, [1, 7, 13, 32])
  func batchesGiveTheSameLogits(name: String, batchSize: Int) throws {
    let golden = try Golden(name)
    var options = SessionOptions(contextLength: 256, threadCount: 1, cacheType: .f32)
    let whole = try allLogits(golden, options)
    options.batchSize = batchSize
    let batched = try allLogits(golden, options)
    // The bar of the issue. Sums of at most 176 products of numbers of size 1 differ by 176 * 2^-24 =
    // 1e-5 at most, typically by far less, and pass through three layers.
    for (one, other) in zip(whole, batched) { #expect(abs(one - other) < 1e-4) }
  }

  @Test("the number of threads changes no bit", arguments: names, KVCacheType.allCases)
  func threadsDoNotChangeABit(name: String, cache: KVCacheType) throws {
    let golden = try Golden(name)
    var options = SessionOptions(contextLength: 256, threadCount: 1, cacheType: cache)
    for batchSize in [1, 5, 64] {
      options.batchSize = batchSize
      options.threadCount = 1
      let one = try allLogits(golden, options)
      for threadCount in [2, 5] {
        options.threadCount = threadCount
        #expect(try allLogits(golden, options) == one, "\(threadCount) threads")
      }
    }
  }

  @Test("a truncated session forgets what followed", arguments: names)
  func truncationForgetsWhatFollows(name: String) throws {
    let golden = try Golden(name)
    let options = SessionOptions(contextLength: 256, threadCount: 1)
    let model = try Model(contentsOf: golden.folder)
    var straight = try Session(model, options: options)
    try straight.append(Array(golden.ids[..<40]))
    var detour = try Session(model, options: options)
    try detour.append(Array(golden.ids[..<10]))
    try detour.append([3, 1, 4, 1, 5])
    detour.truncate(to: 10)
    #expect(detour.position == 10)
    try detour.append(Array(golden.ids[10..<40]))
    for id in 0..<golden.logits.shape[1] {
      // As in `batchesGiveTheSameLogits`; the cache is F16, where a last bit may turn: 2^-11.
      #expect(abs(straight.logits[id] - detour.logits[id]) < 1e-3)
    }
  }

  private func options(_ kernels: String, _ cache: KVCacheType) -> SessionOptions {
    SessionOptions(
      contextLength: 256, threadCount: 2, cacheType: cache,
      kernelSet: KernelSet(named: kernels) ?? .standard)
  }

  /// The logits after each of the golden ids, one row after the other.
  private func allLogits(_ golden: Golden, _ options: SessionOptions) throws -> [Float] {
    var session = try Session(Model(contentsOf: golden.folder), options: options)
    var result: [Float] = []
    try session.evaluate(golden.ids) { index, logits in
      for id in logits.indices { result.append(logits[id]) }
    }
    return result
  }
}
