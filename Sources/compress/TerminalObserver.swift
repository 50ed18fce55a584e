package import DuetCommandLine
package import DuetCompressor
import DuetRuntime
import DuetSystem

/// An observer that prints a line for every matrix and a progress line.
///
/// Lines of matrices are results and go to standard output, unless it gets a JSON document; the
/// progress line goes to standard error. A terminal shows the progress of each phase. A log shows one
/// progress of the whole run, in matrices, because lines for every phase of every layer are too many.
package final class TerminalObserver: CompressionObserver {
  private let layerCount: Int
  private let matrices: [CompressionForecast.Matrix]
  private let output: StandardOutput?
  private let messages: Messages
  private let nameWidth: Int
  private let clock = ContinuousClock()
  private let started: ContinuousClock.Instant
  private var phase = CompressionPhase.preparing
  private let isRewriting: Bool
  private var line: ProgressLine?
  private var lastProgress = 0
  private var doneCount = 0
  private var doneWeights = 0
  private var resumedWeights = 0

  /// The error when a line could not be written; the run is then cancelled.
  package private(set) var failure: OutputError?

  /// Makes an observer of a run that begins now.
  ///
  /// - Parameters:
  ///   - forecast: The forecast of the run.
  ///   - layers: The layers that are compressed; nil for all.
  ///   - output: The output for the lines of matrices; nil writes them as notes of `messages`.
  ///   - messages: The messages of the run.
  ///   - isRewriting: Whether the progress line can be rewritten.
  package init(
    _ forecast: CompressionForecast, layers: Range<Int>? = nil, output: StandardOutput?,
    messages: Messages, isRewriting: Bool = ProgressLine.isRewriting
  ) {
    self.isRewriting = isRewriting
    layerCount = forecast.configuration.layerCount
    matrices = forecast.matrices.filter { layers?.contains($0.layer) ?? true }
    self.output = output
    self.messages = messages
    nameWidth = matrices.map(\.name.count).max() ?? 0
    started = clock.now
  }

  package func phaseBegan(_ phase: CompressionPhase) {
    if isRewriting { finishLine() }
    self.phase = phase
    if !isRewriting { showWhole() }
  }

  package func progressed(_ done: Int, of total: Int) {
    guard isRewriting else { return showWhole() }
    lastProgress = done
    // Each matrix of a layer is a line already.
    if case .decomposing = phase { return }
    let (label, unit) = heading
    // The first value of a phase is the progress of an earlier run.
    let line = line ?? ProgressLine(label, total: total, unit: unit, messages: messages)
    self.line = line
    line.update(done, detail: detail)
  }

  /// Shows the progress of the run in a log, when it is due.
  private func showWhole() {
    if matrices.isEmpty { return showLayers() }
    // The line begins after the matrices of an earlier run, which take this run no time.
    if case .preparing = phase { return }
    let line =
      line
      ?? ProgressLine(
        "compress", total: matrices.count, unit: "matrices", startingAt: doneCount,
        messages: messages)
    self.line = line
    lastProgress = doneCount
    line.update(doneCount, detail: [heading.label, detail].joined(separator: " "))
  }

  /// Shows in a log how many layers the samples have run through, where no matrix is compressed.
  private func showLayers() {
    guard case .advancing(let layer) = phase else { return }
    let line =
      line
      ?? ProgressLine(
        "states", total: layerCount, unit: "layers", startingAt: layer, messages: messages)
    self.line = line
    lastProgress = layer
    line.update(layer, detail: "")
  }

  package func finished(_ record: MatrixRecord, seconds: Double?) {
    if isRewriting { finishLine() }
    doneCount += 1
    let weights = record.outputSize * record.inputSize
    doneWeights += weights
    if seconds == nil { resumedWeights += weights }
    let text = ReportText.matrix(
      record, done: doneCount, total: matrices.count, nameWidth: nameWidth,
      seconds: seconds, remaining: remaining)
    defer { if !isRewriting { showWhole() } }
    if record.inputsAreZero {
      let short = record.name.split(separator: ".").last.map(String.init) ?? record.name
      messages.warning(
        "\(printable(record.name)): all its inputs are zero on the calibration text, so all its weights count "
          + "the same; give other text, or leave such matrices as they are with --keep \(printable(short))"
      )
    }
    guard let output else { return messages.note(text) }
    guard failure == nil else { return }
    do throws(OutputError) {
      try output.writeLine(text)
      try output.flush()
    } catch {
      failure = error
    }
  }

  package func refusedPart(of name: String) {
    if isRewriting { finishLine() }
    messages.warning(
      "\(printable(name)): its file in the journal is damaged or of another run, so the matrix is compressed "
        + "again")
  }

  package var isCancelled: Bool { InterruptFlag.isRaised || failure != nil }

  /// Ends the progress line, when there is one.
  package func finishLine() {
    line?.finish(lastProgress, detail: isRewriting ? detail : "")
    line = nil
    lastProgress = 0
  }

  /// The seconds for the remaining weights, at the mean time per weight of this run.
  private var remaining: Double? {
    let fresh = doneWeights - resumedWeights
    guard fresh > 0 else { return nil }
    let elapsed = started.duration(to: clock.now) / .seconds(1)
    let weightCount = matrices.reduce(0) { $0 + $1.weightCount }
    return elapsed / Double(fresh) * Double(max(0, weightCount - doneWeights))
  }

  private var heading: (label: String, unit: String) {
    switch phase {
    case .preparing: ("prepare", "bytes")
    case .analyzing: ("analyze", "tok")
    case .differentiating: ("differentiate", "tok")
    case .calibrating: ("calibrate", "tok")
    case .decomposing: ("compress", "matrices")
    case .advancing: ("advance", "tok")
    case .packingEmbedding: ("embedding", "tok")
    case .packingHead: ("head", "rows")
    case .exporting: ("export", "matrices")
    case .writing: ("write", "bytes")
    }
  }

  private var detail: String {
    switch phase {
    case .analyzing(let layer), .calibrating(let layer), .decomposing(let layer),
      .advancing(let layer):
      "layer \(layer + 1)/\(layerCount)"
    case .preparing, .differentiating, .packingEmbedding, .packingHead, .exporting, .writing: ""
    }
  }
}
