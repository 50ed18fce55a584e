internal import DuetRuntime
internal import DuetSystem

/// Some of the samples, run through the original model, with their streams kept before the first layers of the
/// parts of a model.
///
/// Samples do not depend on each other, so each of several machines runs its share of them, and a part takes
/// its streams from the shares of all.
struct StatesShare<Observer: CompressionObserver> {
  let context: CompressionContext
  let samples: CalibrationSamples
  /// The layers before which streams are kept, rising.
  let boundaries: [Int]
  let observer: Observer

  /// Runs the samples of a share as far as the last boundary, continuing from what the journal has.
  ///
  /// - Parameters:
  ///   - number: Which share.
  ///   - journal: Where the streams are saved, before every layer so that a run can be resumed.
  /// - Throws: `LayerCalibrationError`, `HiddenStatesError`, errors of files.
  func run(_ number: PartNumber, _ journal: Journal) throws {
    let range = number.share(of: samples.sampleCount)
    guard let last = boundaries.last, !range.isEmpty else { return }
    let share = try CalibrationSamples(
      tokens: range.flatMap { samples.tokens(of: $0) }, sources: samples.sources,
      sampleCount: range.count, contextLength: samples.contextLength, seed: samples.seed)
    var calibration = LayerCalibration(
      context.model.configuration, contextLength: samples.contextLength, context.algebra)
    // Without the streams of an earlier boundary, the last ones are of no use.
    let saved = try journal.lastHiddenStates() ?? 0
    let areThere = boundaries.allSatisfy {
      $0 > saved || fileExists(journal.hiddenStatesPath(layer: $0))
    }
    var layer = areThere ? saved : 0
    var states: HiddenStates
    if layer > 0 {
      states = try restored(
        journal.hiddenStatesPath(layer: layer), sampleCount: range.count, journal.output.statePath,
        run: journal.run)
    } else {
      states = try empty(sampleCount: range.count, journal.output.statePath)
      try calibration.embed(share, with: context.model, into: &states)
    }
    let total = range.count * samples.contextLength
    let control = LayerCalibration.Control(
      progress: { observer.progressed($0, of: total) }, isCancelled: { observer.isCancelled })
    while layer < last {
      observer.phaseBegan(.advancing(layer: layer))
      try calibration.advance(
        &states, through: context.model.layers[layer], index: layer, control: control)
      layer += 1
      try states.save(
        to: journal.hiddenStatesPath(layer: layer), run: journal.run,
        operations: journal.output.operations)
      try journal.removeHiddenStates(before: layer, except: boundaries)
    }
  }

  /// Collects the streams of all samples before `layer` from the shares, and saves them in the journal of a
  /// part.
  ///
  /// - Throws: `PartError.incompleteStates`, which names every share that lacks something,
  ///   `HiddenStatesError`, errors of files.
  func collect(
    before layer: Int, from folders: PartFolders, count: Int, of run: Fingerprint,
    for journal: Journal
  ) throws {
    let shares = PartNumber.all(count).filter { !$0.share(of: samples.sampleCount).isEmpty }
    let problems = try shares.compactMap { number in
      try state(of: number, layer: layer, folders, run).map {
        PartError.Problem(number: number, state: $0)
      }
    }
    guard problems.isEmpty else {
      throw PartError.incompleteStates(path: folders.path, problems)
    }
    let work = journal.output.statePath
    var states = try empty(sampleCount: samples.sampleCount, work)
    var row = Buffer<Float>(count: states.sampleSize)
    for number in shares {
      let range = number.share(of: samples.sampleCount)
      let share = try restored(
        Journal.hiddenStatesPath(layer: layer, in: folders.states(number)),
        sampleCount: range.count, work,
        run: run.of(statesShare: number, boundaries: boundaries).runDigest)
      for sample in range {
        try share.read(sample - range.lowerBound, into: &row)
        try states.write(sample, from: row)
      }
    }
    try states.save(
      to: journal.hiddenStatesPath(layer: layer), run: journal.run,
      operations: journal.output.operations)
  }

  /// What a share lacks, or nil when it has the streams before `layer`.
  private func state(
    of number: PartNumber, layer: Int, _ folders: PartFolders, _ run: Fingerprint
  ) throws -> PartError.State? {
    let folder = folders.states(number)
    let path = OutputFolder.fingerprintPath(in: folder)
    guard fileExists(path) else { return .missing }
    guard let recorded = try Fingerprint(contentsOf: path) else { return .damaged }
    let expected = run.of(statesShare: number, boundaries: boundaries)
    let differences = expected.differences(from: recorded)
    guard differences.isEmpty else { return .foreign(differences) }
    func isThere(_ layer: Int) throws(FileError) -> Bool {
      let path = Journal.hiddenStatesPath(layer: layer, in: folder)
      guard fileExists(path) else { return false }
      return try HiddenStates.wereSaved(at: path, by: expected.runDigest)
    }
    if try isThere(layer) { return nil }
    var done = 0
    for boundary in boundaries where try isThere(boundary) { done += 1 }
    return .unfinished(done: done, count: boundaries.count)
  }

  private func empty(sampleCount: Int, _ folder: String) throws(FileError) -> HiddenStates {
    try HiddenStates(
      sampleCount: sampleCount, contextLength: samples.contextLength,
      hiddenSize: context.model.configuration.hiddenSize,
      memoryLimit: context.options.hiddenStatesLimit, folder: folder)
  }

  private func restored(
    _ path: String, sampleCount: Int, _ folder: String, run: String
  ) throws(HiddenStatesError) -> HiddenStates {
    try HiddenStates.restored(
      from: path, sampleCount: sampleCount, contextLength: samples.contextLength,
      hiddenSize: context.model.configuration.hiddenSize,
      memoryLimit: context.options.hiddenStatesLimit, folder: folder, run: run)
  }
}
