package import DuetRuntime
internal import DuetSystem
internal import DuetText

/// The tuning of a compressed model: its codes stay, and the real numbers beside them are trained to bring its
/// predictions nearer to those of the original model.
///
/// ```
/// let the original model write more samples, if that is asked for
/// run the samples through the original model, and keep the residual streams behind its last layer
/// judge the model on the held-out samples
/// for each step:
///     the divergence of some samples, and its derivatives by all numbers (see `TunedModel`)
///     a step of Adam; write the state
///     now and then judge the model, and keep the best numbers
/// write the model with the best numbers
/// ```
///
/// A sample's loss is the Kullback-Leibler divergence of the compressed model from the original, over all its
/// tokens. Samples are taken in an order that the seed decides, all once before any is taken again. The model that
/// is written is never worse on the held-out samples than the one that was read. A run that was stopped goes on after
/// its last step, and gives the bytes of one that was not.
package struct Tuner {
  private let compressed: Checkpoint
  private let original: Checkpoint
  private let options: TuningOptions
  private let run: CompressorOptions
  private let algebra: LinearAlgebra

  /// A tuning of `compressed`, a model made from `original`.
  ///
  /// - Parameters:
  ///   - compressed: The compressed model.
  ///   - original: The model that it was made from.
  ///   - options: How it is tuned.
  ///   - run: How the run goes.
  package init(
    _ compressed: Checkpoint, original: Checkpoint, options: TuningOptions, run: CompressorOptions
  ) {
    self.compressed = compressed
    self.original = original
    self.options = options
    self.run = run
    algebra = LinearAlgebra(WorkerPool(threadCount: run.threadCount))
  }

  /// Tunes the model.
  ///
  /// - Parameters:
  ///   - path: The folder of the tuned model.
  ///   - samples: The samples, more than are held out.
  ///   - observer: Is told of the progress and may stop the run.
  /// - Returns: What was done.
  /// - Throws: `CompressionError`; the state of the run stays.
  package func run(
    to path: String, samples: CalibrationSamples, observer: some TuningObserver
  ) throws(CompressionError) -> TuningSummary {
    var folder: OutputFolder?
    do {
      return try LargeMemory.shared.keeping {
        try run(in: &folder, path, samples, observer)
      }
    } catch let error as any DuetError {
      // Whatever has failed, files that were removed or are another run's are the reason.
      throw CompressionError(folder?.lockLoss ?? error)
    } catch {
      preconditionFailure("\(error) is no error of this package")
    }
  }

  private func run(
    in folder: inout OutputFolder?, _ path: String, _ samples: CalibrationSamples,
    _ observer: some TuningObserver
  ) throws -> TuningSummary {
    let fingerprint = try fingerprint(samples)
    let output = try OutputFolder(path, source: compressed.folder, force: run.force)
    folder = output
    try OutputFolder.check(path, apartFrom: original.folder)
    let journal = try Journal(output, fingerprint: fingerprint, resume: run.resume)
    if !journal.isResumed { try output.requireFreeSpace(run.neededByteCount) }
    let numbers = try TunedModel(compressed, algebra)
    var state = TuningState(count: numbers.count)
    let isResumed = try state.restore(from: output, run: journal.run)
    var summary = TuningSummary(parameterCount: numbers.count, resumedSteps: state.step)
    let isOver = state.step >= options.stepCount || state.checksSinceBest >= options.patience
    if !isResumed || !isOver {
      let loss = try loss(numbers, samples, output, journal.run, observer)
      guard let loss else { return summary }
      try train(&state, loss, output, journal.run, observer)
    }
    summary.steps = state.step
    summary.checks = state.checks
    summary.losses = state.losses
    guard state.step >= options.stepCount || state.checksSinceBest >= options.patience else {
      return summary
    }
    observer.began(.writing)
    try TunedModelWriter(compressed, output, options, samples).write(
      try numbers.storedTensors(state.best), summary)
    summary.isComplete = true
    return summary
  }

  /// The divergence on all samples, those of the model's own included; nil when the observer stopped the run.
  private func loss(
    _ numbers: TunedModel, _ samples: CalibrationSamples, _ output: OutputFolder, _ run: String,
    _ observer: some TuningObserver
  ) throws -> DistillationLoss? {
    var own = try OwnSamples(in: output, run: run)
    if options.ownSampleCount > 0 {
      observer.began(.sampling)
      let isComplete = try own.draw(
        options.ownSampleCount, samples, Model(original), seed: options.seed,
        threadCount: self.run.threadCount, observer)
      guard isComplete else { return nil }
    }
    let text = (0..<samples.sampleCount).map { samples.tokens(of: $0) }
    return try DistillationLoss(
      numbers, compressed, original, text + own.tokens.map { $0[...] },
      textCount: samples.sampleCount, options, self.run, folder: output.statePath, algebra,
      observer)
  }

  /// Takes steps until tuning is over or the observer stops it.
  private func train(
    _ state: inout TuningState, _ loss: DistillationLoss, _ output: OutputFolder, _ run: String,
    _ observer: some TuningObserver
  ) throws {
    if state.checks.isEmpty {
      observer.began(.judging)
      guard let divergence = try loss.judge(state.numbers, observer) else { return }
      guard divergence.isFinite else { throw CompressionDataError.tuningDiverged(step: 0) }
      state.record(divergence)
      observer.judged(state.checks[0])
      try state.save(in: output, run: run)
    }
    var gradient = Buffer<Float>(count: state.numbers.count)
    while state.step < options.stepCount, state.checksSinceBest < options.patience {
      observer.began(.training(stepsDone: state.step))
      guard
        let value = try loss.gradient(
          state.numbers, loss.batch(ofStep: state.step), into: &gradient, observer)
      else { return }
      guard value.isFinite else {
        throw CompressionDataError.tuningDiverged(step: state.step + 1)
      }
      Adam.step(
        state.step + 1, rate: Float(options.rate(ofStep: state.step)), gradient: gradient,
        &state.numbers, &state.first, &state.second)
      state.step += 1
      state.losses.append(value)
      observer.stepped(state.step, of: options.stepCount, divergence: value)
      if state.step % options.checkInterval == 0 || state.step == options.stepCount {
        observer.began(.judging)
        guard let divergence = try loss.judge(state.numbers, observer) else { return }
        guard divergence.isFinite else {
          throw CompressionDataError.tuningDiverged(step: state.step)
        }
        state.record(divergence)
        observer.judged(TuningCheck(step: state.step, divergence: divergence))
      }
      try state.save(in: output, run: run)
      if observer.isCancelled { return }
    }
  }

  /// The identity of the run.
  private func fingerprint(_ samples: CalibrationSamples) throws(JournalError) -> Fingerprint {
    try Fingerprint(
      options.members.map { ("tuning.\($0.name)", $0.value.text) }
        + [("calibration", samples.digest)],
      compressed, original)
  }
}
