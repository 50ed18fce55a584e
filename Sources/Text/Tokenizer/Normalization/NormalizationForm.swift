/// One of the four Unicode normalization forms.
///
/// Source: The Unicode Standard, section 3.11, and Unicode Standard Annex 15.
struct NormalizationForm: Sendable, Equatable {
  /// Whether scalars are replaced by ones that only look alike.
  let isCompatible: Bool
  /// Whether what was decomposed is composed again.
  let composes: Bool

  static let nfc = NormalizationForm(isCompatible: false, composes: true)
  static let nfd = NormalizationForm(isCompatible: false, composes: false)
  static let nfkc = NormalizationForm(isCompatible: true, composes: true)
  static let nfkd = NormalizationForm(isCompatible: true, composes: false)

  /// The text in this form.
  ///
  /// A scalar of the result is content if any scalar that it comes from is.
  ///
  /// - Complexity: O(length), and O(n log n) for n combining scalars in a row.
  func normalized(_ text: TaggedText) -> TaggedText {
    guard text.bytes.contains(where: { $0 >= 0x80 }) else { return text }
    var sequence = CombiningSequence(output: TaggedTextBuilder(for: text), composes: composes)
    let decompositions = Decompositions.shared
    var position = 0
    let count = text.bytes.count
    while position < count {
      if text.bytes[position] < 0x80 {
        // Of a run of ASCII only the last scalar can change by what follows.
        var end = position + 1
        while end < count, text.bytes[end] < 0x80 { end += 1 }
        sequence.append(text, in: position..<end)
        position = end
        continue
      }
      let (scalar, end) = decodedScalar(text.bytes, at: position)
      let isContent = text.isContent(in: position..<end)
      decompositions.decompose(scalar, compatibly: isCompatible) { part in
        sequence.append(part, isContent: isContent)
      }
      position = end
    }
    return sequence.finish()
  }
}

/// A starter and the combining scalars behind it, collected to be reordered and composed.
private struct CombiningSequence {
  struct Element {
    var scalar: UInt32
    let combiningClass: UInt8
    var isContent: Bool
  }

  private var output: TaggedTextBuilder
  private let composes: Bool
  /// The scalars since the last starter, which is the first of them unless the text began without.
  private var elements: [Element] = []

  init(output: TaggedTextBuilder, composes: Bool) {
    self.output = output
    self.composes = composes
  }

  /// Appends ASCII.
  mutating func append(_ text: TaggedText, in range: Range<Int>) {
    flush()
    output.append(text, in: range.dropLast())
    let last = range.upperBound - 1
    elements.append(
      Element(
        scalar: UInt32(text.bytes[last]), combiningClass: 0,
        isContent: text.isContent(in: last..<range.upperBound)))
  }

  /// Appends a decomposed scalar.
  mutating func append(_ scalar: UInt32, isContent: Bool) {
    let element = Element(
      scalar: scalar, combiningClass: combiningClass(scalar), isContent: isContent)
    if element.combiningClass == 0 {
      closeSequence()
      if composes, elements.count == 1, elements[0].combiningClass == 0,
        let composed = Decompositions.shared.composed(elements[0].scalar, scalar)
      {
        elements[0].scalar = composed
        elements[0].isContent = elements[0].isContent || isContent
        return
      }
      writeElements()
    }
    elements.append(element)
  }

  mutating func finish() -> TaggedText {
    flush()
    return output.text
  }

  private mutating func flush() {
    closeSequence()
    writeElements()
  }

  private mutating func writeElements() {
    for element in elements { output.append(scalar: element.scalar, isContent: element.isContent) }
    elements.removeAll(keepingCapacity: true)
  }

  /// Orders the combining scalars by their class and composes them with the starter.
  private mutating func closeSequence() {
    guard elements.count > 1 else { return }
    let start = elements[0].combiningClass == 0 ? 1 : 0
    let ordered = elements.indices.dropFirst(start).sorted {
      (elements[$0].combiningClass, $0) < (elements[$1].combiningClass, $1)
    }
    var result = Array(elements[..<start])
    var lastClass: UInt8 = 0
    for index in ordered {
      let element = elements[index]
      // A scalar is cut off from the starter by another one of its class that stays between them.
      if composes, start == 1, lastClass < element.combiningClass,
        let composed = Decompositions.shared.composed(result[0].scalar, element.scalar)
      {
        result[0].scalar = composed
        result[0].isContent = result[0].isContent || element.isContent
      } else {
        result.append(element)
        lastClass = element.combiningClass
      }
    }
    elements = result
  }

  private func combiningClass(_ scalar: UInt32) -> UInt8 {
    // The first scalar with a class above 0 is U+0300.
    if scalar < 0x300 { return 0 }
    return Unicode.Scalar(scalar)?.properties.canonicalCombiningClass.rawValue ?? 0
  }
}
