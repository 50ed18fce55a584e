import DuetCompressor
import DuetRuntime
import DuetSystem
import TestSupport
import Testing

@Suite("Correction of weights")
struct WeightCorrectionTests {
  // A pool for each test: the thread sanitizer does not see a caller wait for another one's turn.
  private let algebra = LinearAlgebra(WorkerPool(threadCount: 2))

  @Test("the change solves its equations", arguments: [true, false])
  func solvesTheEquations(replaces: Bool) throws {
    let (n, m) = (40, replaces ? 24 : 40)
    let damping = 0.01
    let hessian = Numerics.hessian(n, seed: 3, algebra)
    var generator = RandomGenerator(seed: 5)
    // The streams have as many numbers as the replaced matrix has rows, else as W has columns.
    let width = replaces ? m : n
    var moment = Matrix<Double>(rowCount: n, columnCount: width)
    for row in 0..<n {
      for column in 0..<width { moment[row, column] = generator.nextUnit() - 0.5 }
    }
    let weight = Numerics.weights(m, n, seed: 7)
    var corrected = weight.copy()
    let correction =
      replaces
      ? try WeightCorrection(
        replacing: weight, moment: moment, hessian: hessian, name: "a", damping: damping, algebra)
      : try WeightCorrection(
        moment: moment, hessian: hessian, name: "a", damping: damping, algebra)
    #expect(correction.damping == damping)
    let change = correction.apply(to: &corrected, algebra)

    var mean = 0.0
    for index in 0..<n { mean += hessian[index, index] / Double(n) }
    var (largest, squares, own) = (0.0, 0.0, 0.0)
    for row in 0..<m {
      for column in 0..<n {
        // D (H + lambda I) is W M, or E[(t - W x) x^T], which is E[t x^T] - W H.
        var (left, right) = (0.0, replaces ? moment[column, row] : 0)
        for k in 0..<n {
          let d = Double(corrected[row, k]) - Double(weight[row, k])
          left += d * (hessian[k, column] + (k == column ? damping * mean : 0))
          right +=
            Double(weight[row, k]) * (replaces ? -hessian[k, column] : moment[column, k])
        }
        largest = max(largest, abs(left - right))
        let d = Double(corrected[row, column]) - Double(weight[row, column])
        squares += d * d
        own += Double(weight[row, column]) * Double(weight[row, column])
      }
    }
    // W and D are stored in F32 with numbers of size 1 to 10^2 (H has eigenvalues from a hundredth of
    // its mean on): 40 terms of a relative error of 2^-24 and of size up to 10^2 * 10 are within 2e-3.
    #expect(largest < 2e-3)
    #expect(abs(change - (squares / own).squareRoot()) < 1e-4 * change)
  }

  @Test("systems solved in single precision are as exact as their metric needs")
  func singlePrecision() throws {
    // 2000 times the mean in one direction, as in layers with massive activations; the damping is 0.01.
    let n = 192
    var hessian = Numerics.hessian(n, seed: 11, algebra)
    var mean = 0.0
    for index in 0..<n { mean += hessian[index, index] / Double(n) }
    for i in 0..<n {
      for j in 0..<n { hessian[i, j] += 2000 * mean * Double((i % 7 + 1) * (j % 7 + 1)) / 3840 }
    }
    for index in 0..<n { hessian[index, index] += 0.01 * mean }
    let right = Numerics.weights(n, 24, seed: 13)
    var factor = hessian.copy()
    var exact = algebra.widened(right)
    try algebra.solve(&factor, &exact)
    factor = hessian.copy()
    var rounded = right.copy()
    try algebra.solve(&factor, &rounded)
    // The error in the metric, tr(E^T H E) / tr(X^T H X).
    var difference = algebra.widened(rounded)
    for index in 0..<n * 24 {
      difference[index / 24, index % 24] -= exact[index / 24, index % 24]
    }
    func square(_ x: borrowing Matrix<Double>) -> Double {
      let image = algebra.product(hessian, x)
      var sum = 0.0
      for row in 0..<n { for column in 0..<24 { sum += x[row, column] * image[row, column] } }
      return sum
    }
    // H has a norm of some 2000 means and no eigenvalue below 0.01 of them, so cond(C) is at most the root of
    // 200,000, 447. Errors of rounding add up like the root of their number: root(192) * 2^-24 * 447 is 3.7e-4
    // for each of the two triangular systems.
    let error = (square(difference) / square(exact)).squareRoot()
    #expect(error > 0 && error < 1e-3, "\(error)")
  }

  @Test("more damping than was asked for is told, and a Hessian of zeros refused")
  func damping() throws {
    // Its least eigenvalue is -0.05 of the mean: 0.01, 0.02 and 0.04 are not enough.
    var hessian = Matrix<Double>(rowCount: 2, columnCount: 2)
    (hessian[0, 0], hessian[1, 1]) = (2.05, -0.05)
    let moment = Matrix<Double>(rowCount: 2, columnCount: 2)
    let correction = try WeightCorrection(
      moment: moment, hessian: hessian, name: "a", damping: 0.01, algebra)
    #expect(correction.damping == 0.08)
    #expect(throws: CompressionDataError.self) {
      _ = try WeightCorrection(
        moment: moment, hessian: Matrix<Double>(rowCount: 2, columnCount: 2), name: "a",
        damping: 0.01, algebra)
    }
  }

  @Test(
    "the moments are those of the two models, wherever states are kept",
    arguments: LinearInput.allCases,
    [0, 1 << 20])
  func comparesTheModels(input: LinearInput, limit: Int) throws {
    let length = 9
    var original = TinyCheckpoint(Self.configuration, seed: 1)
    var changed = original
    // The compressed model: what comes before the input is different.
    let other = TinyCheckpoint(Self.configuration, seed: 2)
    for name in ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"] {
      changed.tensors["model.layers.0.\(name).weight"] =
        other.tensors[
          "model.layers.0.\(name).weight"]
    }
    let samples = try CalibrationSamples(
      tokens: (0..<60).map { ($0 * $0 + 3) % 50 }, sources: [], sampleCount: 4,
      contextLength: length, seed: 1)
    let folder = try TemporaryFolder()
    var calibration = LayerCalibration(
      Self.configuration, contextLength: length, algebra)
    func states(_ checkpoint: TinyCheckpoint, _ calibration: inout LayerCalibration) throws
      -> HiddenStates
    {
      var states = try HiddenStates(
        sampleCount: 4, contextLength: length, hiddenSize: 24, memoryLimit: limit,
        folder: folder.path)
      try calibration.embed(samples, with: Model(checkpoint.inMemory()), into: &states)
      return states
    }
    let embedding = "model.embed_tokens.weight"
    changed.tensors[embedding] = other.tensors[embedding]
    let originalStates = try states(original, &calibration)
    let compressedStates = try states(changed, &calibration)
    var streams = try ComparedStreams(
      original: originalStates, compressed: compressedStates, Self.configuration,
      SampleStateSizes(
        Self.configuration, sampleCount: 4, contextLength: length, .corrected, limit: limit),
      folder: folder.path)
    let layers = ComparedLayers(
      original: try DecoderLayer(original.inMemory(), index: 0),
      compressed: try DecoderLayer(changed.inMemory(), index: 0))
    var result: InputComparison?
    for step in LinearInput.allCases {
      result = try calibration.advance(
        to: step, of: layers, index: 0, &streams, isMeasured: step == input)
      if step == input { break }
    }
    guard let comparison = result.take() else { preconditionFailure("nothing was measured") }

    // The oracle's stream behind the attention is that of a layer whose last product is zero.
    if input == .attentionOutput {
      for name in ["weight", "bias"] {
        let name = "model.layers.0.mlp.down_proj.\(name)"
        for index in original.tensors[name]!.values.indices {
          original.tensors[name]!.values[index] = 0
          changed.tensors[name]!.values[index] = 0
        }
      }
    }
    let size = input.size(Self.configuration)
    var moment = [[Double]](repeating: [Double](repeating: 0, count: 24), count: size)
    var hessian = [[Double]](repeating: [Double](repeating: 0, count: size), count: size)
    for sample in 0..<4 {
      let tokens = Array(samples.tokens(of: sample))
      let (a, b) = (ForwardPassOracle(checkpoint: original), ForwardPassOracle(checkpoint: changed))
      var (streamA, streamB) = (a.embeddings(tokens), b.embeddings(tokens))
      let inputsA = Self.rows(input, a.advance(&streamA, through: 0))
      let inputsB = Self.rows(input, b.advance(&streamB, through: 0))
      let comparesInputs = input == .attention || input == .feedForward
      for token in 0..<length {
        let x = inputsB[token]
        var (from, to) =
          comparesInputs
          ? (inputsB[token], inputsA[token]) : (streamB[token], streamA[token])
        // What the product of the matrix and x should be: without what it is in the compressed stream.
        if !comparesInputs {
          let weights = changed.tensors[Self.matrixName(input)]!.values
          for row in 0..<24 {
            for column in 0..<size { from[row] -= Double(weights[row * size + column]) * x[column] }
          }
        }
        for i in 0..<size {
          for j in 0..<24 { moment[i][j] += (to[j] - from[j]) * x[i] / Double(4 * length) }
          for j in 0..<size { hessian[i][j] += x[i] * x[j] / Double(4 * length) }
        }
      }
    }
    for i in 0..<size {
      // As in `LayerCalibrationTests`: numbers of size up to 5, each within 1e-4.
      for j in 0..<24 { #expect(abs(comparison.moment[i, j] - moment[i][j]) < 1e-3) }
      for j in 0..<size {
        #expect(abs(comparison.hessian.matrix[i, j] - hessian[i][j]) < 1e-3)
      }
    }
  }

  @Test("the streams of both models run through the layer, wherever states are kept")
  func runsThroughTheLayer() throws {
    let original = TinyCheckpoint(Self.configuration, seed: 1)
    let changed = TinyCheckpoint(Self.configuration, seed: 2)
    let samples = try CalibrationSamples(
      tokens: (0..<60).map { ($0 * $0 + 3) % 50 }, sources: [], sampleCount: 3, contextLength: 7,
      seed: 1)
    let folder = try TemporaryFolder()
    var results: [[Float]] = []
    for limit in [0, 1 << 20] {
      var calibration = LayerCalibration(Self.configuration, contextLength: 7, algebra)
      func states(_ checkpoint: TinyCheckpoint, _ calibration: inout LayerCalibration) throws
        -> HiddenStates
      {
        var states = try HiddenStates(
          sampleCount: 3, contextLength: 7, hiddenSize: 24, memoryLimit: limit, folder: folder.path)
        try calibration.embed(samples, with: Model(checkpoint.inMemory()), into: &states)
        return states
      }
      let first = try states(original, &calibration)
      var streams = try ComparedStreams(
        original: first, compressed: try states(changed, &calibration), Self.configuration,
        SampleStateSizes(
          Self.configuration, sampleCount: 3, contextLength: 7, .corrected, limit: limit),
        folder: folder.path)
      let layers = ComparedLayers(
        original: try DecoderLayer(original.inMemory(), index: 0),
        compressed: try DecoderLayer(changed.inMemory(), index: 0))
      for input in LinearInput.allCases {
        let comparison = try calibration.advance(
          to: input, of: layers, index: 0, &streams, isMeasured: false)
        switch comparison {
        case .none: break
        case .some: Issue.record("a comparison that was not asked for")
        }
      }
      try calibration.finish(layers, index: 0, &streams)
      var numbers: [Float] = []
      for sample in 0..<3 {
        for (checkpoint, isOriginal) in [(original, true), (changed, false)] {
          var hidden = Buffer<Float>(count: 7 * 24)
          if isOriginal {
            try streams.original.read(sample, into: &hidden)
          } else {
            try streams.compressed.read(sample, into: &hidden)
          }
          let oracle = ForwardPassOracle(checkpoint: checkpoint)
          var stream = oracle.embeddings(Array(samples.tokens(of: sample)))
          _ = oracle.advance(&stream, through: 0)
          for (index, number) in stream.joined().enumerated() {
            // As in `DecoderLayerPassTests`.
            #expect(abs(Double(hidden[index]) - number) < 1e-4)
            numbers.append(hidden[index])
          }
        }
      }
      results.append(numbers)
    }
    #expect(results[0] == results[1])
  }

  @Test("a compressed model whose weights are corrected is nearer to the original")
  func isNearer() throws {
    // What the models differ in after the last layer, over the samples that they were fitted to. Rounding
    // to two bits in groups of 32 changes much, and 128 tokens for 48 inputs tell enough of it.
    var distances: [Double] = []
    for propagation in [Propagation.compressed, .corrected] {
      var fixture = try CompressionFixture(layerCount: 3)
      fixture.plan.method = .gptq
      fixture.plan.refinementRounds = 0
      fixture.plan.headFormat = .f16
      fixture.plan.propagation = propagation
      let folder = try TemporaryFolder()
      let path = "\(folder.path)/model"
      let records = try fixture.run(to: path).records
      #expect(
        records.dropFirst(3).allSatisfy { ($0.correction > 0) == (propagation == .corrected) })
      distances.append(
        try Self.distance(Model(fixture.checkpoint), Model(contentsOf: path), fixture))
    }
    #expect(distances[1] < 0.9 * distances[0], "\(distances)")
  }

  @Test("samples that run through packed matrices correct as well as through dense ones")
  func packedStreams() throws {
    // The inputs differ by their rounding to eight bits, a hundredth; weights of two bits by a third.
    var distances: [Double] = []
    for type in ActivationType.allCases {
      var fixture = try CompressionFixture(layerCount: 3)
      fixture.plan.method = .gptq
      fixture.plan.refinementRounds = 0
      fixture.plan.headFormat = .f16
      fixture.plan.propagation = .corrected
      fixture.plan.activationType = type
      let folder = try TemporaryFolder()
      let path = "\(folder.path)/model"
      _ = try fixture.run(to: path)
      distances.append(
        try Self.distance(Model(fixture.checkpoint), Model(contentsOf: path), fixture))
    }
    #expect(distances[0] != distances[1])
    #expect(abs(distances[0] / distances[1] - 1) < 0.2, "\(distances)")
  }

  // MARK: -

  private static let configuration = Configuration(
    hiddenSize: 24, intermediateSize: 40, layerCount: 1, headCount: 4, keyValueHeadCount: 2,
    headSize: 8, vocabularySize: 50, contextLength: 128, hasAttentionBias: true,
    hasFeedForwardBias: true)

  private static func matrixName(_ input: LinearInput) -> String {
    "model.layers.0.\(input == .down ? "mlp.down_proj" : "self_attn.o_proj").weight"
  }

  private static func rows(
    _ input: LinearInput, _ inputs: ForwardPassOracle.LayerInputs
  ) -> [[Double]] {
    switch input {
    case .attention: inputs.attention
    case .attentionOutput: inputs.attentionOutput
    case .feedForward: inputs.feedForward
    case .down: inputs.down
    }
  }

  /// The mean squared difference of the logits.
  private static func distance(
    _ a: Model, _ b: Model, _ fixture: CompressionFixture
  ) throws -> Double {
    var sum = 0.0
    for sample in 0..<fixture.samples.sampleCount {
      let tokens = Array(fixture.samples.tokens(of: sample))
      var rows: [[[Float]]] = []
      for model in [a, b] {
        var session = try Session(model, options: SessionOptions(threadCount: 1))
        var logits: [[Float]] = []
        try session.evaluate(tokens) { _, row in logits.append(row.indices.map { row[$0] }) }
        rows.append(logits)
      }
      for (x, y) in zip(rows[0].joined(), rows[1].joined()) {
        sum += Double(x - y) * Double(x - y) / Double(tokens.count)
      }
    }
    return sum / Double(fixture.samples.sampleCount)
  }
}
