import DuetCommandLine
import DuetCompressor
import DuetSystem

run(Options.command) { invocation in
  switch invocation.arguments.command.name {
  case Options.analysis.name: return try analyze(invocation)
  case Options.tuning.name: return try tune(invocation)
  default: break
  }
  let (arguments, output) = (invocation.arguments, invocation.output)
  let isJSON = arguments[CommonOptions.json]
  let task = try CompressionTask(invocation)
  if task.isDryRun, task.work == .merge {
    let parts = try task.foundParts()
    if isJSON {
      try output.write(ReportDocument.parts(parts))
    } else {
      for part in parts { try output.writeLine(ReportText.part(part)) }
    }
    return .success
  }
  if !isJSON {
    for line in try ReportText.beginning(task) { try output.writeLine(line) }
    try output.flush()
  }
  if task.isDryRun {
    if isJSON {
      try output.write(try ReportDocument.forecast(task))
    } else {
      for line in ReportText.forecast(task) { try output.writeLine(line) }
    }
    return .success
  }

  InterruptFlag.install()
  let observer = TerminalObserver(
    task.forecast, layers: task.part?.layers, output: isJSON ? nil : output,
    messages: invocation.messages)
  // The progress line must be removed before an error is written.
  defer { observer.finishLine() }
  let summary = try task.run(observer: observer)
  observer.finishLine()
  for line in ReportText.steps(summary) { invocation.messages.detail(line) }
  if let failure = observer.failure { throw failure }
  guard summary.isComplete else {
    let code = InterruptFlag.isTerminated ? ExitCode.terminated : .resumable
    if isJSON {
      try output.write(ReportDocument.stopped(summary, code: code))
    } else {
      invocation.messages.error(ReportText.stopped(summary))
    }
    return code
  }
  if isJSON {
    try output.write(try ReportDocument.result(task, summary))
  } else {
    if let line = ReportText.embedding(summary) { try output.writeLine(line) }
    try output.writeLine(ReportText.done(task, summary))
  }
  return .success
}
