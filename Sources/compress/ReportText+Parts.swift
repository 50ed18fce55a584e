import DuetCommandLine
import DuetCompressor

extension ReportText {
  /// The lines before the work begins: the model, the plan, and the part if there is one.
  ///
  /// - Throws: `CompressionPlanError`.
  static func beginning(_ task: CompressionTask) throws(CompressionPlanError) -> [String] {
    if task.work == .merge { return [model(task)] }
    var lines = [model(task), plan(task)]
    if let part = task.part { lines.append(line("part", try part.text(rate: task.machine.rate))) }
    return lines
  }

  /// The line of a part in `compress merge --dry-run`: "part 2/6   unfinished (5 of 7)".
  static func part(_ summary: PartSummary) -> String {
    line("part \(summary.number)", summary.description)
  }

  /// The line of completed work.
  static func done(_ task: CompressionTask, _ summary: CompressionSummary) -> String {
    let output = task.output ?? ""
    return switch task.work {
    case .whole: done(summary, output: output)
    case .part(let number, _):
      line(
        "done",
        "part \(number), \(summary.records.count) matrices\(figures(summary)); compress merge joins all "
          + "\(number.count) parts")
    case .states(let number): line("done", "share \(number) of the states\(figures(summary))")
    case .merge:
      "\(done(summary, output: output)); the parts are not needed any more"
    }
  }
}
