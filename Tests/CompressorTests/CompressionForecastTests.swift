import DuetCompressor
import DuetRuntime
import TestSupport
import Testing

@Suite("CompressionForecast")
struct CompressionForecastTests {
  /// Widths of 48 (q, o), 24 (k, v) and 80 (gate, up, down), all of which need padding.
  private var configuration: Configuration {
    Configuration(
      hiddenSize: 48, intermediateSize: 80, layerCount: 2, headCount: 4, keyValueHeadCount: 2,
      vocabularySize: 100, contextLength: 64)
  }

  private var plan: FlatPlan {
    var plan = FlatPlan()
    plan.format = .int2
    plan.groupSize = .columns32
    plan.rank = 8
    plan.sampleCount = 3
    plan.contextLength = 16
    plan.propagation = .compressed
    return plan
  }

  private func forecast(
    _ plan: FlatPlan, tied: Bool = false
  ) throws -> CompressionForecast {
    var configuration = configuration
    configuration.tiesEmbeddings = tied
    return try CompressionForecast(TinyCheckpoint(configuration).inMemory(), plan: plan.made)
  }

  @Test("every byte of a small model, counted by hand")
  func bytes() throws {
    let forecast = try forecast(plan)
    #expect(
      forecast.matrices.prefix(7).map(\.name)
        == ["q_proj", "k_proj", "v_proj", "o_proj"].map { "model.layers.0.self_attn.\($0)" }
        + ["gate_proj", "up_proj", "down_proj"].map { "model.layers.0.mlp.\($0)" })
    #expect(forecast.matrices.count == 14 && forecast.matrices.last?.layer == 1)
    // q, k, v, o, gate, up: 48 columns are stored as 64, in 2 groups; down: 80 as 96, in 3. 16 rows of a
    // panel take 4 bytes a column, and 32 a group: 3 (256 + 64), 2 (...), 5 (...) and 3 (384 + 96).
    #expect(
      forecast.matrices.prefix(7).map(\.quantizedByteCount)
        == [960, 640, 640, 960, 1600, 1600, 1440])
    // L: 8 columns in panels of 64 + 32 bytes, of which there are 3, 2, 2, 3, 5, 5, 3. R: one
    // panel of 128 columns in 1024 + 32 bytes.
    #expect(
      forecast.matrices.prefix(7).map(\.factorByteCount)
        == [3, 2, 2, 3, 5, 5, 3].map { $0 * 96 + 1056 })
    #expect(forecast.matrices.allSatisfy { $0.columnByteCount == 0 })
    // 48 = 12 * 4, 24 = 12 * 2, 80 = 20 * 4: signs, and factors of 4 bytes an entry.
    #expect(forecast.rotationByteCount == 48 + 24 + 80 + 4 * (144 + 144 + 400))
    // 7 panels of 128 columns in 8 bits, 16 rows each, and their scales.
    #expect(forecast.headByteCount == 7 * (2048 + 32))
    // The embedding and five norms, in F32.
    #expect(forecast.copiedElementCount == 4800 + 5 * 48)
    #expect(forecast.copiedByteCount == 4 * (4800 + 5 * 48))
    #expect(forecast.compressedByteCount == 2 * (7840 + 9600) + 2904)
    #expect(forecast.byteCount == 37_784 + 14_560 + 20_160)
    let weightCount = 2 * 48 * (48 + 24 + 24 + 48 + 3 * 80)
    #expect(forecast.weightCount == weightCount)
    #expect(forecast.bitsPerWeight == 37_784 * 8 / Double(weightCount))
    #expect(forecast.sourceElementCount == weightCount + 2 * 4800 + 240)
    #expect(forecast.sourceByteCount == 4 * forecast.sourceElementCount)
    #expect(forecast.bitsPerElement == 72_504 * 8 / Double(weightCount + 9840))
    // The journal holds the matrices and the head a second time, and two boundaries of 3 * 16 * 48 numbers.
    #expect(
      forecast.diskByteCount(hiddenStatesLimit: .max) == 72_504 + 37_784 + 14_560 + 2 * 9216)
    // The states in a file are there a third time.
    #expect(
      forecast.diskByteCount(hiddenStatesLimit: 9215) == 72_504 + 37_784 + 14_560 + 3 * 9216)
  }

  @Test("the forecast is what packing makes, for every format and group size")
  func equalsPacking() throws {
    let shape = (outputSize: 80, inputSize: 48)
    for format in WeightFormat.allCases where format != .int8 {
      for group in format.coding == .trellis ? [GroupSize.row] : GroupSize.allCases {
        var plan = plan
        plan.method = .rtn
        plan.format = format
        plan.groupSize = group
        let layout = PackedLayout(
          format, groupSize: group, outputSize: shape.outputSize, inputSize: shape.inputSize)
        let scales = [Float](repeating: 1, count: shape.outputSize * layout.groupCount)
        let packed: PackedMatrix
        switch format.coding {
        case .lattice:
          let codes = [UInt16](repeating: 0, count: shape.outputSize * layout.codesPerRow)
          packed = try PackedMatrix(packing: codes.span, layout: layout, scales: scales.span)
        case .integers:
          let codes = [UInt8](repeating: 0, count: shape.outputSize * shape.inputSize)
          packed = try PackedMatrix(packing: codes.span, layout: layout, scales: scales.span)
        case .trellis:
          // Two tiles: 80 rows are stored as 128.
          let count = 2 * shape.inputSize * TrellisCode(format).bitCount
          let bits = [UInt8](repeating: 0, count: count)
          packed = try PackedMatrix(
            packingTrellis: bits.span, layout: layout, scales: scales.span)
        }
        let stored = packed.storedTensors(named: "gate").reduce(0) { $0 + $1.byteCount }
        let forecast = try forecast(plan)
        #expect(forecast.matrices[4].byteCount == stored, "\(format) \(group)")
        #expect(forecast.matrices[4].rank == 0)
      }
    }
  }

  @Test("factors of half precision, clamped ranks, columns of outliers")
  func lowRank() throws {
    var plan = plan
    plan.rank = 40
    plan.factorFormat = .f16
    plan.outlierStorage = .int8
    var matrices = try forecast(plan).matrices
    // A sixteenth of the plan's rank: 2 columns, stored as 4, in 64 + 32 bytes for a panel. They are paid for
    // with components of 192 (or 144) bytes each.
    #expect(matrices[0].columnByteCount == 3 * 96 + 8)
    #expect(matrices[1].columnByteCount == 2 * 96 + 8)
    #expect(matrices.prefix(7).map(\.rank) == [38, 22, 22, 38, 38, 38, 38])
    #expect(matrices[0].factorByteCount == 2 * 38 * 96)
    #expect(matrices[1].factorByteCount == 2 * 22 * 72)
    plan.outlierChannelCount = 33
    matrices = try forecast(plan).matrices
    // 33 columns are stored as 36.
    #expect(matrices[4].columnByteCount == 5 * (576 + 32) + 4 * 33)
    plan.method = .gptq
    #expect(try forecast(plan).matrices.allSatisfy { $0.factorByteCount + $0.columnByteCount == 0 })
    plan.method = .caldera
    plan.rank = 0
    plan.outlierChannelCount = nil
    // Without a rank there is one column, and nothing to pay for it with.
    matrices = try forecast(plan).matrices
    #expect(matrices.allSatisfy { $0.factorByteCount == 0 })
    #expect(matrices[0].columnByteCount == 3 * 96 + 4)
  }

  @Test("L has groups of 128 beyond a rank of 128, Llama-2-7B in numbers")
  func llama() throws {
    let configuration = try #require(Configuration.preset(named: "llama-2-7b"))
    var plan = FlatPlan()
    plan.format = .int2
    plan.groupSize = .columns128
    var forecast = try CompressionForecast(
      configuration: configuration, tensors: [], plan: plan.made)
    // Q: a quarter byte for a weight, 2 for 128; R: 64 rows of 2048 + 64, L: 4096 of 32 + 2.
    #expect(
      forecast.matrices[0].byteCount == (1 << 22) + (1 << 18) + 64 * 2112 + 4096 * 34)
    // 4096 needs no factor, 11008 = 43 * 256 one of 43 * 43.
    #expect(forecast.rotationByteCount == 4096 + 11008 + 4 * 43 * 43)
    #expect(forecast.headByteCount == 32000 * 4096 + 32000 * 32 * 2)
    plan.rank = 256
    forecast = try CompressionForecast(configuration: configuration, tensors: [], plan: plan.made)
    #expect(forecast.matrices[0].factorByteCount == 256 * 2112 + 4096 * (128 + 4))
  }

  @Test("rotations by sides")
  func rotations() throws {
    var plan = plan
    plan.incoherence = .input
    #expect(try forecast(plan).rotationByteCount == 48 + 80 + 4 * (144 + 400))
    plan.incoherence = .none
    #expect(try forecast(plan).rotationByteCount == 0)
  }

  @Test("heads: packed, half precision, kept, tied")
  func heads() throws {
    var plan = plan
    let copied = 20_160
    plan.headFormat = .f16
    #expect(try forecast(plan).headByteCount == 9600)
    #expect(try forecast(plan, tied: true).headByteCount == 0)
    #expect(try forecast(plan, tied: true).copiedByteCount == copied - 19_200)
    plan.headFormat = .int8
    #expect(try forecast(plan, tied: true).headByteCount == 0)
    plan.keptNames = ["lm_head"]
    #expect(try forecast(plan).headByteCount == 0)
    #expect(try forecast(plan).copiedByteCount == copied + 19_200)
    #expect(try forecast(plan, tied: true).headByteCount == 0)
    #expect(try forecast(plan, tied: true).copiedByteCount == copied)
  }

  @Test("embeddings: packed by default when tied, otherwise on demand; kept under either name")
  func embeddings() throws {
    var plan = plan
    // 7 panels of 16 rows of 48 columns, stored as 64: in groups of 64 or 32, with 2 bytes for a scale.
    let (int8, int4, f16) = (7 * 16 * (64 + 2), 7 * 16 * (32 + 2 * 2), 9600)
    #expect(try forecast(plan, tied: true).embeddingByteCount == int8)
    #expect(try forecast(plan).embeddingByteCount == 0)
    for (format, byteCount) in [(EmbeddingFormat.int8, int8), (.int4, int4), (.f16, f16)] {
      plan.embeddingFormat = format
      for tied in [false, true] {
        let forecast = try forecast(plan, tied: tied)
        #expect(forecast.embeddingByteCount == byteCount)
        #expect(forecast.copiedByteCount == 960)
        #expect(forecast.headByteCount == (tied ? 0 : 7 * (2048 + 32)))
        #expect(forecast.byteCount == 37_784 + forecast.headByteCount + byteCount + 960)
      }
    }
    plan.embeddingFormat = .int8
    for name in ["embed_tokens", "model.embed_tokens"] {
      plan.keptNames = [name]
      #expect(try forecast(plan).embeddingByteCount == 0)
      #expect(try forecast(plan, tied: true).embeddingByteCount == 0)
    }
    plan.keptNames = ["lm_head"]
    #expect(try forecast(plan).embeddingByteCount == int8)
    #expect(try forecast(plan, tied: true).embeddingByteCount == 0)
  }

  @Test("the shape of SmolLM2-135M takes at most 62 MiB at rank 36")
  func smallTiedModel() throws {
    let configuration = Configuration(
      hiddenSize: 576, intermediateSize: 1536, layerCount: 30, headCount: 9, keyValueHeadCount: 3,
      vocabularySize: 49152, tiesEmbeddings: true)
    func forecast(_ format: EmbeddingFormat?) throws -> CompressionForecast {
      var request = CompressionRequest()
      request.choices.set(MethodOptions.rank, to: 36)
      request.embeddingFormat = format
      return try CompressionForecast(
        configuration: configuration,
        // The embedding and 61 norms, in BF16.
        tensors: [
          .init(
            name: "model.embed_tokens.weight", elementCount: 49152 * 576,
            byteCount: 2 * 49152 * 576),
          .init(name: "model.norm.weight", elementCount: 61 * 576, byteCount: 2 * 61 * 576),
        ], plan: request.plan(for: configuration))
    }
    // 576 columns are nine groups of 64.
    #expect(try forecast(nil).embeddingByteCount == 49152 * (576 + 9 * 2))
    #expect(try forecast(nil).byteCount <= 62 << 20)
    #expect(try forecast(.int8) == forecast(nil))
    #expect(try forecast(.int4).embeddingByteCount == 49152 * (288 + 18 * 2))
    // 16 bits stay.
    #expect(try forecast(.f16).embeddingByteCount == 0)
    #expect(try forecast(.f16).copiedByteCount == 2 * (49152 + 61) * 576)
  }

  @Test("kept matrices are copied; names end at dots")
  func kept() throws {
    var plan = plan
    plan.keptNames = ["down_proj", "layers.1.self_attn.q_proj", "model.layers.0.mlp.up_proj"]
    let forecast = try forecast(plan)
    #expect(forecast.matrices.count == 14 - 4)
    #expect(forecast.copiedByteCount == 20_160 + 4 * (2 * 3840 + 2304 + 3840))
    for name in ["own_proj", "", "layers.1", "mlp", "x.model.layers.0.mlp.up_proj"] {
      plan.keptNames = [name]
      #expect(!plan.made.keeps("model.layers.1.mlp.down_proj"), "\(name)")
      #expect(!plan.made.keeps("model.layers.0.mlp.up_proj"), "\(name)")
    }
  }

  @Test("memory by phases, counted by hand")
  func memory() throws {
    let memory = try forecast(plan).memory(hiddenStatesLimit: .max, threadCount: 2)
    // The program, states 4 * 3 * 16 * 48, activations 4 * 16 (144 + 96 + 96 + 160 + 12), 2 * 4 * 48 * 80 of
    // widened weights.
    let states = 9216
    let always = (30 << 20) + states + 64 * 508 + 30_720
    // 8 (3 * 48^2 + 80^2), and tiles of 4 * 2 for as many numbers.
    #expect(memory.calibrating == always + 212_992)
    // The other matrices take less. down: 8 * 80^2 + 76_800 + 20_480 +
    // 16 * 2 * 80 * 32, and 28 * 48^2, which is more: 51_200 + 76_800 + 20_480 + 81_920 + 64_512.
    #expect(memory.decomposing == always + 294_912)
    // 18432 weights of a layer.
    #expect(memory.advancing == always + 119_808)
    #expect(memory.packingHead == (30 << 20) + 13 * 4800)
    #expect(memory.peak == memory.decomposing)
    #expect(
      try forecast(plan).memory(hiddenStatesLimit: 0, threadCount: 2).peak
        == memory.peak - states)
  }

  @Test("memory and disk of a corrected compression, counted by hand")
  func correctedMemory() throws {
    var plan = plan
    plan.propagation = .corrected
    let forecast = try forecast(plan)
    // As above, with two streams, the outputs of the heads (as wide as the streams), and the inputs of down.
    let states = 3 * 9216 + 15_360
    let always = (30 << 20) + states + 64 * 508 + 30_720
    let memory = forecast.memory(hiddenStatesLimit: .max, threadCount: 2)
    // down: 8 * 80^2 + 16 * 80 * 48, 4 * 16 (80 + 48) for a sample of both models, and tiles of
    // 4 * 2 * 80 (80 + 48), which is more than 16 * 80^2 + 20 * 80 * 48.
    #expect(memory.calibrating == always + 51_200 + 61_440 + 8192 + 81_920)
    // No Hessian of later inputs, but the correction of this one, 4 * 48 * 80.
    #expect(memory.decomposing == always + 294_912 + 15_360)
    #expect(forecast.hiddenStateByteCount == states)
    // Without room for the inputs of down, and without room for anything.
    for (limit, kept) in [(states - 1, 3 * 9216), (3 * 9216 - 1, 0)] {
      #expect(
        forecast.memory(hiddenStatesLimit: limit, threadCount: 2).peak
          == memory.peak - states + kept)
    }
    for (lack, kept) in [(0, states), (1, 3 * 9216), (15_361, 0)] {
      #expect(forecast.hiddenStatesLimit(memory: memory.peak - lack, threadCount: 2) == kept)
    }
    #expect(forecast.hiddenStatesLimit(memory: nil, threadCount: 2) == .max)
    var single = plan
    single.propagation = .compressed
    let other = try self.forecast(single)
    // The two streams are saved twice; what is not in memory is in files.
    for (limit, files) in [(Int.max, 0), (0, 3 * 9216)] {
      #expect(
        forecast.diskByteCount(hiddenStatesLimit: limit)
          == other.diskByteCount(hiddenStatesLimit: .max) + 2 * 9216 + files)
    }
  }

  @Test("time grows with the work and falls with the rate")
  func time() throws {
    var plan = plan
    let seconds = try forecast(plan).seconds(rate: 1e9)
    #expect(seconds > 0)
    #expect(try forecast(plan).seconds(rate: 2e9) == seconds / 2)
    plan.initialization = .auto
    #expect(try forecast(plan).seconds(rate: 1e9) > seconds)
    plan.method = .gptq
    let gptq = try forecast(plan).seconds(rate: 1e9)
    #expect(gptq < seconds)
    plan.method = .rtn
    #expect(try forecast(plan).seconds(rate: 1e9) < gptq)
  }

  @Test("a size without a rotation is refused, unless there is to be none")
  func noRotation() throws {
    // 1034 = 2 * 517, and 517 is beyond the orders of random factors.
    let configuration = Configuration(
      hiddenSize: 1034, intermediateSize: 64, layerCount: 1, headCount: 1, vocabularySize: 8)
    var plan = plan
    #expect(throws: IncoherenceError.self) {
      try CompressionForecast(configuration: configuration, tensors: [], plan: plan.made)
    }
    plan.incoherence = .none
    _ = try CompressionForecast(configuration: configuration, tensors: [], plan: plan.made)
  }

  @Test("a summary's mean, worst and reduction")
  func summary() {
    var summary = CompressionSummary()
    #expect(summary.meanRelativeError == nil && summary.worstRecord == nil)
    #expect(summary.reduction == nil)
    summary.records = [("a", 0.25), ("b", 0.5), ("c", 0.5), ("d", 0)].map {
      var record = MatrixRecord()
      record.name = $0.0
      record.relativeError = $0.1
      return record
    }
    summary.sourceByteCount = 300
    summary.byteCount = 100
    #expect(summary.meanRelativeError == 0.3125)
    #expect(summary.worstRecord?.name == "b")
    #expect(summary.reduction == 3)
  }

  @Test("norms that AWQ rescales are counted in F32, the others as they are")
  func widenedNorms() throws {
    let configuration = Configuration(
      hiddenSize: 64, intermediateSize: 96, layerCount: 3, headCount: 2, vocabularySize: 50)
    var tensors = [
      CompressionForecast.Tensor(name: "model.norm.weight", elementCount: 64, byteCount: 128)
    ]
    for layer in 0..<3 {
      for name in ["input_layernorm", "post_attention_layernorm"] {
        tensors.append(
          .init(
            name: "model.layers.\(layer).\(name).weight", elementCount: 64, byteCount: 128))
      }
    }
    func copied(_ change: (inout FlatPlan) -> Void) throws -> Int {
      var plan = FlatPlan()
      (plan.method, plan.incoherence, plan.format) = (.awq, .none, .int4)
      plan.groupSize = .columns32
      change(&plan)
      return try CompressionForecast(
        configuration: configuration, tensors: tensors, plan: plan.made
      )
      .copiedByteCount
    }
    #expect(try copied { $0.method = .rtn } == 7 * 128)
    #expect(try copied { _ in } == 128 + 6 * 256)
    // Where k stays, nothing is divided by its norm.
    #expect(try copied { $0.keptNames = ["k_proj"] } == 128 + 3 * 128 + 3 * 256)
  }
}
