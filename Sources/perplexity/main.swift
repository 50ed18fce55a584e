import DuetCommandLine
import DuetEvaluation
import DuetRuntime
import DuetSystem
import DuetText

run(Options.command) { invocation in
  let arguments = invocation.arguments
  try Options.check(arguments)
  let folder = arguments[CommonOptions.model]
  let model = try invocation.loadModel(folder)
  let tokenizer = try invocation.messages.loadTokenizer(folder)
  var reference: Reference?
  if let folder = arguments[Options.reference] {
    reference = try Reference(
      contentsOf: folder, loading: arguments.weightLoading, comparableWith: model)
  }

  // All texts are read before the first is scored, so that an error in them is reported at once.
  let texts = try arguments[Options.files].map { path in
    try PlannedText(
      path: path, arguments: arguments, model: model, tokenizer: tokenizer, reference: reference,
      messages: invocation.messages)
  }
  var results: [JSONOutput] = []
  for planned in texts {
    do {
      let measurement = try planned.measured(
        model, against: reference?.model, arguments: arguments, messages: invocation.messages)
      let report = Report(planned: planned, measurement: measurement, arguments: arguments)
      if arguments[CommonOptions.json] {
        results.append(report.json)
      } else {
        for line in report.lines { try invocation.output.writeLine(line) }
        try invocation.output.flush()
      }
    } catch let error as PerplexityError {
      guard arguments[CommonOptions.json], let document = planned.failure(error) else {
        throw error
      }
      try invocation.output.write(document)
      return ExitCode(error.category)
    }
  }
  if arguments[CommonOptions.json] {
    try invocation.output.write(
      .object([
        .init("version", .string(duetVersion)),
        .init("model", .string(folder)),
        .init("reference", arguments[Options.reference].map { .string($0) } ?? .null),
        .init("kernel_set", .string(KernelSet.standard.name)),
        .init("kv_cache", .string(arguments[Options.cache].rawValue)),
        .init("activations", .string(arguments[CommonOptions.activations].rawValue)),
        .init("threads", .integer(threadCount(arguments))),
        .init("results", .array(results)),
      ]))
  }
  return .success
}
