import DuetCompressor
import DuetRuntime
import DuetSystem
import DuetText
import Foundation
import TestSupport
import Testing

/// Whole compressions by the library, in all their kinds.
@Suite("Compressor")
struct CompressorTests {
  /// Every method with every format, and the other choices spread over them: each value of each meets
  /// several of the others.
  private static func plan(_ index: Int, _ plan: inout FlatPlan) {
    func pick<Choice: CaseIterable>(_ type: Choice.Type, _ number: Int) -> Choice {
      let all = Array(Choice.allCases)
      return all[number % all.count]
    }
    let methodCount = FlatPlan.Method.allCases.count
    let (method, format) = (index % methodCount, index / methodCount % 4)
    plan.method = pick(FlatPlan.Method.self, method)
    plan.format = [WeightFormat.int2, .int3, .int4, .e8p][format]
    plan.incoherence = pick(IncoherenceSides.self, index)
    plan.groupSize = pick(GroupSize.self, method + format)
    plan.grid = plan.format != .e8p && index % 4 == 2 ? .asymmetric : .symmetric
    plan.headFormat = pick(HeadFormat.self, index / 4)
    plan.embeddingFormat = ([nil] + EmbeddingFormat.allCases)[index / 5 % 4]
    plan.factorFormat = [FactorFormat.int4, .f16, .int8][index % 3]
    plan.factorRounding = pick(FactorRounding.self, format / 2)
    plan.propagation = pick(Propagation.self, index / 3)
    plan.updateOrder = pick(UpdateOrder.self, index / 2)
    plan.projectsMetric = index % 5 == 0
    let alternates = plan.method == .odlri || plan.method == .caldera
    if alternates, index % 3 == 1 {
      plan.outlierStorage = .int8
      plan.initialization = .auto
    } else {
      plan.initialization = plan.method == .odlri ? .odlri : format % 2 == 0 ? .zero : .lowRank
    }
    if !alternates { plan.refinementRounds = 0 }
    if plan.method == .gptq { plan.ordersByActivation = plan.format != .e8p && format % 2 == 1 }
    // What is preserved, or is all there is, needs factors that are better than those of a repair.
    if plan.method == .srr || plan.method == .lordq { plan.factorRounding = .feedback }
    if plan.method == .awq {
      plan.incoherence = .none
      if plan.propagation == .corrected { plan.propagation = .original }
    }
    if plan.method == .lordq {
      plan.rank = 24
      if plan.factorFormat == .f16 { plan.factorFormat = .int4 }
    }
    if index % 4 == 1 { plan.keptNames = ["layers.1.mlp.down_proj", "k_proj"] }
    if index % 8 == 5 { plan.keptNames.append("lm_head") }
  }

  @Test("all kinds complete, and the report, the forecast and the files agree", arguments: 0..<54)
  func kinds(index: Int) throws {
    var fixture = try CompressionFixture(isTied: index % 7 == 3)
    // The second half has the methods in other company.
    Self.plan(index < 36 ? index : (index - 36) * 5 % 18 + 36, &fixture.plan)
    let plan = fixture.plan
    let folder = try TemporaryFolder()
    let path = "\(folder.path)/model"
    let summary = try fixture.run(
      to: path, threadCount: 2, hiddenStatesLimit: index % 3 == 0 ? 0 : .max)
    #expect(summary.isComplete)

    // The forecast is exact.
    let forecast = try CompressionForecast(fixture.checkpoint, plan: plan.made)
    let file = try SafeTensorsFile(contentsOf: "\(path)/model.safetensors")
    let written = file.tensors.reduce(0) { $0 + $1.byteRange.count }
    #expect(forecast.byteCount == written)
    #expect(summary.byteCount == written)
    for (matrix, record) in zip(forecast.matrices, summary.records) {
      #expect(matrix.byteCount == record.byteCount, "\(record.name)")
      #expect(matrix.rank == record.rank, "\(record.name)")
    }

    // The records are those of the model's matrices, in its order.
    #expect(summary.records.map(\.name) == forecast.matrices.map(\.name))
    for record in summary.records { try check(record, plan) }

    let report = try JSONDocument(contentsOf: "\(path)/compression_report.json", limits: .smallFile)
      .root
    let totals = try #require(report["totals"])
    #expect(totals["byte_count"]?.int == written)
    #expect(
      totals["linear_bits_per_weight"].flatMap(\.double)
        == Double(forecast.compressedByteCount) * 8 / Double(forecast.weightCount))
    #expect(totals["weight_count"]?.int == forecast.sourceElementCount)
    let names = try #require(report["matrices"]?.elements).compactMap { $0["name"]?.string }
    #expect(
      names == forecast.matrices.map(\.name) + (forecast.headByteCount > 0 ? ["lm_head"] : [])
        + (forecast.embeddingByteCount > 0 ? ["model.embed_tokens"] : []))
    #expect(summary.embedding?.byteCount ?? 0 == forecast.embeddingByteCount)

    // Nothing of the run is left, everything of the source is there.
    #expect(!FileManager.default.fileExists(atPath: "\(path)/.compress"))
    #expect(
      try files(in: path)["tokenizer.json"] == files(in: fixture.source.path)["tokenizer.json"])
    let configuration = try JSONDocument(contentsOf: "\(path)/config.json", limits: .smallFile).root
    #expect(configuration["quantization_config"]?["method"]?.string == plan.method.rawValue)
  }

  /// Checks that the figures of a matrix fit together.
  private func check(_ record: MatrixRecord, _ plan: FlatPlan) throws {
    #expect(record.relativeError > 0 && record.relativeError < 1, "\(record)")
    #expect(record.dampedRelativeError <= record.roundToNearestError * 1.001, "\(record)")
    if plan.method == .rtn {
      #expect(record.traces.isEmpty)
      // The same numbers, summed in the same way but for the order of a subtraction.
      #expect(
        abs(record.dampedRelativeError - record.roundToNearestError)
          < 1e-5 * record.roundToNearestError)
      return
    }
    let best = try #require(record.traces.flatMap(\.errors).min())
    if plan.outlierStorage == .int8 {
      // The traces damp E on all inputs, the report on those of the columns, where their rounding counts
      // too: not the same, but a damping of a hundredth of H does not change an error by a tenth.
      #expect(abs(record.dampedRelativeError - best) < 0.1 * best, "\(record)")
      #expect(!record.outlierChannels.isEmpty)
    } else {
      // Both are tr(E H E^T) of the same E. Sums of n = 80 products in F32 differ by at most
      // n * 2^-24 = 5e-6 of the sum of magnitudes, which for the errors here, a tenth of W and more,
      // is at most ten times the sum.
      #expect(abs(record.dampedRelativeError - best) < 1e-4 * best, "\(record)")
    }
  }

  @Test(
    "the reported errors are those of what Scripts/decode.py reads",
    .enabled(if: DecodeScript.isAvailable, "needs python3 with numpy and safetensors"),
    arguments: [0, 1, 2, 3])
  func errorsOfTheFiles(index: Int) throws {
    var fixture = try CompressionFixture()
    // With the original inputs the Hessians follow from the source alone.
    fixture.plan.propagation = .original
    fixture.plan.format = [.int2, .int3, .e8p, .int2][index]
    fixture.plan.incoherence = [.both, .input, .both, .none][index]
    if index == 1 { fixture.plan.factorFormat = .f16 }
    if index == 2 {
      fixture.plan.outlierStorage = .int8
      fixture.plan.initialization = .zero
    }
    let folder = try TemporaryFolder()
    let path = "\(folder.path)/model"
    let records = try fixture.run(to: path).records
    let decoded = try DecodeScript.weights(of: path)
    let hessians = try layerHessians(fixture)
    for record in records {
      let (m, n) = (record.outputSize, record.inputSize)
      let original = try fixture.weight(record).map(Double.init)
      let dense = try #require(decoded[record.name]).map(Double.init)
      let hessian = try #require(
        hessians.first { record.name.hasPrefix($0.layer) && $0.matrices.contains(record.name) }
      ).values
      func square(_ a: [Double]) -> Double {
        var sum = 0.0
        for row in 0..<m {
          for i in 0..<n {
            var image = 0.0
            for j in 0..<n { image += hessian[i * n + j] * a[row * n + j] }
            sum += a[row * n + i] * image
          }
        }
        return sum
      }
      let error = zip(original, dense).map { $0 - $1 }
      let expected = (square(error) / square(original)).squareRoot()
      // The report computes in F32, in the rotated basis: W, H and E there are off by about
      // 2^-24 (12^1.5 + 4) = 3e-6 of their size (see `IncoherenceTransform`), E by some times more because it is
      // a part of W; what the damping adds, at most as much as the error, is taken off again.
      #expect(abs(record.relativeError - expected) < 1e-4 * expected, "\(record.name)")
    }
    try compareReconstruction(fixture, path, records, decoded)
  }

  /// The Hessian of a layer's input.
  private struct InputHessian {
    let layer: String
    let matrices: [String]
    let values: [Double]
  }

  private func layerHessians(_ fixture: CompressionFixture) throws -> [InputHessian] {
    let folder = try TemporaryFolder()
    let model = try Model(fixture.checkpoint)
    let configuration = model.configuration
    let samples = fixture.samples
    var calibration = LayerCalibration(
      configuration, contextLength: samples.contextLength,
      LinearAlgebra(WorkerPool(threadCount: 1)))
    var states = try HiddenStates(
      sampleCount: samples.sampleCount, contextLength: samples.contextLength,
      hiddenSize: configuration.hiddenSize, memoryLimit: .max, folder: folder.path)
    try calibration.embed(samples, with: model, into: &states)
    var result: [InputHessian] = []
    for (index, layer) in model.layers.enumerated() {
      var hessians = try calibration.hessians(of: layer, index: index, advancing: &states)
      let prefix = "model.layers.\(index)."
      let inputs: [(LinearInput, [String])] = [
        (.attention, ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]),
        (.attentionOutput, ["self_attn.o_proj"]),
        (.feedForward, ["mlp.gate_proj", "mlp.up_proj"]), (.down, ["mlp.down_proj"]),
      ]
      for (input, names) in inputs {
        guard let hessian = hessians.take(input) else { continue }
        let matrix = hessian.matrix.copy()
        result.append(
          InputHessian(
            layer: prefix, matrices: names.map { prefix + $0 },
            values: (0..<matrix.elements.count).map { matrix.elements[$0] }))
      }
    }
    return result
  }

  /// Compares the package's own dense matrices with those of the script.
  private func compareReconstruction(
    _ fixture: CompressionFixture, _ path: String, _ records: [MatrixRecord],
    _ decoded: [String: [Float]]
  ) throws {
    let algebra = LinearAlgebra(WorkerPool(threadCount: 1))
    let plan = fixture.plan
    let rotation =
      plan.incoherence == .none
      ? nil : try MatrixRotation(sizes: [24, 48, 80], seed: plan.seed, .standard, algebra)
    let reconstruction = DenseReconstruction(algebra, plan.made.compressedFormat, rotation)
    for linear in try fixture.linears(in: path, records) {
      let weight = try reconstruction.weight(of: linear, fixture.checkpoint.configuration)
      let other = try #require(decoded[linear.record.name])
      // Rows and columns have a length of about 1; each rotation rounds to (20^1.5 + 2) * 2^-24 of it,
      // and the script rounds but once.
      let bound: Float = 2 * 92 * 6e-8
      for index in 0..<weight.elements.count {
        #expect(
          abs(weight.elements[index] - other[index]) < bound, "\(linear.record.name) \(index)")
      }
    }
  }

  @Test("weights that are not finite are refused by name", arguments: [Float.nan, .infinity])
  func nonFiniteWeight(value: Float) throws {
    for name in ["model.layers.1.mlp.up_proj", "lm_head"] {
      // What a matrix is fitted to does not matter: the weights are looked at before any activation.
      for propagation in Propagation.allCases {
        var fixture = try CompressionFixture { $0.tensors["\(name).weight"]?.values[17] = value }
        fixture.plan.propagation = propagation
        let folder = try TemporaryFolder()
        let error = #expect(throws: CompressionError.self) {
          try fixture.run(to: "\(folder.path)/model")
        }
        #expect(error?.category == .numerical)
        #expect(error?.description.contains(name) == true, "\(String(describing: error))")
      }
    }
  }
}
