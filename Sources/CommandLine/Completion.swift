/// The scripts by which a shell completes the options of an executable.
///
/// They are made from the table of options: names, the words that a value can be, and whether a value is a file or a
/// folder.
enum Completion: String, CaseIterable {
  case bash
  case zsh
  case fish

  /// What the value of an option can be.
  private enum Value {
    case none
    case words([String])
    case file
    case folder
    /// A number, or a text.
    case other

    init(_ option: OptionDeclaration) {
      switch option.placeholder {
      case nil: self = .none
      case .some(let text) where text.contains("|"):
        self = .words(text.split(separator: "|").map(String.init))
      case "FILE": self = .file
      case "DIR": self = .folder
      default: self = .other
      }
    }
  }

  /// The script for a command and its subcommands.
  func script(for command: Command) -> String {
    let lines =
      switch self {
      case .bash: Self.bashLines(command)
      case .zsh: Self.zshLines(command)
      case .fish: Self.fishLines(command)
      }
    return lines.joined(separator: "\n") + "\n"
  }

  private static func spellings(_ option: OptionDeclaration) -> [String] {
    (option.short.map { ["-\($0)"] } ?? []) + ["--\(option.name)"]
  }

  // MARK: - Bash

  private static func bashLines(_ command: Command) -> [String] {
    let function = "_\(command.word)_of_duet"
    var lines = [
      "# Completes the options of \(command.word), for bash.",
      "\(function)() {",
      "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}",
      "  COMPREPLY=()",
    ]
    if command.subcommands.isEmpty {
      lines += bashCases(command, indent: "  ")
    } else {
      lines.append("  case ${COMP_WORDS[1]} in")
      for subcommand in command.subcommands {
        lines.append("    \(subcommand.word))")
        lines += bashCases(subcommand, indent: "      ")
        lines.append("      ;;")
      }
      lines.append("    *)")
      lines += bashCases(command, indent: "      ")
      let words = command.subcommands.map(\.word).joined(separator: " ")
      lines += [
        "      if [ \"$COMP_CWORD\" -eq 1 ]; then",
        "        COMPREPLY+=($(compgen -W '\(words)' -- \"$word\"))", "      fi", "      ;;",
        "  esac",
      ]
    }
    return lines + ["}", "complete -o default -F \(function) \(command.word)"]
  }

  /// The replies for the value of an option, then those for its name.
  private static func bashCases(_ command: Command, indent: String) -> [String] {
    var lines = ["\(indent)case $before in"]
    for option in command.declarations {
      let reply: String
      switch Value(option) {
      case .none: continue
      case .words(let words):
        reply =
          "COMPREPLY=($(compgen -W '\(words.joined(separator: " "))' -- \"$word\")); return 0"
      case .folder:
        reply = "compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -d -- \"$word\")); return 0"
      case .file, .other: reply = "return 0"
      }
      lines.append("\(indent)  \(spellings(option).joined(separator: "|"))) \(reply) ;;")
    }
    let names = command.declarations.map { "--\($0.name)" }.joined(separator: " ")
    return lines + [
      "\(indent)esac", "\(indent)case $word in",
      "\(indent)  -*) COMPREPLY=($(compgen -W '\(names)' -- \"$word\")) ;;", "\(indent)esac",
    ]
  }

  // MARK: - Zsh

  private static func zshLines(_ command: Command) -> [String] {
    var lines = ["#compdef \(command.word)", ""]
    if command.subcommands.isEmpty { return lines + zshArguments(command, indent: "") }
    lines.append("case ${words[2]} in")
    for subcommand in command.subcommands {
      lines.append("  \(subcommand.word))")
      lines += ["    shift words; ((CURRENT--))"] + zshArguments(subcommand, indent: "    ")
      lines.append("    ;;")
    }
    let words = command.subcommands.map(\.word).joined(separator: " ")
    lines += ["  *)"] + zshArguments(command, indent: "    ", firstWords: words)
    return lines + ["    ;;", "esac"]
  }

  private static func zshArguments(
    _ command: Command, indent: String, firstWords: String? = nil
  ) -> [String] {
    var entries = command.declarations.map { option -> String in
      let value: String
      switch Value(option) {
      case .none: value = ""
      case .words(let words): value = ":value:(\(words.joined(separator: " ")))"
      case .file: value = ":file:_files"
      case .folder: value = ":folder:_files -/"
      case .other: value = ":\(option.placeholder ?? "value"):"
      }
      let names = spellings(option)
      let repeats = option.isRepeated ? "*" : "(\(names.joined(separator: " ")))"
      let help = zshQuoted(option.help)
      // Names outside the quotes, so that braces stand for both.
      let name = names.count > 1 ? "{\(names.joined(separator: ","))}" : names[0]
      return "'\(repeats)'\(name)'[\(help)]\(value)'"
    }
    entries.append(firstWords.map { "'1:command:(\($0))'" } ?? "'*:file:_files'")
    if firstWords != nil { entries.append("'*:file:_files'") }
    return ["\(indent)_arguments -s \\"]
      + entries.enumerated().map { index, entry in
        "\(indent)  \(entry)\(index + 1 < entries.count ? " \\" : "")"
      }
  }

  /// A description inside brackets inside single quotation marks.
  private static func zshQuoted(_ text: String) -> String {
    var result = ""
    for character in text {
      switch character {
      case "'": result += "'\\''"
      case "[", "]", "\\", ":": result += "\\\(character)"
      default: result.append(character)
      }
    }
    return result
  }

  // MARK: - Fish

  private static func fishLines(_ command: Command) -> [String] {
    let words = command.subcommands.map(\.word).joined(separator: " ")
    var lines = fishOptions(
      command, program: command.word,
      condition: words.isEmpty ? nil : "not __fish_seen_subcommand_from \(words)")
    for subcommand in command.subcommands {
      lines.append(
        "complete -c \(command.word) -n 'not __fish_seen_subcommand_from \(words)' "
          + "-a \(subcommand.word) -d \(fishQuoted(subcommand.summary))")
      lines += fishOptions(
        subcommand, program: command.word,
        condition: "__fish_seen_subcommand_from \(subcommand.word)")
    }
    return lines
  }

  private static func fishOptions(
    _ command: Command, program: String, condition: String?
  ) -> [String] {
    command.declarations.map { option in
      var line = "complete -c \(program)"
      if let condition { line += " -n '\(condition)'" }
      line += " -l \(option.name)"
      if let short = option.short { line += " -s \(short)" }
      switch Value(option) {
      case .none: break
      case .words(let words): line += " -x -a \(fishQuoted(words.joined(separator: " ")))"
      case .file: line += " -r -F"
      case .folder: line += " -x -a '(__fish_complete_directories)'"
      case .other: line += " -x"
      }
      return line + " -d \(fishQuoted(option.help))"
    }
  }

  private static func fishQuoted(_ text: String) -> String {
    var result = "'"
    for character in text {
      if character == "'" || character == "\\" { result += "\\" }
      result.append(character)
    }
    return result + "'"
  }
}
