package import DuetCommandLine
package import DuetCompressor
import DuetRuntime

/// Shows a compression to a person: a line for every matrix, a progress line in between.
///
/// Lines of matrices are results and go to standard output, unless that is to hold a JSON document; the
/// progress line is on standard error. A terminal shows how far each phase is; a log gets one progress
/// over the whole run, in matrices, because lines of every phase of every layer would bury the rest.
package final class TerminalObserver: CompressionObserver {
  private let forecast: CompressionForecast
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

  /// Why a line could not be written; the run is then cancelled.
  package private(set) var failure: OutputError?

  /// An observer of a run that begins now.
  ///
  /// - Parameters:
  ///   - forecast: What will be done.
  ///   - output: Where lines of matrices go, nil for nowhere.
  ///   - messages: The messages of the run.
  ///   - isRewriting: Whether the progress line can rewrite itself.
  package init(
    _ forecast: CompressionForecast, output: StandardOutput?, messages: Messages,
    isRewriting: Bool = ProgressLine.isRewriting
  ) {
    self.isRewriting = isRewriting
    self.forecast = forecast
    self.output = output
    self.messages = messages
    nameWidth = forecast.matrices.map(\.name.count).max() ?? 0
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
    // The matrices of a layer have lines of their own.
    if case .decomposing = phase { return }
    let (label, unit) = heading
    // What a phase says first is what an earlier run had done.
    let line = line ?? ProgressLine(label, total: total, unit: unit, messages: messages)
    self.line = line
    line.update(done, detail: detail)
  }

  /// Shows the progress of the run in a log, when it is time to.
  private func showWhole() {
    // Begun after the matrices of an earlier run, which took this one no time.
    if case .preparing = phase { return }
    let line =
      line
      ?? ProgressLine(
        "compress", total: forecast.matrices.count, unit: "matrices", startingAt: doneCount,
        messages: messages)
    self.line = line
    lastProgress = doneCount
    line.update(doneCount, detail: [heading.label, detail].joined(separator: " "))
  }

  package func finished(_ record: MatrixRecord, seconds: Double?) {
    if isRewriting { finishLine() }
    doneCount += 1
    let weights = record.outputSize * record.inputSize
    doneWeights += weights
    if seconds == nil { resumedWeights += weights }
    let text = ReportText.matrix(
      record, done: doneCount, total: forecast.matrices.count, nameWidth: nameWidth,
      seconds: seconds, remaining: remaining)
    defer { if !isRewriting { showWhole() } }
    guard let output else { return messages.note(text) }
    guard failure == nil else { return }
    do throws(OutputError) {
      try output.writeLine(text)
      try output.flush()
    } catch {
      failure = error
    }
  }

  package var isCancelled: Bool { InterruptFlag.isRaised || failure != nil }

  /// Ends the progress line, when there is one.
  package func finishLine() {
    line?.finish(lastProgress, detail: isRewriting ? detail : "")
    line = nil
    lastProgress = 0
  }

  /// The seconds that the rest will take when its weights take as long as those of this run did.
  private var remaining: Double? {
    let fresh = doneWeights - resumedWeights
    guard fresh > 0 else { return nil }
    let elapsed = started.duration(to: clock.now) / .seconds(1)
    return elapsed / Double(fresh) * Double(max(0, forecast.weightCount - doneWeights))
  }

  private var heading: (label: String, unit: String) {
    switch phase {
    case .preparing: ("prepare", "bytes")
    case .analyzing: ("analyze", "tok")
    case .calibrating: ("calibrate", "tok")
    case .decomposing: ("compress", "matrices")
    case .advancing: ("advance", "tok")
    case .packingHead: ("head", "rows")
    case .exporting: ("export", "matrices")
    case .writing: ("write", "bytes")
    }
  }

  private var detail: String {
    switch phase {
    case .analyzing(let layer), .calibrating(let layer), .decomposing(let layer),
      .advancing(let layer):
      "layer \(layer + 1)/\(forecast.configuration.layerCount)"
    case .preparing, .packingHead, .exporting, .writing: ""
    }
  }
}
