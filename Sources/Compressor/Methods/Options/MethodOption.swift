public import DuetText

/// An option that methods can read, declared once for the library, the command line and the reports.
///
/// A method reads an option with `MethodChoices.read(_:)`. An option that is given but not read by the method
/// is refused.
public struct MethodOption<Value: Sendable>: MethodOptionDeclaration {
  /// The name on the command line, without dashes: "outer-iterations".
  public let name: String
  /// The name in reports and in the identity of a run: "outer_iterations".
  public let key: String
  /// The placeholder for the value in help texts, or nil for an option that takes no value.
  public let placeholder: String?
  /// What the option does, without a full stop.
  public let help: String
  /// The default in words, or nil where it can be computed from the methods.
  public let defaultText: String?
  /// What a value must be: "an integer from 1 to 8".
  public let expected: String
  /// Whether values are words of a list.
  let isWord: Bool
  /// What is said of a method that does not read the option: "has no Q".
  public let unreadReason: String
  /// What is said instead of a method without L R, or nil for `unreadReason`.
  public let reasonWithoutLowRank: String?
  /// The value where none is given and the method does not set its own default.
  let standard: @Sendable (MethodChoices) -> Value
  /// The value that a text means, or nil when it means none.
  let parse: @Sendable (String) -> Value?
  /// The value in reports.
  let encode: @Sendable (Value) -> JSONOutput
  /// The value as a person writes it.
  let text: @Sendable (Value) -> String
  /// Whether a value means that the option is left out.
  let isAbsence: @Sendable (Value) -> Bool

  /// An option of a method.
  ///
  /// - Parameters:
  ///   - name: The name on the command line, without dashes.
  ///   - key: The name in reports.
  ///   - placeholder: The placeholder for the value in help texts, or nil for an option that takes no value.
  ///   - help: What the option does, without a full stop.
  ///   - defaultText: The default in words, or nil where it can be computed from the methods.
  ///   - expected: What a value must be.
  ///   - isWord: Whether values are words of a list.
  ///   - unreadReason: What is said of a method that does not read the option.
  ///   - reasonWithoutLowRank: What is said instead of a method without L R, or nil for `unreadReason`.
  ///   - standard: The value where nothing is given.
  ///   - parse: The value that a text means, or nil when it means none.
  ///   - encode: The value in reports.
  ///   - text: The value as a person writes it.
  ///   - isAbsence: Whether a value means that the option is left out.
  public init(
    _ name: String, key: String, placeholder: String?, help: String, defaultText: String? = nil,
    expected: String, isWord: Bool = false, unreadReason: String,
    reasonWithoutLowRank: String? = nil,
    standard: @escaping @Sendable (MethodChoices) -> Value,
    parse: @escaping @Sendable (String) -> Value?,
    encode: @escaping @Sendable (Value) -> JSONOutput, text: @escaping @Sendable (Value) -> String,
    isAbsence: @escaping @Sendable (Value) -> Bool = { _ in false }
  ) {
    self.name = name
    self.key = key
    self.placeholder = placeholder
    self.help = help
    self.defaultText = defaultText
    self.expected = expected
    self.isWord = isWord
    self.unreadReason = unreadReason
    self.reasonWithoutLowRank = reasonWithoutLowRank
    self.standard = standard
    self.parse = parse
    self.encode = encode
    self.text = text
    self.isAbsence = isAbsence
  }

  /// The option, with the type of its value.
  public var typed: MethodOption<Value> { self }

  /// The value that `text` means, or nil when it means none.
  public func value(of text: String) -> Value? { parse(text) }
}

/// An option of any type, to put options of several types into one list.
public protocol MethodOptionDeclaration: Sendable {
  /// The type of the option's value.
  associatedtype Value: Sendable
  /// The option itself.
  var typed: MethodOption<Value> { get }
}

extension MethodOptionDeclaration {
  /// The name on the command line, without dashes.
  public var name: String { typed.name }
  /// The placeholder for the value in help texts, or nil for an option that takes no value.
  public var placeholder: String? { typed.placeholder }
  /// What the option does, without a full stop.
  public var help: String { typed.help }
  /// The default in words, or nil where it can be computed from the methods.
  public var defaultText: String? { typed.defaultText }
  /// The name in reports and in the identity of a run.
  public var key: String { typed.key }

  /// The value among `choices` in reports; the standard value where there is none.
  public func json(in choices: MethodChoices) -> JSONOutput { typed.encode(choices[typed]) }

  /// The name in JSON documents that follow the command line: "outer_iterations", "lr_format".
  package var jsonName: String { name.split(separator: "-").joined(separator: "_") }

  /// The value among `choices` in JSON documents that follow the command line; the standard value where there
  /// is none.
  ///
  /// Differs from `json(in:)` where values are words of a list: a group of 128 columns is the word "128", not
  /// the number.
  package func commandLineJSON(in choices: MethodChoices) -> JSONOutput {
    typed.isWord ? .string(typed.text(choices[typed])) : json(in: choices)
  }

  /// The value among `choices` as a person writes it; the standard value where there is none.
  func text(in choices: MethodChoices) -> String { typed.text(choices[typed]) }

  /// What is wrong with the value among `choices`, or nil when a person could have written it.
  func problem(in choices: MethodChoices) -> CompressionPlanError? {
    let value = choices[typed]
    if typed.isAbsence(value) || typed.parse(typed.text(value)) != nil { return nil }
    return .conflict("--\(name): '\(typed.text(value))' is not \(typed.expected)")
  }

  /// Why the option has no meaning for a method.
  func reason(hasLowRank: Bool) -> String {
    (hasLowRank ? nil : typed.reasonWithoutLowRank) ?? typed.unreadReason
  }
}

extension MethodOption {
  /// An option whose value is one of several words.
  init(
    _ name: String, key: String, among values: [Value], help: String, defaultText: String? = nil,
    unreadReason: String, reasonWithoutLowRank: String? = nil, standard: Value,
    absence: Value? = nil, encode: @escaping @Sendable (Value) -> JSONOutput
  ) where Value: RawRepresentable & Equatable, Value.RawValue == String {
    let words = values.map(\.rawValue)
    self.init(
      name, key: key, placeholder: words.joined(separator: "|"), help: help,
      defaultText: defaultText, expected: "one of \(words.joined(separator: ", "))",
      isWord: true, unreadReason: unreadReason, reasonWithoutLowRank: reasonWithoutLowRank,
      standard: { _ in standard },
      parse: { text in words.contains(text) ? Value(rawValue: text) : nil }, encode: encode,
      text: { $0.rawValue }, isAbsence: { $0 == absence })
  }

  /// An option whose value is one of several words, which reports repeat unchanged.
  init(
    _ name: String, key: String, among values: [Value], help: String, defaultText: String? = nil,
    unreadReason: String, reasonWithoutLowRank: String? = nil, standard: Value,
    absence: Value? = nil
  ) where Value: RawRepresentable & Equatable, Value.RawValue == String {
    self.init(
      name, key: key, among: values, help: help, defaultText: defaultText,
      unreadReason: unreadReason, reasonWithoutLowRank: reasonWithoutLowRank, standard: standard,
      absence: absence, encode: { .string($0.rawValue) })
  }
}

extension MethodOption<Int> {
  /// An option whose value is an integer in a range.
  init(
    _ name: String, key: String, _ placeholder: String, in range: ClosedRange<Int>, help: String,
    defaultText: String? = nil, unreadReason: String, reasonWithoutLowRank: String? = nil,
    standard: @escaping @Sendable (MethodChoices) -> Int
  ) {
    self.init(
      name, key: key, placeholder: placeholder, help: help, defaultText: defaultText,
      expected: "an integer from \(range.lowerBound) to \(range.upperBound)",
      unreadReason: unreadReason, reasonWithoutLowRank: reasonWithoutLowRank, standard: standard,
      parse: { Int($0).flatMap { range.contains($0) ? $0 : nil } }, encode: { .integer($0) },
      text: { String($0) })
  }
}

extension MethodOption<Bool> {
  /// An option that takes no value.
  init(flag name: String, key: String, help: String, unreadReason: String) {
    self.init(
      name, key: key, placeholder: nil, help: help, expected: "", unreadReason: unreadReason,
      standard: { _ in false }, parse: { _ in true }, encode: { .boolean($0) },
      text: { $0 ? "yes" : "no" }, isAbsence: { !$0 })
  }
}
