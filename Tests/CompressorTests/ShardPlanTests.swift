import DuetCompressor
import DuetRuntime
import DuetSystem
import TestSupport
import Testing

/// How tensors are dealt out over files.
@Suite("Shard plan")
struct ShardPlanTests {
  /// Tensors of so many bytes, named so that the order of the sizes is theirs.
  private func tensors(_ sizes: [Int]) throws -> [StoredTensor] {
    let file = try MappedFile([UInt8](repeating: 0, count: sizes.max() ?? 0))
    return sizes.enumerated().map { index, size in
      StoredTensor(
        name: "t\(index + 10)", elementType: .i8, shape: [size], file: file, byteOffset: 0)
    }
  }

  /// The largest file of the best cut of `sizes` into at most `count` runs, by trying every cut.
  private func leastLargest(_ sizes: [Int], atMost count: Int) -> Int {
    var best = Int.max
    for cuts in 0..<(1 << (sizes.count - 1)) where cuts.nonzeroBitCount < count {
      var largest = 0
      var current = sizes[0]
      for index in 1..<sizes.count {
        if cuts >> (index - 1) & 1 == 1 {
          largest = max(largest, current)
          current = 0
        }
        current += sizes[index]
      }
      best = min(best, max(largest, current))
    }
    return best
  }

  @Test("as many files as asked for at most, the largest as small as can be", arguments: 0..<50)
  func leastLargestFile(seed: UInt64) throws {
    var generator = RandomGenerator(seed: seed)
    let sizes = (0..<8).map { _ in 1 + Int(generator.next() % 40) }
    for count in 1...9 {
      let plan = try ShardPlan(tensors(sizes), atMost: count)
      let files = plan.shards.map { $0.tensors.reduce(0) { $0 + $1.byteCount } }
      #expect(files.count <= count)
      #expect(files.max() == leastLargest(sizes, atMost: count), "\(sizes) in \(count)")
      #expect(plan.shards.flatMap(\.tensors).map(\.byteCount) == sizes)
    }
  }

  @Test("equal tensors are spread evenly, one file has no index")
  func names() throws {
    let plan = try ShardPlan(tensors([5, 5, 5, 5]), atMost: 2)
    #expect(
      plan.shards.map(\.name) == [
        "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
      ])
    #expect(plan.shards.map(\.tensors.count) == [2, 2])
    #expect(plan.index != nil)
    let whole = try ShardPlan(tensors([5, 5, 5, 5]), atMost: 1)
    #expect(whole.shards.map(\.name) == ["model.safetensors"])
    #expect(whole.index == nil)
  }
}
