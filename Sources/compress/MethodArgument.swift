import DuetCommandLine
import DuetCompressor

/// An option of methods on the command line, as the library declares it.
struct MethodArgument: Sendable {
  /// The option of the command line.
  let option: any DeclaredOption
  private let transfer: @Sendable (Arguments, inout MethodChoices) -> Void

  /// The option of the command line for one of the library.
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

  /// Adds the value of the option, if it is given, to the choices.
  func add(from arguments: Arguments, to choices: inout MethodChoices) {
    transfer(arguments, &choices)
  }
}
