internal import DuetSystem
internal import Glibc

/// Numbers as Python reads and writes them.
enum PythonNumber {
  /// `repr` of a float: the shortest digits that give the number again.
  static func text(_ number: Double) -> String {
    if number.isNaN { return "nan" }
    if number.isInfinite { return number < 0 ? "-inf" : "inf" }
    // Swift writes the same digits, but chooses between the two forms at other sizes.
    let (sign, digits, exponent) = parts(number)
    guard (-4..<16).contains(exponent) else {
      let fraction = digits.count > 1 ? "." + digits.dropFirst() : ""
      let power = abs(exponent) < 10 ? "0\(abs(exponent))" : "\(abs(exponent))"
      return sign + digits.prefix(1) + fraction + "e" + (exponent < 0 ? "-" : "+") + power
    }
    if exponent < 0 {
      return sign + "0." + String(repeating: "0", count: -exponent - 1) + digits
    }
    let whole = digits.prefix(exponent + 1)
    let zeros = String(repeating: "0", count: exponent + 1 - whole.count)
    let fraction = digits.dropFirst(exponent + 1)
    return sign + whole + zeros + "." + (fraction.isEmpty ? "0" : String(fraction))
  }

  /// The sign, the significant digits and the exponent of the first of them.
  private static func parts(_ number: Double) -> (sign: String, digits: String, exponent: Int) {
    let text = number.magnitude.description
    let halves = text.split(separator: "e")
    let mantissa = halves[0].split(separator: ".")
    var exponent = halves.count > 1 ? Int(halves[1]) ?? 0 : 0
    exponent += mantissa[0].count - 1
    var digits = mantissa.joined()
    let zeros = digits.prefix { $0 == "0" }.count
    let sign = number.sign == .minus ? "-" : ""
    guard zeros < digits.count else { return (sign, "0", 0) }
    digits.removeFirst(zeros)
    exponent -= zeros
    while digits.last == "0", digits.count > 1 { digits.removeLast() }
    return (sign, digits, exponent)
  }

  /// The integer that `int(text, base)` gives, or nil.
  static func integer(_ text: String, base: Int = 10) -> Int? {
    var rest = trimmed(text)[...]
    var sign = ""
    if let first = rest.first, first == "-" || first == "+" {
      sign = String(first)
      rest = rest.dropFirst()
    }
    let prefixes = [16: "0x", 8: "0o", 2: "0b"]
    if let prefix = prefixes[base], rest.lowercased().hasPrefix(prefix) { rest = rest.dropFirst(2) }
    guard let digits = withoutUnderscores(rest) else { return nil }
    return Int(sign + digits, radix: base)
  }

  /// The number that `float(text)` gives, or nil.
  static func double(_ text: String) -> Double? {
    let rest = trimmed(text)
    let unsigned = rest.drop { $0 == "-" || $0 == "+" }.lowercased()
    guard rest.count - unsigned.count <= 1 else { return nil }
    if ["inf", "infinity", "nan"].contains(unsigned) { return Double(rest.lowercased()) }
    guard unsigned.allSatisfy({ $0.isASCII && ($0.isNumber || "._e+-".contains($0)) }),
      let digits = withoutUnderscores(rest[...])
    else { return nil }
    // Swift wants a digit on both sides of a point.
    var text = digits
    if text.hasPrefix(".") { text = "0" + text }
    text = text.replacing("-.", with: "-0.").replacing("+.", with: "+0.")
    if text.hasSuffix(".") { text += "0" }
    text = text.replacing(".e", with: ".0e").replacing(".E", with: ".0E")
    guard digits.contains(where: \.isNumber) else { return nil }
    return Double(text)
  }

  private static func trimmed(_ text: String) -> String { TemplateText(text).stripped().string }

  /// The digits without the single underscores that may stand between them.
  private static func withoutUnderscores(_ text: Substring) -> String? {
    guard !text.hasPrefix("_"), !text.hasSuffix("_"), !text.contains("__") else { return nil }
    return String(text.filter { $0 != "_" })
  }

  /// `round(number, digits)`, or with one of Jinja's methods `ceil` and `floor`.
  static func rounded(_ number: Double, digits: Int, method: String) -> Double {
    guard number.isFinite else { return number }
    if method == "common" {
      if digits >= 0 {
        return Double(formattedNumber(number, "f", precision: min(digits, 330))) ?? number
      }
      let power = pow(10, Double(-max(digits, -310)))
      return (number / power).rounded(.toNearestOrEven) * power
    }
    let power = pow(10, Double(max(-310, min(digits, 310))))
    let scaled = number * power
    return (method == "ceil" ? scaled.rounded(.up) : scaled.rounded(.down)) / power
  }
}
