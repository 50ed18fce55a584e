import DuetCommandLine

/// A number of bytes with a text such as "8GiB".
package struct ByteCount: Hashable {
  package let value: Int

  private static let units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)]

  package init(_ value: Int) {
    self.value = value
  }

  /// Reads "8GiB", "1.5 GiB", "4096" or "4096B", at least one byte and below an exbibyte.
  package init?(reading text: String) {
    var digits = text[...]
    var shift = 0
    if let unit = Self.units.first(where: { text.hasSuffix($0.0) }) {
      digits = text.dropLast(unit.0.count)
      shift = unit.1
    } else if text.hasSuffix("B") {
      digits = text.dropLast()
    }
    if digits.hasSuffix(" ") { digits = digits.dropLast() }
    // Double would also accept signs, exponents, hexadecimal digits and "inf".
    guard !digits.isEmpty, digits.utf8.allSatisfy({ (48...57).contains($0) || $0 == 46 }),
      let number = Double(digits)
    else { return nil }
    let value = (number * Double(1 << shift)).rounded()
    guard value >= 1, value < Double(1 << 60) else { return nil }
    self.value = Int(value)
  }

  /// The number with about three significant digits: "2.01 GiB", "81.4 MiB", "812 KiB", "17 bytes".
  package var text: String {
    guard let unit = Self.units.last(where: { value >> $0.1 > 0 }) else { return "\(value) bytes" }
    let number = Double(value) / Double(1 << unit.1)
    return "\(decimalText(number, digits: number < 9.995 ? 2 : number < 99.95 ? 1 : 0)) \(unit.0)"
  }
}

/// A count with about three significant digits: "6.48 B", "12.6 M", "812 K", "17".
package func countText(_ count: Int) -> String {
  for (unit, size) in [("B", 1e9), ("M", 1e6), ("K", 1e3)] where Double(count) >= size {
    let number = Double(count) / size
    return "\(decimalText(number, digits: number < 9.995 ? 2 : number < 99.95 ? 1 : 0)) \(unit)"
  }
  return "\(count)"
}
