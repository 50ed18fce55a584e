extension Option where Value == Int {
  /// Declares an option with an integer of a range as its value.
  package static func integer(
    _ name: String, short: Character? = nil, _ placeholder: String, in range: ClosedRange<Int>,
    default initial: Int, help: String
  ) -> Option {
    Option(
      name, short: short, placeholder, help: help, initial: initial,
      defaultText: String(initial), expected: expectation(range),
      read: { readInteger($0, in: range) })
  }
}

extension Option where Value == Int? {
  /// Declares an option with an integer of a range as its value and no fixed default.
  package static func integer(
    _ name: String, short: Character? = nil, _ placeholder: String, in range: ClosedRange<Int>,
    defaultText: String? = nil, help: String
  ) -> Option {
    Option(
      name, short: short, placeholder, help: help, initial: nil, defaultText: defaultText,
      expected: expectation(range), read: { readInteger($0, in: range).map(Optional.some) })
  }
}

extension Option where Value == [Int] {
  /// Declares an option with a list of integers of a range, separated by commas, as its value.
  package static func integers(
    _ name: String, short: Character? = nil, _ placeholder: String, in range: ClosedRange<Int>,
    default initial: [Int], help: String
  ) -> Option {
    Option(
      name, short: short, placeholder, help: help, initial: initial,
      defaultText: initial.map(String.init).joined(separator: ","),
      expected: "a list, separated by commas, of integers from \(range.lowerBound) to "
        + "\(range.upperBound)",
      read: { text in
        let parts = text.split(separator: ",", omittingEmptySubsequences: false)
        let numbers = parts.compactMap { readInteger(String($0), in: range) }
        return numbers.count == parts.count ? numbers : nil
      })
  }
}

extension Option where Value == UInt64? {
  /// Declares an option with a seed, any unsigned 64-bit integer, as its value.
  package static func seed(
    _ name: String, short: Character? = nil, _ placeholder: String, defaultText: String,
    help: String
  ) -> Option {
    Option(
      name, short: short, placeholder, help: help, initial: nil, defaultText: defaultText,
      expected: "an integer from 0 to \(UInt64.max)", read: { UInt64($0).map(Optional.some) })
  }
}

extension Option where Value == UInt64 {
  /// Declares an option with a seed, any unsigned 64-bit integer, as its value.
  package static func seed(
    _ name: String, short: Character? = nil, _ placeholder: String, default initial: UInt64,
    help: String
  ) -> Option {
    Option(
      name, short: short, placeholder, help: help, initial: initial,
      defaultText: String(initial), expected: "an integer from 0 to \(UInt64.max)",
      read: { UInt64($0) })
  }
}

extension Option where Value == Double {
  /// Declares an option with a number of a range as its value.
  package static func number(
    _ name: String, short: Character? = nil, _ placeholder: String, in range: ClosedRange<Double>,
    default initial: Double, help: String
  ) -> Option {
    Option(
      name, short: short, placeholder, help: help, initial: initial,
      defaultText: shortText(initial), expected: expectation(range),
      read: { readNumber($0, in: range) })
  }
}

extension Option where Value == Double? {
  /// Declares an option with a number of a range as its value and no fixed default.
  package static func number(
    _ name: String, short: Character? = nil, _ placeholder: String, in range: ClosedRange<Double>,
    defaultText: String? = nil, help: String
  ) -> Option {
    Option(
      name, short: short, placeholder, help: help, initial: nil, defaultText: defaultText,
      expected: expectation(range), read: { readNumber($0, in: range).map(Optional.some) })
  }
}

private func readInteger(_ text: String, in range: ClosedRange<Int>) -> Int? {
  Int(text).flatMap { range.contains($0) ? $0 : nil }
}

private func readNumber(_ text: String, in range: ClosedRange<Double>) -> Double? {
  // Not-a-number is in no range, so it needs no separate check.
  Double(text).flatMap { range.contains($0) ? $0 : nil }
}

private func expectation(_ range: ClosedRange<Int>) -> String {
  "an integer from \(range.lowerBound) to \(range.upperBound)"
}

private func expectation(_ range: ClosedRange<Double>) -> String {
  "a number from \(shortText(range.lowerBound)) to \(shortText(range.upperBound))"
}

/// The shortest decimal text of a number, without ".0".
private func shortText(_ number: Double) -> String {
  let text = "\(number)"
  return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
}
