/// A text with a cursor, edited scalar by scalar.
///
/// Scalars without width, such as combining marks, belong to the scalar before them: the cursor is
/// never placed in front of one, and they are deleted together with that scalar.
package struct EditBuffer: Sendable {
  /// The text.
  package private(set) var scalars: [Unicode.Scalar] = []
  /// The index of the scalar under the cursor, or the count at the end.
  package private(set) var cursor = 0
  /// The scalars that were cut last, for Ctrl-Y.
  private var cut: [Unicode.Scalar] = []

  /// The text as a string.
  package var text: String {
    var view = String.UnicodeScalarView()
    view.append(contentsOf: scalars)
    return String(view)
  }

  var isEmpty: Bool { scalars.isEmpty }

  /// Replaces the text and puts the cursor at its end.
  mutating func replace(with text: String) {
    scalars = Array(text.unicodeScalars)
    cursor = scalars.count
  }

  mutating func insert(_ text: [Unicode.Scalar]) {
    scalars.insert(contentsOf: text, at: cursor)
    cursor += text.count
  }

  // MARK: - Moving

  mutating func moveLeft() { cursor = left(of: cursor) }
  mutating func moveRight() { cursor = right(of: cursor) }
  mutating func moveWordLeft() { cursor = wordLeft(of: cursor) }
  mutating func moveWordRight() { cursor = wordRight(of: cursor) }
  mutating func moveToLineStart() { cursor = lineStart }
  mutating func moveToLineEnd() { cursor = lineEnd }

  /// Moves to the same column of the line above; returns false when there is none.
  mutating func moveUp() -> Bool {
    let start = lineStart
    guard start > 0 else { return false }
    let column = cursor - start
    cursor = start - 1
    let end = cursor
    cursor = snapped(min(lineStart + column, end))
    return true
  }

  /// Moves to the same column of the line below; returns false when there is none.
  mutating func moveDown() -> Bool {
    let end = lineEnd
    guard end < scalars.count else { return false }
    let column = cursor - lineStart
    cursor = end + 1
    cursor = snapped(min(cursor + column, lineEnd))
    return true
  }

  // MARK: - Deleting

  mutating func deleteLeft() { remove(left(of: cursor)..<cursor) }
  mutating func deleteRight() { remove(cursor..<right(of: cursor)) }
  mutating func cutWordLeft() { cutOut(wordLeft(of: cursor)..<cursor) }
  mutating func cutWordRight() { cutOut(cursor..<wordRight(of: cursor)) }
  mutating func cutToLineStart() { cutOut(lineStart..<cursor) }

  /// Cuts to the end of the line, or the line break when the cursor is on it.
  mutating func cutToLineEnd() {
    let end = lineEnd
    cutOut(cursor..<(end == cursor ? right(of: cursor) : end))
  }

  mutating func paste() { insert(cut) }

  /// Swaps the characters around the cursor, or the last two at the end.
  mutating func transpose() {
    var middle = cursor
    if middle == scalars.count { middle = left(of: middle) }
    let first = left(of: middle)
    let end = right(of: middle)
    guard first < middle, middle < end, !scalars[first..<end].contains("\n") else { return }
    scalars.replaceSubrange(first..<end, with: scalars[middle..<end] + scalars[first..<middle])
    cursor = end
  }

  private mutating func remove(_ range: Range<Int>) {
    scalars.removeSubrange(range)
    cursor = range.lowerBound
  }

  private mutating func cutOut(_ range: Range<Int>) {
    guard !range.isEmpty else { return }
    cut = Array(scalars[range])
    remove(range)
  }

  // MARK: - Places

  private var lineStart: Int {
    (scalars[..<cursor].lastIndex(of: "\n") ?? -1) + 1
  }

  private var lineEnd: Int {
    scalars[cursor...].firstIndex(of: "\n") ?? scalars.count
  }

  private func left(of index: Int) -> Int {
    var place = max(0, index - 1)
    while place > 0, joinsPrevious(place) { place -= 1 }
    return place
  }

  private func right(of index: Int) -> Int {
    var place = min(scalars.count, index + 1)
    while place < scalars.count, joinsPrevious(place) { place += 1 }
    return place
  }

  private func snapped(_ index: Int) -> Int {
    index < scalars.count && joinsPrevious(index) ? left(of: index) : index
  }

  /// Whether the scalar at `index` has no width; a scalar that is shown escaped has one.
  private func joinsPrevious(_ index: Int) -> Bool {
    cellWidth(scalars[index]) == 0 && scalars[index] != "\n"
  }

  private func wordLeft(of index: Int) -> Int {
    var place = index
    while place > 0, !isWord(scalars[place - 1]) { place -= 1 }
    while place > 0, isWord(scalars[place - 1]) { place -= 1 }
    return place
  }

  private func wordRight(of index: Int) -> Int {
    var place = index
    while place < scalars.count, !isWord(scalars[place]) { place += 1 }
    while place < scalars.count, isWord(scalars[place]) { place += 1 }
    return place
  }

  private func isWord(_ scalar: Unicode.Scalar) -> Bool {
    scalar.properties.isAlphabetic || scalar.properties.numericType != nil || scalar == "_"
      || scalar.properties.generalCategory == .nonspacingMark
  }
}
