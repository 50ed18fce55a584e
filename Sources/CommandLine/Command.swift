/// A positional argument.
package struct Operand: Sendable {
  /// The name in `--help`, in capitals.
  package let name: String
  /// The description in `--help`, without a full stop.
  package let help: String
  /// Whether it must be given.
  package let isRequired: Bool
  /// Whether it takes all remaining arguments; only the last operand may.
  package let isRepeated: Bool

  /// Declares a positional argument.
  package init(_ name: String, help: String, isRequired: Bool = true, isRepeated: Bool = false) {
    self.name = name
    self.help = help
    self.isRequired = isRequired
    self.isRepeated = isRepeated
  }
}

/// The declaration of an executable or a subcommand, used to parse arguments and to print help.
package struct Command: Sendable {
  /// The name that the user types; "bench kernels" for a subcommand.
  package let name: String
  /// What the command does, in one sentence.
  package let summary: String
  /// The options in the order of the help text; `--help` and `--version` are added automatically.
  package let options: [any DeclaredOption]
  /// The positional arguments.
  package let operands: [Operand]
  /// The subcommands; the first argument chooses one by the last word of its name.
  package let subcommands: [Command]
  /// Paragraphs at the end of `--help`.
  package let notes: [String]
  /// Whether the unparsed arguments ask for JSON output.
  ///
  /// This must be known before parsing, so that a parsing error can be reported as JSON too.
  let requestsJSON: @Sendable ([String]) -> Bool

  /// Declares a command.
  ///
  /// - Parameters:
  ///   - name: The name that the user types.
  ///   - summary: What the command does, in one sentence.
  ///   - options: The options, in the order of `--help`.
  ///   - operands: The positional arguments.
  ///   - subcommands: The subcommands.
  ///   - notes: Paragraphs at the end of `--help`.
  ///   - requestsJSON: Whether the arguments ask for JSON; by default, whether they contain `--json`.
  package init(
    name: String, summary: String, options: [any DeclaredOption] = [], operands: [Operand] = [],
    subcommands: [Command] = [], notes: [String] = [],
    requestsJSON: @escaping @Sendable ([String]) -> Bool = { $0.contains("--json") }
  ) {
    self.name = name
    self.summary = summary
    self.options = options
    self.operands = operands
    self.subcommands = subcommands
    self.notes = notes
    self.requestsJSON = requestsJSON
  }

  /// The last word of the name, by which a subcommand is chosen.
  var word: String { name.split(separator: " ").last.map(String.init) ?? name }

  /// The declarations of all options, including `--help` and `--version`.
  var declarations: [OptionDeclaration] {
    options.map(\.declaration) + [Self.help.declaration, Self.version.declaration]
  }

  static let help = Option.flag("help", short: "h", help: "Show this text and exit")
  static let version = Option.flag("version", help: "Show the version and exit")
}
