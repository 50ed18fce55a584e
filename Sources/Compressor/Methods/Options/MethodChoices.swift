internal import DuetRuntime

/// The values that are given for options of methods.
public struct MethodChoices: Sendable {
  /// The values, by the names of their options; none that means leaving the option out.
  private var given: [String: any Sendable] = [:]
  /// The options that were set, also to a value that means leaving them out.
  private var known: [String: any MethodOptionDeclaration] = [:]
  private var readNames: Set<String> = []
  /// The hidden size of the model, which some defaults depend on, or nil while it is not known.
  public var hiddenSize: Int?

  /// No values.
  public init(hiddenSize: Int? = nil) { self.hiddenSize = hiddenSize }

  /// The default rank of L R, except in small models.
  static let largestDefaultRank = 64

  /// The default of the rank: 64, or a sixteenth of the hidden size where that is less.
  ///
  /// In a small model a rank of 64 would take more bits than Q.
  public var defaultRank: Int {
    guard let hiddenSize else { return Self.largestDefaultRank }
    return min(Self.largestDefaultRank, max(1, hiddenSize / 16))
  }

  /// Gives an option a value; with one that means leaving it out, the option is not given.
  public mutating func set<Value>(_ option: MethodOption<Value>, to value: Value) {
    known[option.name] = option
    given[option.name] = option.isAbsence(value) ? nil : value
  }

  /// Whether an option is given that only L R, or its alternation with Q, has a use for.
  var asksForLowRank: Bool {
    MethodOptions.ofLowRank.contains {
      isGiven($0) && $0.name != MethodOptions.refinementRounds.name
    }
  }

  /// Whether a value is given for an option.
  public func isGiven(_ option: any MethodOptionDeclaration) -> Bool { given[option.name] != nil }

  /// The value of an option: the one given, or the standard one.
  public subscript<Value>(option: MethodOption<Value>) -> Value {
    value(option) ?? option.standard(self)
  }

  /// Reads an option for a method, and marks it as read.
  ///
  /// - Returns: The value that is given, or the standard one.
  public mutating func read<Value>(_ option: MethodOption<Value>) -> Value {
    readNames.insert(option.name)
    return self[option]
  }

  /// Reads an option for a method that sets its own default, and marks it as read.
  ///
  /// - Returns: The value that is given, or `standard`.
  public mutating func read<Value>(
    _ option: MethodOption<Value>, default standard: Value
  ) -> Value {
    readNames.insert(option.name)
    return value(option) ?? standard
  }

  private func value<Value>(_ option: MethodOption<Value>) -> Value? {
    guard let value = given[option.name] else { return nil }
    return value as? Value
  }

  /// What is wrong with the first value that is out of its range, or nil.
  var firstProblem: CompressionPlanError? {
    known.values.sorted { $0.name < $1.name }.lazy.compactMap { $0.problem(in: self) }.first
  }

  /// Whether the option was read.
  func isRead(_ option: any MethodOptionDeclaration) -> Bool { readNames.contains(option.name) }

  /// The options that were set and are not among `MethodOptions.all`, by name.
  var others: [any MethodOptionDeclaration] {
    let shared = Set(MethodOptions.all.map(\.name))
    return known.values.filter { !shared.contains($0.name) }.sorted { $0.name < $1.name }
  }

  /// The first option that is given but was not read, in the order of `MethodOptions.all`.
  var firstUnread: (any MethodOptionDeclaration)? {
    (MethodOptions.all + others).first { isGiven($0) && !isRead($0) }
  }
}
