import DuetCommandLine
import DuetCompressor

/// A command-line option for an option of methods that the library declares.
struct MethodArgument: Sendable {
  /// The command-line option.
  let option: any DeclaredOption
  private let transfer: @Sendable (Arguments, inout MethodChoices) -> Void

  /// Makes the command-line option for an option of the library.
  init<Declaration: MethodOptionDeclaration>(_ declaration: Declaration) {
    let typed = declaration.typed
    let help = MethodList.help(of: declaration)
    guard let placeholder = typed.placeholder else {
      let option = Option.flag(typed.name, help: help)
      self.option = option
      transfer = { arguments, choices in
        if arguments[option], let value = typed.value(of: "") { choices.set(typed, to: value) }
      }
      return
    }
    let option = Option<Declaration.Value?>(
      typed.name, placeholder, help: help, initial: nil,
      defaultText: MethodList.defaultText(of: declaration), expected: typed.expected,
      read: { text in typed.value(of: text).map { .some($0) } })
    self.option = option
    transfer = { arguments, choices in
      if arguments.isGiven(option), let value = arguments[option] {
        choices.set(typed, to: value)
      }
    }
  }

  /// Adds the value of the option to the choices if it is given.
  func add(from arguments: Arguments, to choices: inout MethodChoices) {
    transfer(arguments, &choices)
  }
}
