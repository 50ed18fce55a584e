import DuetCompressor
import DuetRuntime
import Testing

/// The division of a model into parts.
@Suite("Division into parts")
struct PartForecastTests {
  private static func forecast(
    layerCount: Int, keptNames: [String] = [], embedding: EmbeddingFormat? = nil
  ) throws -> CompressionForecast {
    var plan = FlatPlan()
    plan.propagation = .original
    plan.keptNames = keptNames
    plan.embeddingFormat = embedding
    let configuration = Configuration(
      hiddenSize: 64, intermediateSize: 128, layerCount: layerCount, headCount: 4,
      keyValueHeadCount: 2, vocabularySize: 1000, contextLength: 64)
    return try CompressionForecast(configuration: configuration, tensors: [], plan: plan.made)
  }

  /// All ways to divide `total` into `count` numbers of 1 or more.
  private static func divisions(of total: Int, into count: Int) -> [[Int]] {
    if count == 1 { return [[total]] }
    return (1..<max(2, total - count + 2)).flatMap { first in
      divisions(of: total - first, into: count - 1).map { [first] + $0 }
    }
  }

  @Test("no division has a largest part that costs less", arguments: [false, true], 0...2)
  func best(sharesStates: Bool, kind: Int) throws {
    let layerCount = 7
    // In the second case some layers cost nearly nothing, in the third the first part has more to do.
    let kept =
      kind == 1
      ? [0, 1, 4].flatMap { layer in
        LayerTensors.matrices.map { $0.name(inLayer: layer) }
      } : []
    let forecast = try Self.forecast(
      layerCount: layerCount, keptNames: kept, embedding: kind == 2 ? .int8 : nil)
    // The cost of every range of layers, as the part of some division.
    func cost(_ layers: Range<Int>) throws -> Double {
      let part = ModelPart(number: try #require(PartNumber(1, of: 1)), layers: layers)
      return forecast.seconds(of: part, sharesStates: sharesStates, rate: 1)
    }
    for count in 1...layerCount {
      let parts = try forecast.parts(count, sharesStates: sharesStates)
      #expect(parts.map(\.number.index) == Array(1...count))
      #expect(parts.allSatisfy { !$0.layers.isEmpty && $0.number.count == count })
      #expect(parts.flatMap { Array($0.layers) } == Array(0..<layerCount))
      let largest = try #require(try parts.map { try cost($0.layers) }.max())
      let best = try Self.divisions(of: layerCount, into: count).map { sizes -> Double in
        var start = 0
        return try sizes.map { size in
          defer { start += size }
          return try cost(start..<start + size)
        }.max() ?? 0
      }.min()
      // The same sums in another order: 7 layers, a few roundings each.
      #expect(largest <= (best ?? 0) * (1 + 1e-12), "\(count) parts")
    }
  }

  @Test("the parts cost what the whole costs, and the way of the samples to each")
  func sums() throws {
    let forecast = try Self.forecast(layerCount: 6)
    let whole = forecast.seconds(rate: 1e9)
    func sum(_ count: Int, sharesStates: Bool) throws -> Double {
      try forecast.parts(count, sharesStates: sharesStates).reduce(0) {
        $0 + forecast.seconds(of: $1, sharesStates: sharesStates, rate: 1e9)
      }
    }
    for count in [1, 2, 6] {
      #expect(abs(try sum(count, sharesStates: true) - whole) < whole * 1e-12)
    }
    // One pass of the samples through one layer, seen from the states: two shares of half the samples each.
    let boundary = try #require(try forecast.parts(2, sharesStates: true).last).layers.lowerBound
    let pass = try forecast.secondsOfStates(parts: 2, rate: 1e9) * 2 / Double(boundary)
    let parts = try forecast.parts(6, sharesStates: false)
    let runUp = parts.reduce(0) { $0 + Double($1.layers.lowerBound) * pass }
    #expect(abs(try sum(6, sharesStates: false) - whole - runUp) < whole * 1e-12)
    #expect(runUp == 15 * pass)
    #expect(forecast.stateByteCount(parts: 6) == 5 * forecast.hiddenStateByteCount)
  }

  @Test("a part needs disk for its matrices and the states before two layers")
  func disk() throws {
    let forecast = try Self.forecast(layerCount: 6, embedding: .int8)
    let parts = try forecast.parts(3, sharesStates: false)
    let sum = parts.reduce(0) { $0 + forecast.diskByteCount(of: $1) }
    #expect(
      sum == 3 * 2 * forecast.hiddenStateByteCount + forecast.compressedByteCount
        - forecast.rotationByteCount + forecast.headByteCount + forecast.embeddingByteCount)
  }

  @Test("80 layers are divided quickly")
  func manyLayers() throws {
    let parts = try Self.forecast(layerCount: 80).parts(80, sharesStates: true)
    #expect(parts.allSatisfy { $0.layers.count == 1 })
  }
}
