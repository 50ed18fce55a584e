import DuetCommandLine
import DuetCompressor
import DuetRuntime

/// An observer that prints a line for every judgement and a progress line.
///
/// Lines of judgements are results and go to standard output, unless it gets a JSON document; the progress line goes to
/// standard error. In a log the line of the steps goes on after a judgement, so that its rate counts all steps.
final class TuningProgress: TuningObserver {
  private let stepCount: Int
  private let output: StandardOutput?
  private let messages: Messages
  private var line: ProgressLine?
  private var phase: TuningPhase?
  private var done = 0
  private var detail = ""

  /// The error when a line could not be written; the run is then stopped.
  private(set) var failure: OutputError?

  /// An observer of a run that begins now.
  ///
  /// - Parameters:
  ///   - stepCount: The steps of the run.
  ///   - output: The output for judgements; nil writes them as notes of `messages`.
  ///   - messages: The messages of the run.
  init(stepCount: Int, output: StandardOutput?, messages: Messages) {
    self.stepCount = stepCount
    self.output = output
    self.messages = messages
  }

  func began(_ phase: TuningPhase) {
    self.phase = phase
    switch phase {
    case .sampling, .original, .writing: finishLine()
    case .judging: break
    case .training(let stepsDone):
      if line == nil { begin("tune", total: stepCount, unit: "steps", startingAt: stepsDone) }
    }
  }

  func progressed(_ done: Int, of total: Int) {
    switch phase {
    case .sampling: show("sample", done, total, "tok")
    case .original: show("original", done, total, "layers")
    case .training, .judging, .writing, nil: break
    }
  }

  func stepped(_ step: Int, of total: Int, divergence: Double) {
    detail = "KL \(decimalText(divergence, digits: 4))"
    done = step
    line?.update(step, detail: detail)
  }

  private func show(_ label: String, _ done: Int, _ total: Int, _ unit: String) {
    // The first value is the progress of an earlier run, or one unit.
    if line == nil { begin(label, total: total, unit: unit, startingAt: done - 1) }
    self.done = done
    line?.update(done, detail: detail)
  }

  private func begin(_ label: String, total: Int, unit: String, startingAt start: Int) {
    done = start
    line = ProgressLine(label, total: total, unit: unit, startingAt: start, messages: messages)
  }

  func judged(_ check: TuningCheck) {
    // The samples' way through the original is over at the first judgement.
    if ProgressLine.isRewriting || check.step == 0 { finishLine() }
    let text = TuningText.check(check)
    guard let output else { return messages.note(text) }
    guard failure == nil else { return }
    do throws(OutputError) {
      try output.writeLine(text)
      try output.flush()
    } catch {
      failure = error
    }
  }

  var isCancelled: Bool { InterruptFlag.isRaised || failure != nil }

  /// Ends the progress line, when there is one.
  func finishLine() {
    line?.finish(done, detail: detail)
    line = nil
  }
}
