package import DuetEvaluation

extension SharedData {
  /// The named tasks whose data is in `../shared`.
  package static var tasks: [EvaluationTask] {
    EvaluationTask.named.filter { task in
      task.fileNames.contains { path("tasks/\($0)") != nil }
    }
  }
}
