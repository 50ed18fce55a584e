internal import DuetRuntime
internal import DuetSystem
internal import DuetText

/// Texts that the original model writes, as more samples to tune with: no text is too short for it.
///
/// Sample i begins with the first tokens of a sample of the calibration text, taken in turn, and goes on with tokens
/// that the model draws at temperature 1 from all of its vocabulary. Each finished sample is a file of the run.
///
/// Source of the idea: Liu et al., LLM-QAT, arXiv:2305.17888.
struct OwnSamples {
  /// The tokens of the calibration text that a sample begins with.
  private static let beginning = 8

  /// The ids of the samples, each of the length of a calibration sample.
  private(set) var tokens: [[Int]]

  private let folder: OutputFolder
  private let run: String

  /// The samples that an earlier run has finished, up to the first whose file is missing, damaged or of another run.
  ///
  /// - Throws: `FileError` when a file of the run is there but cannot be read.
  init(in folder: OutputFolder, run: String) throws(FileError) {
    self.folder = folder
    self.run = run
    tokens = []
    while let ids = try sample(tokens.count) { tokens.append(ids) }
  }

  private func path(_ index: Int) -> String { "\(folder.statePath)/own-sample-\(index).json" }

  /// The sample in the file of the run, or nil.
  private func sample(_ index: Int) throws(FileError) -> [Int]? {
    let path = path(index)
    guard fileExists(path) else { return nil }
    do throws(JSONError) {
      let document = try JSONDocument(contentsOf: path, limits: JSONLimits(byteCount: 1 << 26))
      guard document.root["run"]?.string == run, let ids = document.root["tokens"]?.elements
      else { return nil }
      let found = ids.map(\.int)
      return found.contains(nil) ? nil : found.compactMap(\.self)
    } catch {
      if case .file(let error) = error { throw error }
      return nil
    }
  }

  /// Draws the samples that are missing.
  ///
  /// - Parameters:
  ///   - count: How many samples there shall be.
  ///   - samples: The samples of the text, which give the beginnings and the length.
  ///   - model: The original model.
  ///   - seed: Decides the draws.
  ///   - threadCount: The threads to compute with; the result does not depend on them.
  ///   - observer: Is told of the progress, and may stop the run.
  /// - Returns: Whether all samples are there; false when the observer stopped the run.
  /// - Throws: `GenerationError`, `FileError`.
  mutating func draw(
    _ count: Int, _ samples: CalibrationSamples, _ model: Model, seed: UInt64, threadCount: Int,
    _ observer: some TuningObserver
  ) throws -> Bool {
    let length = samples.contextLength
    if tokens.contains(where: { $0.count != length }) || tokens.count > count { tokens = [] }
    for index in tokens.count..<count {
      var options = SessionOptions(contextLength: length, threadCount: threadCount)
      options.activations = .f32
      var session = try Session(model, options: options)
      var sampler = Sampler(
        SamplingOptions(
          temperature: 1, topK: 0, topP: 1, minP: 0, seed: seed &+ UInt64(index)),
        vocabularySize: model.configuration.vocabularySize)
      var ids = Array(
        samples.tokens(of: index % samples.sampleCount).prefix(min(Self.beginning, length)))
      try session.append(ids)
      while ids.count < length {
        if observer.isCancelled { return false }
        let id = try sampler.next(session.logits)
        ids.append(id)
        if ids.count < length { try session.append([id]) }
        observer.progressed(index * length + ids.count, of: count * length)
      }
      try save(ids, index)
      tokens.append(ids)
    }
    return true
  }

  /// Writes a sample; when this returns it is on the disk.
  private func save(_ ids: [Int], _ index: Int) throws(FileError) {
    let document: JSONOutput = ["run": .string(run), "tokens": .array(ids.map { .integer($0) })]
    try AtomicFile.write(
      Array(document.text.utf8), to: path(index), operations: folder.operations)
  }
}
