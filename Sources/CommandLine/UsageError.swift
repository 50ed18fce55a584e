package import DuetSystem

/// A command line that cannot be understood.
package enum UsageError: DuetError, Equatable {
  /// An option that the command does not have, and a similarly named option if there is one.
  case unknownOption(String, nearest: String?)
  /// A subcommand that the command does not have, and a similarly named one if there is one.
  case unknownSubcommand(String, nearest: String?)
  /// An option without its value: it is the last argument, or another option follows.
  case missingValue(option: String, placeholder: String, following: String?)
  /// A value given to an option that takes none.
  case unexpectedValue(option: String, value: String)
  /// A value that the option does not accept.
  case invalidValue(option: String, value: String, expected: String)
  /// An option that was given twice but may be given only once.
  case repeatedOption(String)
  /// A required option that was not given.
  case missingOption(String, placeholder: String)
  /// A required positional argument that was not given.
  case missingOperand(String)
  /// A positional argument after the last one that the command takes.
  case unexpectedOperand(String)
  /// Options or arguments that cannot be combined, described in a sentence.
  case conflict(String)

  /// All errors of the command line are usage errors.
  package var category: FailureCategory { .usage }

  /// The error in the command line, and what to write instead.
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
