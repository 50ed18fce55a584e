/// The case mappings of Python and Jinja, each keeping track of what is content.
extension TemplateText {
  /// How a code point is written.
  enum LetterCase {
    case upper
    case lower
    case title
    case same
  }

  func uppercased() -> TemplateText { mapped { _, _ in .upper } }

  func lowercased() -> TemplateText { mapped { _, _ in .lower } }

  func swappingCase() -> TemplateText {
    mapped { properties, _ in
      properties.isUppercase ? .lower : properties.isLowercase ? .upper : .same
    }
  }

  func capitalized() -> TemplateText {
    mapped { _, position in position == 0 ? .title : .lower }
  }

  /// Python's `str.title`: the first letter of each run of letters is in title case.
  func titled() -> TemplateText {
    var insideWord = false
    return mapped { properties, _ in
      defer { insideWord = properties.isCased }
      return insideWord ? .lower : .title
    }
  }

  /// Jinja's filter `title`: the first letter after white space or one of `-({[<` is a capital.
  func titledByWords() -> TemplateText {
    let separators: Set<UInt8> = Set("-({[<".utf8)
    var startsWord = true
    return mapped { _, position in
      let next = scalar(at: position).scalar
      if Self.isWhitespace(next) || (next.isASCII && separators.contains(UInt8(next.value))) {
        startsWord = true
        return .same
      }
      defer { startsWord = false }
      return startsWord ? .upper : .lower
    }
  }

  /// The text with each code point in the case that `letterCase` says for it and its byte position.
  private func mapped(
    _ letterCase: (Unicode.Scalar.Properties, Int) -> LetterCase
  ) -> TemplateText {
    var result = TemplateText()
    result.isMarkup = isMarkup
    var position = 0
    while position < bytes.count {
      let next = scalar(at: position)
      let properties = next.scalar.properties
      let isContent = isContent(at: position)
      switch letterCase(properties, position) {
      case .upper: result.append(properties.uppercaseMapping.utf8, isContent: isContent)
      case .title: result.append(properties.titlecaseMapping.utf8, isContent: isContent)
      case .lower:
        let isFinal = next.scalar == "\u{3A3}" && isFinalSigma(at: position)
        let mapped = isFinal ? "\u{3C2}" : properties.lowercaseMapping
        result.append(mapped.utf8, isContent: isContent)
      case .same: result.append(bytes[position..<position + next.width], isContent: isContent)
      }
      position += next.width
    }
    return result
  }

  /// Whether a capital sigma ends a Greek word: a letter comes before it and none after it, where
  /// signs that are ignored in case mapping do not count.
  private func isFinalSigma(at position: Int) -> Bool {
    var before = position
    var hasLetterBefore = false
    while before > 0 {
      let last = scalar(endingAt: before)
      before -= last.width
      if last.scalar.properties.isCaseIgnorable { continue }
      hasLetterBefore = last.scalar.properties.isCased
      break
    }
    guard hasLetterBefore else { return false }
    var after = position + scalar(at: position).width
    while after < bytes.count {
      let next = scalar(at: after)
      after += next.width
      if next.scalar.properties.isCaseIgnorable { continue }
      return !next.scalar.properties.isCased
    }
    return true
  }
}
