extension TaggedText {
  /// The text with each scalar replaced by what `change` returns for it: no, one or more scalars.
  ///
  /// - Complexity: O(length).
  private func mappingScalars(
    _ change: (Unicode.Scalar) -> some Collection<Unicode.Scalar>
  ) -> TaggedText {
    var result = TaggedTextBuilder(for: self)
    var position = 0
    while position < bytes.count {
      let (value, end) = decodedScalar(bytes, at: position)
      if let scalar = Unicode.Scalar(value) {
        let isContent = isContent(at: position)
        let changed = change(scalar)
        if changed.isEmpty, position == 0 { result.markLostStart() }
        for new in changed { result.append(scalar: new.value, isContent: isContent) }
      }
      position = end
    }
    return result.text
  }

  /// The text with every scalar in lower case, without regard to its neighbours.
  func lowercased() -> TaggedText {
    mappingScalars { scalar -> String.UnicodeScalarView in
      scalar.properties.lowercaseMapping.unicodeScalars
    }
  }

  /// The text without marks: the scalars of the general category M.
  func withoutMarks() -> TaggedText {
    mappingScalars { ScalarClass.of($0.value) == .mark ? [] : CollectionOfOne($0).map { $0 } }
  }

  /// The text without controls, and with spaces in place of scalars that look like one or like nothing.
  ///
  /// Source: google/sentencepiece, the rules `nmt`, without those of NFKC.
  func cleanedAsInNMT() -> TaggedText {
    mappingScalars { scalar -> [Unicode.Scalar] in
      switch scalar.value {
      case 0x01...0x08, 0x0B, 0x0E...0x1F, 0x7F, 0x8F, 0x9F: []
      case 0x09, 0x0A, 0x0C, 0x0D, 0x1680, 0x200B...0x200F, 0x2028, 0x2029, 0x2581, 0xFEFF, 0xFFFD:
        [" "]
      default: [scalar]
      }
    }
  }

  /// The text with each byte spelled in the `ByteLevelAlphabet`.
  func spelledByteLevel() -> TaggedText {
    var result = TaggedTextBuilder(for: self)
    var spelled: [UInt8] = []
    for (index, byte) in bytes.enumerated() {
      spelled.removeAll(keepingCapacity: true)
      ByteLevelAlphabet.append(byte, to: &spelled)
      result.append(spelled, isContent: isContent(at: index))
    }
    return result.text
  }

  /// The text without the white space at its ends.
  func stripped(left: Bool, right: Bool) -> TaggedText {
    var start = 0
    var end = bytes.count
    while left, start < end {
      let (scalar, next) = decodedScalar(bytes, at: start)
      guard ScalarClass.of(scalar) == .whiteSpace else { break }
      start = next
    }
    while right, start < end {
      let first = startOfScalar(bytes, endingAt: end)
      guard ScalarClass.of(decodedScalar(bytes, at: first).scalar) == .whiteSpace else { break }
      end = first
    }
    return start == 0 && end == bytes.count ? self : TaggedText(self, in: start..<end)
  }
}
