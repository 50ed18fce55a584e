/// A reader of the formats of `%` and `format`, from the front to the end.
struct TemplateFormatReader {
  private let text: TemplateText
  private var position = 0

  init(_ text: TemplateText) { self.text = text }

  /// The text up to the next `mark`, which is passed; nil when there is none.
  mutating func next(_ mark: Unicode.Scalar) -> TemplateText? {
    next(anyOf: String(mark))?.text
  }

  /// The text up to the next of `marks`, and which of them it is.
  mutating func next(anyOf marks: String) -> (text: TemplateText, mark: Character)? {
    let bytes = Set(marks.utf8)
    guard let end = text.bytes[position...].firstIndex(where: bytes.contains) else { return nil }
    defer { position = end + 1 }
    return (text.slice(position..<end), Character(Unicode.Scalar(text.bytes[end])))
  }

  /// The text up to the first code point for which `isInside` is false, which is not passed.
  mutating func prefix(while isInside: (Unicode.Scalar) -> Bool) -> TemplateText {
    let start = position
    while position < text.bytes.count {
      let next = text.scalar(at: position)
      guard isInside(next.scalar) else { break }
      position += next.width
    }
    return text.slice(start..<position)
  }

  mutating func rest() -> TemplateText { text.slice(position..<text.bytes.count) }

  mutating func scalar() -> Unicode.Scalar? {
    guard position < text.bytes.count else { return nil }
    let next = text.scalar(at: position)
    position += next.width
    return next.scalar
  }

  mutating func consume(_ mark: String) -> Bool {
    guard text.bytes[position...].starts(with: mark.utf8) else { return false }
    position += mark.utf8.count
    return true
  }

  /// Passes one of the given ASCII characters, if it is next.
  mutating func consume(anyOf marks: String) -> Character? {
    guard position < text.bytes.count, marks.utf8.contains(text.bytes[position]) else { return nil }
    defer { position += 1 }
    return Character(Unicode.Scalar(text.bytes[position]))
  }

  mutating func number() -> Int? {
    var digits = ""
    while let digit = consume(anyOf: "0123456789") { digits.append(digit) }
    return digits.isEmpty ? nil : Int(digits) ?? .max
  }

  /// A sign of alignment, with the code point before it that fills.
  mutating func fillAndAlignment() -> (Unicode.Scalar, Character)? {
    let start = position
    if let fill = scalar(), let alignment = consume(anyOf: "<>^=") { return (fill, alignment) }
    position = start
    return consume(anyOf: "<>^=").map { (" ", $0) }
  }
}
