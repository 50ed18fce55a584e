import DuetCommandLine
import DuetRuntime
import DuetSystem
import DuetText

run(Options.command) { invocation in
  let arguments = invocation.arguments
  let selection = try TaskSelection(arguments)
  if arguments[Options.samples] == nil,
    arguments[Options.resume] || arguments[Options.force]
  {
    throw UsageError.conflict("--resume and --force need --samples-out DIR")
  }
  if arguments[Options.resume], arguments[Options.force] {
    throw UsageError.conflict("--resume goes on and --force starts over; give one of them")
  }
  let folder = arguments[CommonOptions.model]
  let model = try invocation.loadModel(folder)
  let tokenizer = try invocation.messages.loadTokenizer(folder)
  let digest = try model.checkpoint.identity()

  // All data and the results to compare with are read before the first document is scored, so that an
  // error in them is reported at once.
  let planned = try selection.tasks.map { task in
    try PlannedTask(
      task, arguments: arguments, model: model, tokenizer: tokenizer,
      messages: invocation.messages)
  }
  let other = try arguments[Options.comparison].map {
    try OtherResults(contentsOf: $0, comparableWith: planned)
  }
  let results = try planned.map { task in
    TaskResult(task, try task.scored(model, digest: digest, invocation))
  }
  let report = Report(model: folder, results: results, other: other, arguments: arguments)
  if arguments[CommonOptions.json] {
    try invocation.output.write(report.json(digest: digest))
  } else {
    for line in report.lines { try invocation.output.writeLine(line) }
  }
  return .success
}
