package import DuetText

extension StepTime {
  /// An object with the seconds of each step by its name.
  package static func json(_ times: [StepTime]) -> JSONOutput {
    .object(times.map { .init($0.step.rawValue, .number($0.seconds)) })
  }
}
