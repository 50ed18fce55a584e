import DuetCompressor
import DuetRuntime
import DuetSystem
import TestSupport
import Testing

/// Compressed models against the dense ones that Scripts/decode.py makes of them.
@Suite("Activations")
struct ActivationTests {
  private static let formats = [WeightFormat.int2, .int3, .int4, .e8p, .trellis2_5]

  /// All ways to store the rest of a compressed layer, compressed as cheaply as it goes.
  private static func plans(_ plan: FlatPlan) -> [FlatPlan] {
    var plans: [FlatPlan] = []
    for factors in [FactorFormat.int4, .f16] {
      for sides in IncoherenceSides.allCases {
        for storage in OutlierStorage.allCases {
          var plan = plan
          plan.method = .caldera
          plan.initialization = .zero
          plan.outerIterations = 1
          plan.innerIterations = 1
          plan.refinementRounds = 0
          plan.factorFormat = factors
          plan.incoherence = sides
          plan.outlierStorage = storage
          plan.outlierChannelCount = storage == .int8 ? 3 : nil
          plans.append(plan)
        }
      }
    }
    for change in [
      { ($0.method, $0.rank, $0.factorFormat) = (.lordq, 40, .int3) },
      { ($0.method, $0.targetBits, $0.factorFormat) = (.lordq, 24, .int8) },
      { ($0.method, $0.factorFormat) = (.qera, .int2) },
    ] as [(inout FlatPlan) -> Void] {
      var plan = plan
      (plan.outerIterations, plan.refinementRounds) = (1, 0)
      change(&plan)
      plans.append(plan)
    }
    if plan.format.coding == .integers {
      var plan = plan
      (plan.method, plan.grid, plan.refinementRounds) = (.gptq, .asymmetric, 0)
      plans.append(plan)
    }
    return plans
  }

  /// The model with the decoded weights in place of its own.
  private static func dense(
    _ checkpoint: Checkpoint, _ weights: [String: [Float]]
  ) throws -> Model {
    let replaced = Set(weights.keys.map { "\($0).weight" })
    var tensors: [StoredTensor] = []
    for name in checkpoint.names {
      guard let tensor = try checkpoint.tensor(named: name) else { continue }
      guard replaced.contains(name) else {
        tensors.append(tensor)
        continue
      }
      let values = try #require(weights[String(name.dropLast(".weight".count))])
      let bytes = values.flatMap { value in
        (0..<4).map { UInt8(truncatingIfNeeded: value.bitPattern >> (8 * UInt32($0))) }
      }
      tensors.append(
        StoredTensor(
          name: name, elementType: .f32, shape: tensor.shape, file: try MappedFile(bytes),
          byteOffset: 0))
    }
    return try Model(Checkpoint(configuration: checkpoint.configuration, tensors: tensors))
  }

  /// The logits after each of 30 tokens, of which the first come as a prompt and the last one by one.
  private static func logits(
    _ model: Model, _ activations: ActivationType, threadCount: Int
  ) throws -> [Float] {
    let tokens = (0..<30).map { $0 * 37 % 100 }
    var session = try Session(
      model,
      options: SessionOptions(
        contextLength: 32, threadCount: threadCount, cacheType: .f32, activations: activations))
    var result: [Float] = []
    func add(_ logits: Span<Float>) {
      for index in logits.indices { result.append(logits[index]) }
    }
    try session.evaluate(Array(tokens[..<26])) { _, logits in add(logits) }
    for token in tokens[26...] {
      try session.append(token)
      add(session.logits)
    }
    return result
  }

  @Test(
    "with activations in single precision logits are those of the decoded model",
    .enabled(if: DecodeScript.isAvailable, "needs python3 with numpy and safetensors"),
    arguments: formats)
  func singlePrecision(format: WeightFormat) throws {
    var fixture = try CompressionFixture()
    fixture.plan.format = format
    if format.coding == .trellis { fixture.plan.groupSize = .row }
    let plans = Self.plans(fixture.plan)
    #expect(plans.count == (format.coding == .integers ? 16 : 15))
    let folder = try TemporaryFolder()
    let paths = plans.indices.map { "\(folder.path)/\($0)" }
    for (plan, path) in zip(plans, paths) {
      fixture.plan = plan
      try fixture.run(to: path)
    }
    let decoded = try DecodeScript.weights(of: paths)
    for (index, plan) in plans.enumerated() {
      let text =
        "\(plan.method), \(plan.factorFormat), \(plan.incoherence), columns \(plan.outlierStorage)"
      let compressed = try Model(contentsOf: paths[index])
      let dense = try Self.dense(fixture.checkpoint, decoded[index])
      let expected = try Self.logits(dense, .f32, threadCount: 1)
      let actual = try Self.logits(compressed, .f32, threadCount: 1)
      let largest = zip(actual, expected).map { abs($0 - $1) }.max() ?? .infinity
      // Sums of at most 80 products round to 80 * 2^-24 of their parts, rotations to 1e-5, and eight
      // products follow each other with logits of about 1: 1e-4. A matrix that is left out, or meets an
      // activation of eight bits, changes logits by 1e-2 and more.
      #expect(largest < 2e-3, "\(text)")
      let two = try Self.logits(compressed, .f32, threadCount: 2)
      #expect(two == actual, "\(text), two threads")

      let rounded = try Self.logits(compressed, .int8, threadCount: 1)
      #expect(rounded != actual, "\(text), int8")
      let roundedByTwo = try Self.logits(compressed, .int8, threadCount: 2)
      #expect(roundedByTwo == rounded, "\(text), int8, two threads")
    }
  }
}
