import DuetCompressor
import DuetRuntime
import DuetSystem
import Foundation
import TestSupport
import Testing

/// `compress tune` on a tiny model: what it writes, and that a stopped run gives the same bytes.
@Suite("Tuning")
struct TunerTests {
  /// A tiny model and its compressed twin.
  private struct Scene {
    let fixture: CompressionFixture
    let folder: TemporaryFolder
    var compressed: String { "\(folder.path)/compressed" }
    var options = TuningOptions()
    let samples: CalibrationSamples

    init() throws {
      fixture = try CompressionFixture(isTied: true)
      folder = try TemporaryFolder()
      // Random tokens: many more than a compression of so small a model needs.
      var generator = RandomGenerator(seed: 9)
      samples = try CalibrationSamples(
        tokens: (0..<40 * 16).map { _ in Int(generator.nextUnit() * 100) }, sources: [],
        sampleCount: 40, contextLength: 16, seed: 0)
      try fixture.run(to: compressed)
      options.stepCount = 12
      options.batchSize = 6
      options.heldOutCount = 4
      options.checkInterval = 4
      options.rate = 0.01
    }

    func run(
      _ name: String, observer: some TuningObserver = SilentTuning(), threadCount: Int = 2,
      hiddenStatesLimit: Int = .max
    ) throws -> TuningSummary {
      try Tuner(
        Checkpoint(contentsOf: compressed), original: fixture.checkpoint, options: options,
        run: CompressorOptions(threadCount: threadCount, hiddenStatesLimit: hiddenStatesLimit)
      ).run(to: "\(folder.path)/\(name)", samples: samples, observer: observer)
    }

    /// The divergence from the original on the held-out samples, of the programs' own forward pass with activations
    /// in F32, in nats per token.
    func divergence(_ name: String) throws -> Double {
      let models = [try Model(contentsOf: "\(folder.path)/\(name)"), try Model(fixture.checkpoint)]
      var sum = 0.0
      let held = options.heldOut(of: samples.sampleCount)
      for sample in held {
        let rows = try models.map { model in
          var session = try Session(
            model, options: SessionOptions(cacheType: .f32, activations: .f32))
          return try samples.tokens(of: sample).map { token in
            try session.append([token])
            return Self.logarithms(session.logits)
          }
        }
        for (p, q) in zip(rows[0], rows[1]) {
          sum += zip(p, q).reduce(0) { $0 + exp($1.1) * ($1.1 - $1.0) }
        }
      }
      return sum / Double(held.count * samples.contextLength)
    }

    private static func logarithms(_ logits: Span<Float>) -> [Double] {
      let numbers = logits.indices.map { Double(logits[$0]) }
      let all = log(numbers.reduce(0) { $0 + exp($1) })
      return numbers.map { $0 - all }
    }
  }

  @Test("the tuned model is nearer to the original, by an independent measurement")
  func isNearer() throws {
    let scene = try Scene()
    let summary = try scene.run("tuned")
    #expect(summary.isComplete && summary.steps == 12 && summary.losses.count == 12)
    #expect(summary.checks.map(\.step) == [0, 4, 8, 12])
    let best = try #require(summary.best)
    let (before, after) = (try scene.divergence("compressed"), try scene.divergence("tuned"))
    // Logits near 1 in Float are off by about 2^-20, and a divergence of d by sqrt(2 d) times that: 2^-18 of 0.05.
    // Rounding a scale moves weights by 2^-12 of themselves where their codes are off by more than a tenth, so it moves
    // a divergence, which goes with the square, by less than 2 * 2^-12 / 0.1 = 0.005 of itself.
    #expect(abs(summary.checks[0].divergence - before) < 1e-4 * before)
    #expect(abs(best.divergence - after) < 0.01 * after)
    #expect(after < 0.98 * before, "\(before) to \(after)")
  }

  @Test("only scales and gains change, and the report says what was done")
  func changesNothingElse() throws {
    let scene = try Scene()
    let summary = try scene.run("tuned")
    let (old, new) = (
      try Checkpoint(contentsOf: scene.compressed),
      try Checkpoint(contentsOf: "\(scene.folder.path)/tuned")
    )
    #expect(Set(old.names) == Set(new.names))
    var changed = 0
    for name in old.names {
      let (before, after) = (
        try #require(try old.tensor(named: name)), try #require(try new.tensor(named: name))
      )
      let mayChange =
        name.contains("norm") || (name.hasSuffix(".scales") && !name.hasPrefix("model.embed"))
      if before.byteArray != after.byteArray { changed += 1 }
      #expect(before.byteArray == after.byteArray || mayChange, "\(name)")
    }
    // Q, L and R of 14 matrices and five norms.
    #expect(changed == 14 * 3 + 5)
    #expect(try new.verifyChecksums() == 1)
    let (a, b) = (try files(in: scene.compressed), try files(in: "\(scene.folder.path)/tuned"))
    for name in ["config.json", "tokenizer.json"] { #expect(a[name] == b[name], "\(name)") }
    #expect(b["compression_timings.json"] == nil)
    let text = try #require(b["compression_report.json"])
    let report = try #require(
      JSONSerialization.jsonObject(with: Data(text)) as? [String: Any])
    let tuning = try #require(report["tuning"] as? [String: Any])
    #expect(tuning["steps_done"] as? Int == 12)
    #expect(tuning["parameters"] as? Int == summary.parameterCount)
    #expect((report["matrices"] as? [Any])?.count == 15)
  }

  @Test("a run that was stopped goes on, to the same bytes, with any number of threads")
  func resumes() throws {
    let scene = try Scene()
    _ = try scene.run("whole")
    let whole = try files(in: "\(scene.folder.path)/whole")
    for (index, limit) in [0, 1, 3, 90, 110, 140].enumerated() {
      let name = "stopped-\(index)"
      let first = try scene.run(name, observer: StoppingTuning(after: limit))
      #expect(!first.isComplete)
      #expect(!FileManager.default.fileExists(atPath: "\(scene.folder.path)/\(name)/config.json"))
      // The streams of the original are in a file the second time.
      let second = try scene.run(name, threadCount: 1, hiddenStatesLimit: 0)
      #expect(second.isComplete)
      #expect(try files(in: "\(scene.folder.path)/\(name)") == whole, "stopped after \(limit)")
    }
  }

  @Test("samples that the model writes are new, the same for a seed, and not drawn again")
  func ownSamples() throws {
    var scene = try Scene()
    scene.options.ownSampleCount = 5
    scene.options.batchSize = 20
    let whole = try scene.run("whole")
    let bytes = try files(in: "\(scene.folder.path)/whole")
    #expect(whole.isComplete)
    // Stopped in the third sample: 16 tokens each, of which 8 are given.
    let counting = StoppingTuning(after: 20)
    #expect(try !scene.run("stopped", observer: counting).isComplete)
    let state = "\(scene.folder.path)/stopped/.compress"
    let own = try (0..<2).map { index in
      let data = try Data(contentsOf: URL(fileURLWithPath: "\(state)/own-sample-\(index).json"))
      let document = try JSONSerialization.jsonObject(with: data) as? [String: Any]
      return try #require(document?["tokens"] as? [Int])
    }
    #expect(own.allSatisfy { $0.count == 16 })
    #expect(!FileManager.default.fileExists(atPath: "\(state)/own-sample-2.json"))
    for (index, ids) in own.enumerated() {
      let text = Array(scene.samples.tokens(of: index))
      #expect(ids.prefix(8) == text.prefix(8) && ids != text)
    }
    #expect(try scene.run("stopped", threadCount: 1).isComplete)
    #expect(try files(in: "\(scene.folder.path)/stopped") == bytes)
    // They are trained with.
    scene.options.ownSampleCount = 0
    _ = try scene.run("without")
    #expect(
      try files(in: "\(scene.folder.path)/without")["model.safetensors"]
        != bytes["model.safetensors"])
  }

  @Test("a damaged state is not used")
  func damagedState() throws {
    let scene = try Scene()
    _ = try scene.run("whole")
    _ = try scene.run("damaged", observer: StoppingTuning(after: 140))
    let path = "\(scene.folder.path)/damaged/.compress/tuning.safetensors"
    var bytes = try [UInt8](Data(contentsOf: URL(fileURLWithPath: path)))
    bytes[bytes.count - 100] ^= 1
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    let summary = try scene.run("damaged")
    #expect(summary.isComplete && summary.resumedSteps == 0)
    #expect(
      try files(in: "\(scene.folder.path)/damaged") == files(in: "\(scene.folder.path)/whole"))
  }

  @Test("steps that make it worse are not accepted, and tuning ends early")
  func neverWorse() throws {
    var scene = try Scene()
    scene.options.rate = 0.9
    scene.options.patience = 1
    let summary = try scene.run("tuned")
    #expect(summary.isComplete && summary.steps == 4 && summary.best?.step == 0)
    let (old, new) = (
      try Checkpoint(contentsOf: scene.compressed),
      try Checkpoint(contentsOf: "\(scene.folder.path)/tuned")
    )
    for name in old.names where name.hasSuffix(".scales") {
      #expect(try old.tensor(named: name)?.byteArray == new.tensor(named: name)?.byteArray)
    }
  }

  @Test("numbers that are not finite end the run with a sentence")
  func notFinite() throws {
    var scene = try Scene()
    // The first step makes scales of 10^38, whose products are infinite.
    scene.options.rate = 1e38
    let error = #expect(throws: CompressionError.self) { try scene.run("tuned") }
    #expect(error?.description.contains("--learning-rate") == true)
    #expect(error?.category == .numerical)
    #expect(!FileManager.default.fileExists(atPath: "\(scene.folder.path)/tuned/config.json"))
  }

  @Test("a step is one of Adam")
  func adam() {
    // By hand with exact fractions: after the first step both moments are corrected to g and g^2, so the step is the
    // rate times the sign of g; then m = 0.9 * 0.1 g1 + 0.1 g2 and v = 0.95 * 0.05 g1^2 + 0.05 g2^2.
    func buffer(_ numbers: [Float]) -> Buffer<Float> {
      var result = Buffer<Float>(count: numbers.count)
      for (index, number) in numbers.enumerated() { result[index] = number }
      return result
    }
    var x = buffer([1, -2, 3])
    var m = buffer([0, 0, 0])
    var v = buffer([0, 0, 0])
    Adam.step(1, rate: 0.5, gradient: buffer([4, -0.25, 0]), &x, &m, &v)
    for (index, expected) in [0.5, -1.5, 3].enumerated() {
      #expect(abs(Double(x[index]) - expected) < 4 * 0x1p-23)
    }
    Adam.step(2, rate: 0.5, gradient: buffer([-4, -0.25, 1]), &x, &m, &v)
    let moments = [
      (0.09 * 4 - 0.1 * 4, 0.0475 * 16 + 0.05 * 16), (-0.19 * 0.25, 0.0975 / 16), (0.1, 0.05),
    ]
    for (index, (first, second)) in moments.enumerated() {
      let step = 0.5 * (first / 0.19) / (second / 0.0975).squareRoot()
      // 1 - 0.9^2 loses three bits and 1 - 0.95^2 four.
      #expect(abs(Double(x[index]) - ([0.5, -1.5, 3][index] - step)) < 64 * 0x1p-23, "\(index)")
    }
  }

  @Test("all samples are taken before any is taken again")
  func order() {
    let samples = [3, 5, 8, 9, 11, 14, 20]
    let order = SampleOrder(samples, seed: 6)
    let taken = (0..<7).flatMap { order.batch(ofStep: $0, size: 3) }
    #expect(taken.count == 21)
    for pass in 0..<3 { #expect(taken[7 * pass..<7 * pass + 7].sorted() == samples) }
    #expect(Array(taken[0..<7]) != samples && Array(taken[0..<7]) != Array(taken[7..<14]))
    #expect(SampleOrder(samples, seed: 7).batch(ofStep: 0, size: 7) != Array(taken[0..<7]))
  }

  @Test("rates rise over a twentieth of the steps, then fall to a tenth")
  func rates() {
    var options = TuningOptions()
    options.stepCount = 100
    options.rate = 2
    let expected = [
      (0, 0.4), (4, 2.0), (5, 2.0), (52, 2 * (1 - 0.9 * 47.0 / 95)),
      (99, 2 * (1 - 0.9 * 94.0 / 95)),
    ]
    for (step, rate) in expected {
      #expect(abs(options.rate(ofStep: step) - rate) < 1e-12, "\(step)")
    }
    options.heldOutCount = 4
    #expect(
      options.heldOut(of: 128) == [16, 48, 80, 112] && options.heldOut(of: 4) == [0, 1, 2, 3])
  }
}

/// Hears nothing and stops nothing.
private struct SilentTuning: TuningObserver {
  func began(_ phase: TuningPhase) {}
  func progressed(_ done: Int, of total: Int) {}
  func stepped(_ step: Int, of total: Int, divergence: Double) {}
  func judged(_ check: TuningCheck) {}
  var isCancelled: Bool { false }
}

/// Stops a run when it has asked so many times.
private final class StoppingTuning: TuningObserver {
  private var rest: Int

  init(after count: Int) { rest = count }

  func began(_ phase: TuningPhase) {}
  func progressed(_ done: Int, of total: Int) { rest -= 1 }
  func stepped(_ step: Int, of total: Int, divergence: Double) {}
  func judged(_ check: TuningCheck) {}
  var isCancelled: Bool { rest < 0 }
}
