public import DuetSystem

/// What can be wrong with a chat template, or with a conversation given to it.
public enum ChatTemplateError: DuetError, Equatable {
  /// The template's source is larger than any real one.
  case sourceTooLarge(bytes: Int, limit: Int)
  /// The source breaks the rules of the template language.
  case syntax(line: Int, problem: String)
  /// The source uses a part of the template language that Duet does not read.
  case unsupported(line: Int, construct: String)
  /// Expressions and blocks are nested deeper than any real template does.
  case nestedTooDeeply(line: Int, limit: Int)
  /// Rendering took more steps than a conversation can need.
  case tooManySteps(line: Int, limit: Int)
  /// Rendering made or read more text than a conversation can need.
  case tooMuchText(line: Int, limit: Int)
  /// `range` was asked for more numbers than a conversation can need.
  case rangeTooLong(line: Int, limit: Int)
  /// An operation was applied to a value for which it is not defined.
  case evaluation(line: Int, problem: String)
  /// The template itself refused the conversation, with this message.
  case conversationRefused(message: String)
  /// No built-in template has the name.
  case unknownFamily(name: String)
  /// A file with a template exists but cannot be read.
  case file(FileError)
  /// A file with a template is not the JSON it should be.
  case json(JSONError)
  /// A file does not hold its template in a supported form.
  case malformedFile(path: String, problem: String)

  /// One sentence saying what is wrong and what to do.
  public var description: String {
    switch self {
    case .sourceTooLarge(let bytes, let limit):
      "the chat template has \(bytes) bytes, more than the \(limit) that are allowed; \(Self.remedy)"
    case .syntax(let line, let problem):
      "the chat template is malformed in line \(line): \(printable(problem)); \(Self.remedy)"
    case .unsupported(let line, let construct):
      "the chat template uses \(printable(construct)) in line \(line), which is not supported; "
        + Self.remedy
    case .nestedTooDeeply(let line, let limit):
      "the chat template nests deeper than \(limit) levels in line \(line); \(Self.remedy)"
    case .tooManySteps(let line, let limit):
      "the chat template took more than \(limit) steps, stopped in line \(line); \(Self.remedy)"
    case .tooMuchText(let line, let limit):
      "the chat template handled more than \(limit) bytes of text, stopped in line \(line); "
        + "shorten the conversation, or \(Self.remedy)"
    case .rangeTooLong(let line, let limit):
      "the chat template asks for a range of more than \(limit) numbers in line \(line); "
        + Self.remedy
    case .evaluation(let line, let problem):
      "the chat template failed in line \(line): \(printable(problem)); \(Self.remedy)"
    case .conversationRefused(let message):
      "the model's chat template refuses this conversation: \(printable(message)); "
        + "begin with a user turn and let user and assistant alternate"
    case .unknownFamily(let name):
      "there is no chat template named '\(printable(name))'; the names are "
        + ChatTemplateFamily.allCases.map(\.rawValue).joined(separator: ", ")
    case .file(let error): error.description
    case .json(let error): error.description
    case .malformedFile(let path, let problem):
      "\(printable(path)): \(printable(problem)); \(Self.remedy)"
    }
  }

  /// `usage` for conversations and names, which the caller chose; for the rest mostly
  /// `refusedData`.
  public var category: FailureCategory {
    switch self {
    case .conversationRefused, .unknownFamily: .usage
    case .file(let error): error.category
    default: .refusedData
    }
  }

  private static let remedy = "choose a built-in template by name (--template) or none"
}
