internal import DuetRuntime

extension Command {
  /// The manual page, in the language of `man`, with a section for each subcommand.
  var manualPage: String {
    var lines = [
      ".TH \(Self.roff(word.uppercased())) 1 \"\" \"Duet \(duetVersion)\" \"Duet\"",
      ".SH NAME", "\(Self.roff(word)) \\- \(Self.roff(summary.withoutFullStop))",
      ".SH SYNOPSIS",
    ]
    for (index, command) in ([self] + subcommands).enumerated() {
      if index > 0 { lines.append(".br") }
      lines += [".B \(Self.roff(command.name))", Self.roff(command.argumentsText)]
    }
    lines += [".SH OPTIONS"] + optionLines
    for subcommand in subcommands {
      lines += [
        ".SH \(Self.roff(subcommand.name.uppercased()))", Self.roff(subcommand.summary),
      ]
      lines += subcommand.optionLines + subcommand.noteLines
    }
    // The first line of a section begins a paragraph by itself.
    if !notes.isEmpty { lines += [".SH NOTES"] + noteLines.dropFirst() }
    lines.append(".SH EXIT STATUS")
    for code in ExitCode.allCases {
      lines += [".TP", ".B \(code.rawValue)", Self.roff(code.meaning)]
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private var optionLines: [String] {
    let entries =
      operands.map { ($0.name, $0.help) } + declarations.map { ($0.spelling, $0.explanation) }
    return entries.flatMap { [".TP", ".B \(Self.roff($0.0))", Self.roff($0.1)] }
  }

  private var noteLines: [String] { notes.flatMap { [".PP", Self.roff($0)] } }

  /// Text in which no character means anything to `man`.
  private static func roff(_ text: String) -> String {
    var result = ""
    for character in text {
      switch character {
      case "\\": result += "\\e"
      case "-": result += "\\-"
      default: result.append(character)
      }
    }
    // A dot or an apostrophe at the start of a line would be a request.
    return result.hasPrefix(".") || result.hasPrefix("'") ? "\\&\(result)" : result
  }
}

extension String {
  fileprivate var withoutFullStop: String { hasSuffix(".") ? String(dropLast()) : self }
}
