import DuetCommandLine
import DuetEvaluation
import DuetRuntime
import DuetSystem

/// The tasks given by `--tasks`.
struct TaskSelection {
  let tasks: [EvaluationTask]

  /// Reads the option; each task may be named only once.
  init(_ arguments: Arguments) throws(UsageError) {
    let names = arguments[Options.tasks].split(
      separator: ",", omittingEmptySubsequences: false
    ).map(String.init)
    var tasks: [EvaluationTask] = []
    for name in names {
      let task = try Self.task(name)
      guard !tasks.contains(where: { $0.name == task.name }) else {
        throw .conflict("--tasks: \(printable(task.name)) is there twice")
      }
      tasks.append(task)
    }
    if arguments[Options.data] == nil, let task = tasks.first(where: { $0.expectedCount != nil }) {
      throw .conflict("--data DIR is required for \(task.name); see --help")
    }
    let scheme = arguments[Options.scheme]
    if let task = tasks.first(where: { !$0.isDefined(by: scheme) }) {
      throw .conflict(
        "\(task.name) is written in another way by \(scheme.rawValue); use --protocol "
          + EvaluationProtocol.joined.rawValue)
    }
    if arguments[Options.examples] ?? 0 > 0, let task = tasks.first(where: { !$0.hasExamples }) {
      throw .conflict(
        "--num-fewshot is for mmlu, where the examples are fixed; \(printable(task.name)) has none: "
          + "measure it in a run of its own")
    }
    self.tasks = tasks
  }

  private static func task(_ name: String) throws(UsageError) -> EvaluationTask {
    if let task = EvaluationTask(named: name) { return task }
    guard name.hasSuffix(".jsonl") else {
      let known = EvaluationTask.named.map(\.name)
      throw .invalidValue(
        option: "--tasks", value: name,
        expected: "one of \(known.joined(separator: ", ")), or a file that ends in .jsonl")
    }
    return EvaluationTask(genericFile: name)
  }
}
