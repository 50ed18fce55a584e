import DuetRuntime
import DuetSystem
import TestSupport
import Testing

@Suite("Pass through a decoder layer")
struct DecoderLayerPassTests {
  /// The largest difference of two (tokens, numbers) tables, one of them with rows `stride` apart.
  private static func difference(
    _ rows: Span<Float>, stride: Int, _ expected: [[Double]]
  ) -> Double {
    var result = 0.0
    for (token, row) in expected.enumerated() {
      for (index, number) in row.enumerated() {
        result = max(result, abs(Double(rows[token * stride + index]) - number))
      }
    }
    return result
  }

  @Test(
    "a layer's inputs and output equal those in Double",
    arguments: ModelTests.configurations.indices)
  func equalsTheOracle(index: Int) throws {
    let (name, configuration) = ModelTests.configurations[index]
    let checkpoint = TinyCheckpoint(configuration, seed: UInt64(index))
    let oracle = ForwardPassOracle(checkpoint: checkpoint)
    let memory = try checkpoint.inMemory()
    let model = try Model(memory)
    let pool = WorkerPool(threadCount: 2)
    var pass = DecoderLayerPass(configuration, contextLength: 30, pool: pool)
    var hidden = Buffer<Float>(count: 30 * configuration.hiddenSize)
    // A longer sequence first: what it leaves in the cache must not show.
    for tokenCount in [30, 23] {
      let tokens = (0..<tokenCount).map { ($0 * 5 + tokenCount) % configuration.vocabularySize }
      var stream = oracle.embeddings(tokens)
      try model.embed(tokens[...], into: &hidden)
      #expect(Self.difference(hidden.span, stride: configuration.hiddenSize, stream) == 0)
      for layer in 0..<configuration.layerCount {
        let expected = oracle.advance(&stream, through: layer)
        var seen: [LinearInput] = []
        var largest = 0.0
        pass.run(
          try DecoderLayer(memory, index: layer), &hidden, tokenCount: tokenCount
        ) { input, rows, stride, count in
          seen.append(input)
          #expect(count == tokenCount && stride >= input.size(configuration))
          let numbers =
            switch input {
            case .attention: expected.attention
            case .attentionOutput: expected.attentionOutput
            case .feedForward: expected.feedForward
            case .down: expected.down
            }
          #expect(numbers[0].count == input.size(configuration))
          largest = max(largest, Self.difference(rows, stride: stride, numbers))
        }
        #expect(seen == LinearInput.allCases)
        largest = max(
          largest, Self.difference(hidden.span, stride: configuration.hiddenSize, stream))
        // As in `ModelTests`: sums of 40 products of numbers of size 1 to 5, four in a row per layer.
        #expect(largest < 1e-4, "\(name), layer \(layer): \(largest)")
      }
    }
  }

  @Test("a pass that ends early sees the same inputs as far as it goes")
  func endsEarly() throws {
    let checkpoint = TinyCheckpoint(ModelTests.tiny())
    let layer = try DecoderLayer(checkpoint.inMemory(), index: 1)
    let oracle = ForwardPassOracle(checkpoint: checkpoint)
    var pass = DecoderLayerPass(
      checkpoint.configuration, contextLength: 8, pool: WorkerPool(threadCount: 1))
    var inputs: [[[Float]]] = []
    var outputs: [[Float]] = []
    let embeddings = oracle.embeddings(Array(0..<8)).joined().map { Float($0) }
    let ends: [LinearInput?] = [.attention, .attentionOutput, .feedForward, .down, nil]
    for last in ends {
      var hidden = Buffer<Float>(count: 8 * 24)
      for (index, number) in embeddings.enumerated() { hidden[index] = number }
      var seen: [[Float]] = []
      pass.run(layer, &hidden, tokenCount: 8, endsBefore: last) { _, rows, _, _ in
        seen.append(rows.indices.map { rows[$0] })
      }
      inputs.append(seen)
      outputs.append(hidden.span.indices.map { hidden[$0] })
    }
    #expect(inputs.map(\.count) == [1, 2, 3, 4, 4])
    for some in inputs { #expect(some == Array(inputs[4].prefix(some.count))) }
    // The attention is added between its output's input and the next, the rest at the end.
    #expect(outputs[0] == embeddings && outputs[1] == embeddings)
    #expect(outputs[2] != embeddings && outputs[2] == outputs[3])
    #expect(outputs[4] != outputs[3])
  }

  @Test("an observer's error ends the pass")
  func observerThrows() throws {
    let checkpoint = TinyCheckpoint(ModelTests.tiny())
    let layer = try DecoderLayer(checkpoint.inMemory(), index: 0)
    var pass = DecoderLayerPass(
      checkpoint.configuration, contextLength: 4, pool: WorkerPool(threadCount: 1))
    var hidden = Buffer<Float>(count: 4 * 24)
    var seen: [LinearInput] = []
    #expect(throws: GenerationError.cancelled) {
      try pass.run(layer, &hidden, tokenCount: 4) { input, _, _, _ throws(GenerationError) in
        seen.append(input)
        if input == .feedForward { throw .cancelled }
      }
    }
    #expect(seen == [.attention, .attentionOutput, .feedForward])
  }

  @Test("a token outside the vocabulary has no embedding", arguments: [-1, 50, Int.max])
  func refusesTokens(id: Int) throws {
    let model = try Model(TinyCheckpoint(ModelTests.tiny()).inMemory())
    var hidden = Buffer<Float>(count: 2 * 24)
    #expect(throws: GenerationError.tokenOutOfRange(id: id, vocabularySize: 50)) {
      try model.embed([3, id], into: &hidden)
    }
  }
}
