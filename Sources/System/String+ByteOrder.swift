extension String {
  /// Whether the UTF-8 bytes of this string come before those of `other`.
  ///
  /// Unlike with `<`, canonically equal strings with different bytes are not equal.
  package func precedesInBytes(_ other: String) -> Bool {
    let left = utf8.span
    let right = other.utf8.span
    for index in 0..<min(left.count, right.count) where left[index] != right[index] {
      return left[index] < right[index]
    }
    return left.count < right.count
  }
}
