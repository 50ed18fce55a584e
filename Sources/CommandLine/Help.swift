internal import DuetSystem

extension Command {
  /// The text of `--help`: usage, every option with its default, exit codes, notes.
  var helpText: String {
    var lines = ["\(name): \(summary)", "", "Usage: \(usage)"]
    for subcommand in subcommands { lines.append("       \(subcommand.usage)") }
    if !operands.isEmpty {
      lines += ["", "Arguments:"]
      for operand in operands { lines += entry("  \(operand.name)", operand.help) }
    }
    lines += ["", "Options:"]
    for option in declarations { lines += entry(option.heading, option.explanation) }
    for note in notes { lines += [""] + wrapped(note, width: Self.width) }
    lines += ["", "Exit codes:"]
    for code in ExitCode.allCases {
      let number = String(code.rawValue)
      lines.append(String(repeating: " ", count: 5 - number.count) + number + "  " + code.meaning)
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private var usage: String { "\(name) \(argumentsText)" }

  /// The arguments that must be given, and the word for options.
  var argumentsText: String {
    var words: [String] = []
    for option in declarations where option.isRequired {
      words.append("\(option.shortestSpelling) \(option.placeholder ?? "")")
    }
    words += operands.map { operand in
      let name = operand.isRepeated ? "\(operand.name)..." : operand.name
      return operand.isRequired ? name : "[\(name)]"
    }
    return (words + ["[options]"]).joined(separator: " ")
  }

  /// The lines of a heading and its explanation.
  ///
  /// The explanation is in the second column; when the heading is too long, it starts one line below.
  private func entry(_ heading: String, _ explanation: String) -> [String] {
    let indent = 26
    let body = wrapped(explanation, width: Self.width - indent)
    let margin = String(repeating: " ", count: indent)
    let rest = body.dropFirst().map { margin + $0 }
    if heading.count <= indent - 2, let first = body.first {
      return [heading + margin.dropFirst(heading.count) + first] + rest
    }
    return [heading] + body.map { margin + $0 }
  }

  private static var width: Int { 80 }
}

extension OptionDeclaration {
  fileprivate var heading: String { short == nil ? "      \(spelling)" : "  \(spelling)" }

  /// The names and the placeholder: "-m, --model DIR".
  var spelling: String {
    (short.map { "-\($0), " } ?? "") + "--\(name)" + (placeholder.map { " \($0)" } ?? "")
  }

  fileprivate var shortestSpelling: String { short.map { "-\($0)" } ?? "--\(name)" }

  /// What the option does, and its default.
  var explanation: String {
    var text = help
    if isRequired { text += " (required)" }
    if isRepeated { text += " (may be repeated)" }
    if let defaultText { text += " (default: \(defaultText))" }
    return text
  }
}

/// The words of `text` in lines of at most `width` characters; a longer word is a line by itself.
private func wrapped(_ text: String, width: Int) -> [String] {
  var lines: [String] = []
  var line = ""
  for word in text.split(separator: " ") {
    if !line.isEmpty, line.count + 1 + word.count > width {
      lines.append(line)
      line = ""
    }
    line += (line.isEmpty ? "" : " ") + word
  }
  return line.isEmpty ? lines : lines + [line]
}
