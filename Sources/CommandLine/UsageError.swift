package import DuetSystem

/// A command line that cannot be understood.
package enum UsageError: DuetError, Equatable {
  /// An option that the command does not have; the nearest one is named when there is one.
  case unknownOption(String, nearest: String?)
  /// A subcommand that the command does not have.
  case unknownSubcommand(String, nearest: String?)
  /// An option that needs a value and stands last, or before another option.
  case missingValue(option: String, placeholder: String, following: String?)
  /// A value given to an option that takes none.
  case unexpectedValue(option: String, value: String)
  /// A value that the option does not accept.
  case invalidValue(option: String, value: String, expected: String)
  /// An option given twice that may be given once.
  case repeatedOption(String)
  /// An option that must be given.
  case missingOption(String, placeholder: String)
  /// A positional argument that must be given.
  case missingOperand(String)
  /// A positional argument too many.
  case unexpectedOperand(String)
  /// Options or arguments that do not go together, told in a sentence.
  case conflict(String)

  /// A wrong command line is always the caller's.
  package var category: FailureCategory { .usage }

  /// What is wrong with the command line, and what to write instead.
  package var description: String {
    switch self {
    case .unknownOption(let option, let nearest):
      "unknown option \(quoted(option))\(suggestion(nearest))"
    case .unknownSubcommand(let name, let nearest):
      "unknown subcommand \(quoted(name))\(suggestion(nearest))"
    case .missingValue(let option, let placeholder, let following?):
      "\(option) needs a value \(placeholder), but the option \(quoted(following)) follows; "
        + "to give that text as the value, join the two with '='"
    case .missingValue(let option, let placeholder, nil):
      "\(option) needs a value: \(option) \(placeholder)"
    case .unexpectedValue(let option, let value):
      "\(option) takes no value, but was given \(quoted(value))"
    case .invalidValue(let option, let value, let expected):
      "\(option): \(quoted(value)) is not \(expected)"
    case .repeatedOption(let option):
      "\(option) was given more than once"
    case .missingOption(let option, let placeholder):
      "\(option) \(placeholder) is required; see --help"
    case .missingOperand(let name):
      "the argument \(name) is required; see --help"
    case .unexpectedOperand(let text):
      "unexpected argument \(quoted(text)); see --help"
    case .conflict(let sentence):
      sentence
    }
  }

  private func quoted(_ text: String) -> String { "'\(printable(text))'" }

  private func suggestion(_ nearest: String?) -> String {
    if let nearest { "; did you mean '\(nearest)'?" } else { "; see --help" }
  }
}
