/// The properties of an option that the parser and `--help` use.
package struct OptionDeclaration: Sendable {
  /// The long name without dashes, in kebab-case.
  package let name: String
  /// The one-letter name, for the few options where one is customary.
  package let short: Character?
  /// The placeholder for the value in `--help`, or nil for a flag, which takes no value.
  package let placeholder: String?
  /// What the option does, without a full stop.
  package let help: String
  /// The default as `--help` shows it.
  package let defaultText: String?
  /// Whether the option may be given more than once.
  package let isRepeated: Bool
  /// Whether the option must be given.
  package let isRequired: Bool
  /// The accepted values, for the error message: "an integer from 1 to 8".
  let expected: String
  /// Whether a single value is acceptable.
  let accepts: @Sendable (String) -> Bool
}

/// An option with a value of any type, so that options of several types fit into one array.
package protocol DeclaredOption: Sendable {
  /// The properties that the parser uses.
  var declaration: OptionDeclaration { get }
}

/// An option and the type of its value.
///
/// Declared once as a constant, listed in a `Command`, and read with `arguments[option]`:
///
///     let context = Option.integer("context", short: "c", "N", in: 1...1_000_000, default: 4096,
///       help: "Tokens of context")
package struct Option<Value: Sendable>: DeclaredOption {
  /// The properties that the parser uses.
  package let declaration: OptionDeclaration
  /// The value when the option is absent.
  let initial: Value
  /// Makes the value from the given texts, at least one, each accepted by the declaration.
  let value: @Sendable ([String]) -> Value?

  /// Declares an option whose value is read by a given function.
  ///
  /// - Parameters:
  ///   - name: The long name without dashes.
  ///   - short: The one-letter name.
  ///   - placeholder: The placeholder for the value in `--help`.
  ///   - help: What the option does, without a full stop.
  ///   - initial: The value when the option is absent.
  ///   - defaultText: The default as `--help` shows it.
  ///   - isRequired: Whether the option must be given.
  ///   - expected: The accepted values, for the error message: "a size such as 8GiB".
  ///   - read: Reads a text; returns nil when the text is not acceptable.
  package init(
    _ name: String, short: Character? = nil, _ placeholder: String, help: String,
    initial: Value, defaultText: String? = nil, isRequired: Bool = false, expected: String,
    read: @escaping @Sendable (String) -> Value?
  ) {
    declaration = OptionDeclaration(
      name: name, short: short, placeholder: placeholder, help: help, defaultText: defaultText,
      isRepeated: false, isRequired: isRequired, expected: expected,
      accepts: { read($0) != nil })
    self.initial = initial
    value = { texts in texts.last.flatMap(read) }
  }

  init(
    declaration: OptionDeclaration, initial: Value, value: @escaping @Sendable ([String]) -> Value?
  ) {
    self.declaration = declaration
    self.initial = initial
    self.value = value
  }
}

extension Option where Value == Bool {
  /// Declares an option without a value.
  package static func flag(_ name: String, short: Character? = nil, help: String) -> Option {
    Option(
      declaration: OptionDeclaration(
        name: name, short: short, placeholder: nil, help: help, defaultText: nil,
        isRepeated: false, isRequired: false, expected: "", accepts: { _ in true }),
      initial: false, value: { _ in true })
  }
}

extension Option where Value == String {
  /// Declares an option with any text as its value.
  package static func string(
    _ name: String, short: Character? = nil, _ placeholder: String, default initial: String,
    help: String
  ) -> Option {
    Option(
      name, short: short, placeholder, help: help, initial: initial, defaultText: initial,
      expected: "a text", read: { $0 })
  }

  /// Declares an option with any text as its value that must be given.
  package static func required(
    _ name: String, short: Character? = nil, _ placeholder: String, help: String
  ) -> Option {
    Option(
      name, short: short, placeholder, help: help, initial: "", isRequired: true,
      expected: "a text", read: { $0 })
  }
}

extension Option where Value == String {
  /// Declares an option whose value is one of a list of words.
  package static func word(
    _ name: String, among words: [String], default initial: String, help: String
  ) -> Option {
    Option(
      name, words.joined(separator: "|"), help: help, initial: initial, defaultText: initial,
      expected: "one of \(words.joined(separator: ", "))",
      read: { words.contains($0) ? $0 : nil })
  }
}

extension Option where Value == String? {
  /// Declares an option with any text as its value and no default.
  package static func string(
    _ name: String, short: Character? = nil, _ placeholder: String, defaultText: String? = nil,
    help: String
  ) -> Option {
    Option(
      name, short: short, placeholder, help: help, initial: nil, defaultText: defaultText,
      expected: "a text", read: { $0 })
  }
}

extension Option where Value == [String] {
  /// Declares an option with any text as its value that may be given several times.
  package static func strings(
    _ name: String, short: Character? = nil, _ placeholder: String, isRequired: Bool = false,
    help: String
  ) -> Option {
    Option(
      declaration: OptionDeclaration(
        name: name, short: short, placeholder: placeholder, help: help, defaultText: nil,
        isRepeated: true, isRequired: isRequired, expected: "a text", accepts: { _ in true }),
      initial: [], value: { $0 })
  }
}

extension Option where Value: RawRepresentable & CaseIterable, Value.RawValue == String {
  /// Declares an option whose value is one of the cases of an enum.
  package static func choice(
    _ name: String, short: Character? = nil, default initial: Value, help: String
  ) -> Option {
    let names = Value.allCases.map(\.rawValue)
    return Option(
      name, short: short, names.joined(separator: "|"), help: help, initial: initial,
      defaultText: initial.rawValue, expected: "one of \(names.joined(separator: ", "))",
      read: { Value(rawValue: $0) })
  }
}
