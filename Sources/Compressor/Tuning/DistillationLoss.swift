internal import DuetRuntime
internal import DuetSystem

/// The divergence of a compressed model from its original on samples, and its derivatives by the tuned numbers.
final class DistillationLoss {
  private let numbers: TunedModel
  private let model: Model
  private let sequences: [ArraySlice<Int>]
  private let tokenCount: Int
  private let options: TuningOptions
  private let configuration: Configuration
  private let head: HeadDivergence<Float>
  private let order: SampleOrder
  private let heldOut: [Int]
  /// The streams behind the original's last layer of the samples that the run may need, in the order of `places`.
  private let reference: HiddenStates
  /// The places of samples in `reference`.
  private let places: [Int: Int]
  private let algebra: LinearAlgebra
  private let folder: String

  /// Runs the samples that the steps and judgements need through the original model; nil when the observer stops it.
  ///
  /// - Parameters:
  ///   - numbers: The tuned numbers of the compressed model.
  ///   - compressed: The compressed model.
  ///   - original: The original model.
  ///   - sequences: The ids of all samples, all of one length; those of the text come first.
  ///   - textCount: The samples of the text, some of which are held out.
  ///   - options: How the model is tuned.
  ///   - run: How the run goes.
  ///   - folder: Where temporary files are made.
  ///   - algebra: The threads to compute with.
  ///   - observer: Is told of the progress.
  /// - Throws: `CheckpointError`, `GenerationError`, `FileError`.
  init?(
    _ numbers: TunedModel, _ compressed: Checkpoint, _ original: Checkpoint,
    _ sequences: [ArraySlice<Int>], textCount: Int, _ options: TuningOptions,
    _ run: CompressorOptions,
    folder: String, _ algebra: LinearAlgebra, _ observer: some TuningObserver
  ) throws {
    observer.began(.original)
    self.numbers = numbers
    let tokenCount = sequences[0].count
    self.sequences = sequences
    self.tokenCount = tokenCount
    self.options = options
    self.algebra = algebra
    self.folder = folder
    configuration = compressed.configuration
    model = try Model(compressed)
    let out = options.heldOut(of: textCount)
    heldOut = out
    order = SampleOrder(sequences.indices.filter { !out.contains($0) }, seed: options.seed)
    let needed = (out + order.first(options.stepCount * options.batchSize)).sorted()
    places = Dictionary(uniqueKeysWithValues: needed.enumerated().map { ($1, $0) })
    let originalModel = try Model(original)
    let layout = LayerParameterLayout(original.configuration)
    var states = try HiddenStates.embedded(
      needed.map { sequences[$0] }, originalModel,
      memoryLimit: run.hiddenStatesLimit, folder: folder)
    var forward = LayerwiseForward(
      original.configuration, tokenCount: tokenCount, algebra)
    let total = needed.count * original.configuration.layerCount
    var done = 0
    do {
      try forward.run(
        &states, parameters: { try LayerParameters(original, layer: $0, layout) },
        progress: {
          done += 1
          observer.progressed(done, of: total)
          if observer.isCancelled { throw CompressionStopped() }
        })
    } catch is CompressionStopped {
      return nil
    }
    reference = states
    head = HeadDivergence(
      try OutputHead(compressed, algebra), reference: try OutputHead(original, algebra), algebra)
  }

  /// The samples of a step, from 0.
  func batch(ofStep step: Int) -> [Int] { order.batch(ofStep: step, size: options.batchSize) }

  /// Reads the stream of a sample behind the original's last layer.
  private func readReference(_ sample: Int, into stream: inout Buffer<Float>) throws {
    guard let place = places[sample] else { preconditionFailure("sample \(sample) is not there") }
    try reference.read(place, into: &stream)
  }

  /// The divergence on the held-out samples, in nats per token; nil when the observer stopped the run.
  ///
  /// - Throws: `CheckpointError`, `GenerationError`, `FileError`.
  func judge(
    _ values: borrowing Buffer<Float>, _ observer: some TuningObserver
  ) throws -> Double? {
    let held = heldOut.map { sequences[$0] }
    var states = try HiddenStates.embedded(
      held, model, memoryLimit: Int.max, folder: folder)
    var forward = LayerwiseForward(configuration, tokenCount: tokenCount, algebra)
    // A closure cannot hold the borrowed numbers.
    let numbers = numbers
    let copy = values.copy()
    let total = held.count * configuration.layerCount
    var done = 0
    do {
      try forward.run(
        &states, parameters: { try numbers.parameters(ofLayer: $0, copy) },
        progress: {
          done += 1
          observer.progressed(done, of: total)
          if observer.isCancelled { throw CompressionStopped() }
        })
    } catch is CompressionStopped {
      return nil
    }
    head.setGains(numbers.outputGains(values))
    var stream = Buffer<Float>(count: states.sampleSize)
    var target = Buffer<Float>(count: reference.sampleSize)
    var sum = 0.0
    for (index, sample) in heldOut.enumerated() {
      try states.read(index, into: &stream)
      try readReference(sample, into: &target)
      sum += head.divergence(stream, from: target)
    }
    return sum / Double(heldOut.count * tokenCount)
  }

  /// The divergence of some samples and its derivatives.
  ///
  /// - Parameters:
  ///   - values: All tuned numbers.
  ///   - batch: The samples.
  ///   - gradient: The derivatives by all numbers, overwritten.
  ///   - observer: Is told of the progress.
  /// - Returns: The divergence in nats per token; nil when the observer stopped the run.
  /// - Throws: `CheckpointError`, `GenerationError`, `FileError`.
  func gradient(
    _ values: borrowing Buffer<Float>, _ batch: [Int], into gradient: inout Buffer<Float>,
    _ observer: some TuningObserver
  ) throws -> Double? {
    var pass = LayerwiseGradient<Float>(
      configuration, sequenceCount: batch.count, tokenCount: tokenCount, algebra)
    for index in 0..<gradient.count { gradient[index] = 0 }
    head.setGains(numbers.outputGains(values))
    head.clearGainGradient()
    var targets: [HeldBuffer] = []
    for sample in batch {
      let target = HeldBuffer(count: reference.sampleSize)
      try readReference(sample, into: &target.numbers)
      targets.append(target)
    }
    let (numbers, head, model, sequences) = (numbers, head, model, sequences)
    let copy = values.copy()
    let result = HeldBuffer(count: gradient.count)
    let total = 2 * configuration.layerCount
    var done = 0
    let sum: Double
    do {
      sum = try pass.run(
        embed: { try model.embed(sequences[batch[$0]], into: &$1) },
        parameters: { layer in
          done += 1
          observer.progressed(done, of: total)
          if observer.isCancelled { throw CompressionStopped() }
          return try numbers.parameters(ofLayer: layer, copy)
        },
        loss: { head.divergence($1, from: targets[$0].numbers, gradient: &$2) },
        visit: { layer, _, gradients in
          numbers.addGradient(ofLayer: layer, gradients, copy, to: result.numbers)
        })
    } catch is CompressionStopped {
      return nil
    }
    numbers.addGradient(ofOutputGains: head.gainGradient, to: result.numbers)
    let share = 1 / Double(batch.count * tokenCount)
    for index in 0..<gradient.count { gradient[index] = result.numbers[index] * Float(share) }
    return sum * share
  }
}

/// A buffer that closures can hold.
private final class HeldBuffer {
  var numbers: Buffer<Float>

  init(count: Int) { numbers = Buffer(count: count) }
}
