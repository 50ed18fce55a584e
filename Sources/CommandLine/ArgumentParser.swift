internal import DuetRuntime

/// The parsed arguments of a command.
package struct Arguments: Sendable {
  /// The command or subcommand that was chosen.
  package let command: Command
  /// The positional arguments.
  package let operands: [String]
  private let values: [String: [String]]

  init(command: Command, operands: [String], values: [String: [String]]) {
    self.command = command
    self.operands = operands
    self.values = values
  }

  /// The value of an option: the one given, or its default.
  package subscript<Value>(option: Option<Value>) -> Value {
    guard let texts = values[option.declaration.name], !texts.isEmpty else { return option.initial }
    return option.value(texts) ?? option.initial
  }

  /// Whether an option was given, rather than left at its default.
  package func isGiven<Value>(_ option: Option<Value>) -> Bool {
    values[option.declaration.name] != nil
  }
}

/// The result of parsing a command line.
package enum ParsedCommandLine: Sendable {
  /// Run the command.
  case run(Arguments)
  /// Print this text and exit.
  case print(String)
}

/// Parses arguments by the declarations of a `Command`.
///
/// Accepts `--name value`, `--name=value`, `-n value` and `-n=value`; `--` ends the options; `-`
/// alone is an ordinary argument. Names cannot be abbreviated. A value that is itself the name of
/// an option must be joined with `=`, so that a forgotten value is noticed.
package struct ArgumentParser: Sendable {
  private let command: Command

  /// Makes a parser for a command.
  package init(_ command: Command) {
    self.command = command
  }

  /// Parses the arguments that follow the executable's name.
  ///
  /// - Returns: The values, or the text that `--help` or `--version` asks for.
  /// - Throws: `UsageError` for the first error from the left.
  package func parse(_ arguments: [String]) throws(UsageError) -> ParsedCommandLine {
    if let text = installationText(arguments) { return .print(text) }
    if let first = arguments.first, !first.hasPrefix("-"), !command.subcommands.isEmpty {
      if let chosen = command.subcommands.first(where: { $0.word == first }) {
        return try ArgumentParser(chosen).parse(Array(arguments.dropFirst()))
      }
      if command.operands.isEmpty {
        let nearest = nearestMatch(to: first, among: command.subcommands.map(\.word))
        throw .unknownSubcommand(first, nearest: nearest)
      }
    }
    return try parseOwn(arguments)
  }

  /// The manual page or the completion script that `Scripts/install` asks for; they are not in `--help`.
  private func installationText(_ arguments: [String]) -> String? {
    switch (arguments.first, arguments.count) {
    case ("--generate-manual", 1): command.manualPage
    case ("--generate-completion", 2):
      Completion(rawValue: arguments[1])?.script(for: command)
    default: nil
    }
  }

  private func parseOwn(_ arguments: [String]) throws(UsageError) -> ParsedCommandLine {
    var values: [String: [String]] = [:]
    var operands: [String] = []
    var rest = arguments[...]
    var optionsEnded = false
    while let argument = rest.popFirst() {
      if optionsEnded || argument == "-" || !argument.hasPrefix("-") {
        operands.append(argument)
        continue
      }
      if argument == "--" {
        optionsEnded = true
        continue
      }
      let (spelling, joined) = split(argument)
      guard let option = declaration(spelling) else {
        throw .unknownOption(spelling, nearest: nearest(to: spelling))
      }
      if option.name == Command.help.declaration.name { return .print(command.helpText) }
      if option.name == Command.version.declaration.name { return .print("duet \(duetVersion)\n") }
      if values[option.name] != nil, !option.isRepeated { throw .repeatedOption(spelling) }
      let value = try value(of: option, spelling: spelling, joined: joined, rest: &rest)
      values[option.name, default: []].append(value)
    }
    try check(values, operands)
    return .run(Arguments(command: command, operands: operands, values: values))
  }

  /// The name and the value of `--name=value`, or the argument itself.
  private func split(_ argument: String) -> (spelling: String, joined: String?) {
    guard let equals = argument.unicodeScalars.firstIndex(of: "=") else { return (argument, nil) }
    let scalars = argument.unicodeScalars
    return (
      String(scalars[..<equals]), String(scalars[scalars.index(after: equals)...])
    )
  }

  private func declaration(_ spelling: String) -> OptionDeclaration? {
    command.declarations.first { option in
      spelling == "--\(option.name)" || option.short.map { spelling == "-\($0)" } ?? false
    }
  }

  private func nearest(to spelling: String) -> String? {
    let long = command.declarations.map { "--\($0.name)" }
    // "-context" lacks one dash and "-n5" one space.
    if !spelling.hasPrefix("--") {
      if long.contains("-" + spelling) { return "-" + spelling }
      let short = command.declarations.compactMap(\.short).map { "-\($0)" }
      if let option = short.first(where: { spelling.hasPrefix($0) }) { return option }
    }
    return nearestMatch(to: spelling, among: long)
  }

  private func value(
    of option: OptionDeclaration, spelling: String, joined: String?, rest: inout ArraySlice<String>
  ) throws(UsageError) -> String {
    guard let placeholder = option.placeholder else {
      if let joined { throw .unexpectedValue(option: spelling, value: joined) }
      return ""
    }
    let value: String
    if let joined {
      value = joined
    } else if let following = rest.first {
      if following == "--" || declaration(split(following).spelling) != nil {
        throw .missingValue(option: spelling, placeholder: placeholder, following: following)
      }
      value = following
      rest.removeFirst()
    } else {
      throw .missingValue(option: spelling, placeholder: placeholder, following: nil)
    }
    guard option.accepts(value) else {
      throw .invalidValue(option: spelling, value: value, expected: option.expected)
    }
    return value
  }

  /// Checks that all required options and operands are given, and not too many operands.
  private func check(_ values: [String: [String]], _ operands: [String]) throws(UsageError) {
    for option in command.declarations where option.isRequired && values[option.name] == nil {
      throw .missingOption("--\(option.name)", placeholder: option.placeholder ?? "")
    }
    for (index, operand) in command.operands.enumerated()
    where operand.isRequired && operands.count <= index {
      throw .missingOperand(operand.name)
    }
    if operands.count > command.operands.count, command.operands.last?.isRepeated != true {
      throw .unexpectedOperand(operands[command.operands.count])
    }
  }
}
