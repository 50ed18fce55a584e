public import DuetSystem

/// A reason why a model cannot be compressed as requested.
public enum CompressionPlanError: DuetError, Equatable {
  /// There is no method of this name.
  case unknownMethod(String)
  /// An option is given that the method does not read.
  case unread(option: String, method: String, reason: String)
  /// Choices contradict each other, as the sentence explains.
  case conflict(String)

  /// Always `usage`: the caller made the choices.
  public var category: FailureCategory { .usage }

  /// One sentence that names the options.
  public var description: String {
    switch self {
    case .unknownMethod(let name):
      "there is no method '\(printable(name))'; there are "
        + MethodList.all.map { $0.name }.joined(separator: ", ")
    case .unread(let option, let method, let reason):
      "--\(option) has no meaning with --method \(method), which \(reason)"
    case .conflict(let sentence): sentence
    }
  }
}
