import DuetRuntime
import Foundation
import Kernels
import Testing

/// Attention tiles of every set against softmax in Double.
@Suite("Kernels for attention")
struct AttentionTests {
  @Test("attention equals softmax in Double", arguments: kernelTables)
  func equalsSoftmaxInDouble(name: String) {
    var generator = RandomGenerator(seed: 9)
    for headSize in [2, 8, 30, 40, 64, 80, 96, 128] {
      for keyCount in [1, 2, 31, 32, 33, 64, 65, 100] {
        for queryCount in [1, 3, 6, 7, 32] {
          check(name, headSize, keyCount, queryCount, &generator)
        }
      }
    }
  }

  private func check(
    _ name: String, _ headSize: Int, _ keyCount: Int, _ queryCount: Int,
    _ generator: inout RandomGenerator
  ) {
    let queries = gaussians(queryCount * headSize, &generator).map { $0 * 2 }
    let keys = gaussians(keyCount * headSize, &generator)
    let values = gaussians(keyCount * headSize, &generator)
    // Causal ends and windows of different lengths within one tile.
    let last = (0..<queryCount).map { max(1, keyCount - $0 % keyCount) }
    let first = (0..<queryCount).map { max(0, last[$0] - 1 - ($0 * 7) % 50) }
    let scale = 1 / Float(headSize).squareRoot()
    for half in [false, true] {
      let storedKeys = half ? keys.map { Float(Float16($0)) } : keys
      let storedValues = half ? values.map { Float(Float16($0)) } : values
      let result = outputs(name, half, queries, keys, values, headSize, scale, first, last)
      for query in 0..<queryCount {
        let q = queries[query * headSize..<(query + 1) * headSize].map(Double.init)
        var scores: [Double] = []
        var largest = 0.0
        for key in first[query]..<last[query] {
          let k = storedKeys[key * headSize..<(key + 1) * headSize].map(Double.init)
          scores.append(zip(q, k).reduce(0) { $0 + $1.0 * $1.1 } * Double(scale))
          largest = max(largest, zip(q, k).reduce(0) { $0 + abs($1.0 * $1.1) } * Double(scale))
        }
        let maximum = scores.max() ?? 0
        let weights = scores.map { exp($0 - maximum) }
        let total = weights.reduce(0, +)
        for d in 0..<headSize {
          var exact = 0.0
          var magnitude = 0.0
          for (index, weight) in weights.enumerated() {
            let value = Double(storedValues[(first[query] + index) * headSize + d])
            exact += weight / total * value
            magnitude += weight / total * abs(value)
          }
          // A score is off by (headSize + 4) u of its magnitude, and so, relatively, is its weight,
          // above and below the fraction bar; exponentials (4 u each), sums over n keys (n u each) and
          // a rescaling per block (5 u each) add to that, twice.
          let n = Double(weights.count)
          let perWeight = Double(headSize + 4) * largest + 4 + n + 5 * (n / 64 + 1)
          let bound = (2 * perWeight + 2) * unitRoundoff * magnitude
          #expect(
            abs(Double(result[query * headSize + d]) - exact) <= bound,
            "\(name) half \(half) headSize \(headSize) keys \(keyCount) query \(query)")
        }
      }
    }
  }

  private func outputs(
    _ name: String, _ half: Bool, _ queries: [Float], _ keys: [Float], _ values: [Float],
    _ headSize: Int, _ scale: Float, _ first: [Int], _ last: [Int]
  ) -> [Float] {
    let set = table(name)
    var outputs = [Float](repeating: 77, count: queries.count)
    var scratch = [Float](repeating: 77, count: kernels_attend_scratch(headSize))
    let blocks = inBlocks(keys, headSize)
    let padded = values + [Float](repeating: .nan, count: Int(KERNELS_KEY_LANES))
    let halfBlocks = blocks.map { Float16($0).bitPattern }
    let halfValues = padded.map { Float16($0).bitPattern }
    queries.withUnsafeBufferPointer { queries in
      outputs.withUnsafeMutableBufferPointer { outputs in
        guard let input = queries.baseAddress, let output = outputs.baseAddress else {
          return
        }
        let queryRows = first.indices.map { input + $0 * headSize }
        let outputRows = first.indices.map { output + $0 * headSize }
        func attend(_ kernel: kernels_attend, _ keys: UnsafeRawPointer, _ values: UnsafeRawPointer)
        {
          var head = kernels_head(
            head_size: headSize, keys: keys, values: values, key_scales: nil, value_scales: nil)
          kernel(
            &head, queryRows, first.count, scale, first, last, outputRows, nil, &scratch)
        }
        if half {
          attend(set.attend_f16, halfBlocks, halfValues)
        } else {
          attend(set.attend_f32, blocks, padded)
        }
      }
    }
    return outputs
  }

  /// The keys, (position, headSize), in the order of `kernels_head`; numbers of padding are NaN.
  private func inBlocks(_ keys: [Float], _ headSize: Int) -> [Float] {
    let lanes = Int(KERNELS_KEY_LANES)
    let count = keys.count / headSize
    var result = [Float](repeating: .nan, count: (count + lanes - 1) / lanes * lanes * headSize)
    for position in 0..<count {
      for index in 0..<headSize {
        let row = position / lanes * headSize + index
        result[row * lanes + position % lanes] = keys[position * headSize + index]
      }
    }
    return result
  }
}
