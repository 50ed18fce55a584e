import DuetCompressor
import DuetRuntime
import DuetSystem
import TestSupport
import Testing

@Suite("LayerCalibration")
struct LayerCalibrationTests {
  private static let (samples, length) = (4, 9)

  /// A tiny model with all that calibration needs.
  private struct Fixture {
    let checkpoint: TinyCheckpoint
    let memory: Checkpoint
    let model: Model
    let samples: CalibrationSamples
    let folder: TemporaryFolder

    init() throws {
      checkpoint = TinyCheckpoint(
        Configuration(
          hiddenSize: 24, intermediateSize: 40, layerCount: 2, headCount: 4, keyValueHeadCount: 2,
          headSize: 8, vocabularySize: 50, contextLength: 128))
      memory = try checkpoint.inMemory()
      model = try Model(memory)
      samples = try CalibrationSamples(
        tokens: (0..<60).map { ($0 * $0 + 3) % 50 }, sources: [],
        sampleCount: LayerCalibrationTests.samples, contextLength: LayerCalibrationTests.length,
        seed: 1)
      folder = try TemporaryFolder()
    }

    func layer(_ index: Int) throws -> DecoderLayer { try DecoderLayer(memory, index: index) }

    func calibration(threadCount: Int = 2) -> LayerCalibration {
      LayerCalibration(
        checkpoint.configuration, contextLength: LayerCalibrationTests.length,
        LinearAlgebra(WorkerPool(threadCount: threadCount)))
    }

    /// The inputs of the first layer.
    func states(
      _ calibration: inout LayerCalibration, memoryLimit: Int = 1 << 20
    ) throws -> HiddenStates {
      var states = try HiddenStates(
        sampleCount: LayerCalibrationTests.samples, contextLength: LayerCalibrationTests.length,
        hiddenSize: 24, memoryLimit: memoryLimit, folder: folder.path)
      try calibration.embed(samples, with: model, into: &states)
      return states
    }
  }

  private func numbers(_ states: borrowing HiddenStates) throws -> [Float] {
    var hidden = Buffer<Float>(count: states.sampleSize)
    var result: [Float] = []
    for sample in 0..<states.sampleCount {
      try states.read(sample, into: &hidden)
      result += hidden.span.indices.map { hidden[$0] }
    }
    return result
  }

  private func numbers(_ hessians: consuming LayerHessians) -> [[Double]] {
    var result: [[Double]] = []
    for input in LinearInput.allCases {
      guard let hessian = hessians.take(input) else { continue }
      result.append(hessian.matrix.elements.span.indices.map { hessian.matrix.elements[$0] })
    }
    return result
  }

  @Test("Hessians and states equal those of the forward pass in Double", arguments: [0, 1 << 20])
  func equalsTheOracle(memoryLimit: Int) throws {
    let fixture = try Fixture()
    let oracle = ForwardPassOracle(checkpoint: fixture.checkpoint)
    var streams = (0..<Self.samples).map {
      oracle.embeddings(Array(fixture.samples.tokens(of: $0)))
    }
    var calibration = fixture.calibration()
    var states = try fixture.states(&calibration, memoryLimit: memoryLimit)
    #expect(states.isInMemory == (memoryLimit > 0))
    for index in 0..<2 {
      var inputs = ForwardPassOracle.LayerInputs()
      for sample in streams.indices {
        let some = oracle.advance(&streams[sample], through: index)
        inputs.attention += some.attention
        inputs.attentionOutput += some.attentionOutput
        inputs.feedForward += some.feedForward
        inputs.down += some.down
      }
      var hessians = try calibration.hessians(
        of: fixture.layer(index), index: index, inputs: states)
      let expected: [(LinearInput, [[Double]])] = [
        (.attention, inputs.attention), (.attentionOutput, inputs.attentionOutput),
        (.feedForward, inputs.feedForward), (.down, inputs.down),
      ]
      for (input, rows) in expected {
        let taken = hessians.take(input)
        guard let hessian = taken else {
          Issue.record("no Hessian of \(input)")
          continue
        }
        #expect(hessian.tokenCount == Self.samples * Self.length)
        #expect(hessian.size == rows[0].count)
        for i in 0..<hessian.size {
          for j in 0..<hessian.size {
            let mean = rows.reduce(0) { $0 + $1[i] * $1[j] } / Double(rows.count)
            // Inputs are of size up to 5 and within 1e-4 (as in `ModelTests`, typically 1e-6), and so
            // a product is within 2 * 5 * 1e-4.
            #expect(abs(hessian.matrix[i, j] - mean) < 1e-3, "layer \(index), \(input)")
          }
        }
        let isTaken = hessians.take(input) == nil
        #expect(isTaken)
      }
      try calibration.advance(&states, through: fixture.layer(index), index: index)
      let numbers = try numbers(states)
      for (number, expected) in zip(numbers, streams.joined().joined()) {
        #expect(abs(Double(number) - expected) < 1e-4)
      }
    }
  }

  @Test("collecting leaves the states, and doing both at once gives the same bits")
  func bothAtOnce() throws {
    let fixture = try Fixture()
    var calibration = fixture.calibration()
    var states = try fixture.states(&calibration)
    let before = try numbers(states)
    let apart = numbers(
      try calibration.hessians(of: fixture.layer(0), index: 0, inputs: states))
    #expect(try numbers(states) == before)
    try calibration.advance(&states, through: fixture.layer(0), index: 0)
    let after = try numbers(states)
    #expect(after != before)

    var others = try fixture.states(&calibration, memoryLimit: 0)
    let together = numbers(
      try calibration.hessians(of: fixture.layer(0), index: 0, advancing: &others))
    #expect(together.count == 4)
    #expect(together == apart)
    #expect(try numbers(others) == after)
  }

  @Test("the number of threads changes no bit", arguments: [2, 3, 8])
  func threads(threadCount: Int) throws {
    let fixture = try Fixture()
    var results: [([[Double]], [Float])] = []
    for count in [1, threadCount] {
      var calibration = fixture.calibration(threadCount: count)
      var states = try fixture.states(&calibration)
      let hessians = numbers(
        try calibration.hessians(of: fixture.layer(0), index: 0, advancing: &states))
      results.append((hessians, try numbers(states)))
    }
    #expect(results[0].0 == results[1].0)
    #expect(results[0].1 == results[1].1)
  }

  @Test("other weights lead to other states")
  func otherWeights() throws {
    let fixture = try Fixture()
    var changed = fixture.checkpoint
    changed.tensors["model.layers.0.mlp.down_proj.weight"]?.values[0] += 0.5
    let layer = try DecoderLayer(changed.inMemory(), index: 0)
    var calibration = fixture.calibration()
    var states = try fixture.states(&calibration)
    var others = try fixture.states(&calibration)
    try calibration.advance(&states, through: fixture.layer(0), index: 0)
    try calibration.advance(&others, through: layer, index: 0)
    // One weight from input 0 to output 0: every token's first number differs, no other.
    let (first, second) = (try numbers(states), try numbers(others))
    for index in first.indices { #expect((first[index] != second[index]) == (index % 24 == 0)) }
  }

  @Test("progress is told after every sample, and cancellation asked before")
  func control() throws {
    let fixture = try Fixture()
    var calibration = fixture.calibration()
    var states = try fixture.states(&calibration)
    var told: [Int] = []
    var control = LayerCalibration.Control(progress: { told.append($0) })
    _ = try calibration.hessians(
      of: fixture.layer(0), index: 0, inputs: states, control: control)
    #expect(told == [9, 18, 27, 36])
    told = []
    control.isCancelled = { told.count == 2 }
    #expect(throws: LayerCalibrationError.cancelled) {
      try calibration.advance(&states, through: fixture.layer(0), index: 0, control: control)
    }
    #expect(told == [9, 18])
  }

  @Test("activations that are not finite name the layer and the matrices")
  func nonFinite() throws {
    let fixture = try Fixture()
    var damaged = fixture.checkpoint
    damaged.tensors["model.layers.1.mlp.up_proj.weight"]?.values[5] = .infinity
    let layer = try DecoderLayer(damaged.inMemory(), index: 1)
    var calibration = fixture.calibration()
    var states = try fixture.states(&calibration)
    #expect(
      throws: LayerCalibrationError.compressor(
        .nonFiniteActivations(layer: 1, input: "down_proj"))
    ) {
      _ = try calibration.hessians(of: layer, index: 1, inputs: states)
    }
    #expect(
      throws: LayerCalibrationError.compressor(
        .nonFiniteActivations(layer: 1, input: "the next layer"))
    ) {
      try calibration.advance(&states, through: layer, index: 1)
    }
  }

  @Test("a token that the model does not have is refused")
  func vocabulary() throws {
    let fixture = try Fixture()
    let samples = try CalibrationSamples(
      tokens: (0..<36).map { $0 + 20 }, sources: [], sampleCount: 4, contextLength: 9, seed: 0)
    var calibration = fixture.calibration()
    var states = try fixture.states(&calibration)
    #expect(
      throws: LayerCalibrationError.model(.tokenOutOfRange(id: 50, vocabularySize: 50))
    ) {
      try calibration.embed(samples, with: fixture.model, into: &states)
    }
  }
}
