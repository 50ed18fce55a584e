internal import Glibc

/// A number in one of C's formats `e`, `f` and `g`, correctly rounded.
///
/// - Parameters:
///   - number: The number.
///   - letter: The format.
///   - precision: The number of digits after the point, or of all digits for `g`.
///   - alternate: Whether `g` keeps zeros at the end.
/// - Returns: The digits.
package func formattedNumber(
  _ number: Double, _ letter: Character, precision: Int, alternate: Bool = false
) -> String {
  let format = "%\(alternate ? "#" : "").\(precision)\(letter)"
  var buffer = [CChar](repeating: 0, count: 400 + precision)
  let count = unsafe withVaList([number]) { list in
    unsafe vsnprintf(&buffer, buffer.count, format, list)
  }
  return String(decoding: buffer.prefix(Int(count)).map(UInt8.init(bitPattern:)), as: UTF8.self)
}
