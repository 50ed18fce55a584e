/// A prompt and a text laid out in the rows of a terminal, and the cursor's position in them.
package struct LineLayout: Equatable, Sendable {
  /// The rows, with unsafe scalars escaped.
  package private(set) var rows = [""]
  /// The row of the cursor.
  package private(set) var cursorRow = 0
  /// The column of the cursor.
  package private(set) var cursorColumn = 0

  /// Lays out a text.
  ///
  /// Rows are broken here and not by the terminal, because terminals differ in their behaviour at
  /// the last column.
  ///
  /// - Complexity: O(length of the text).
  package init(prompt: String, text: [Unicode.Scalar], cursor: Int, columns: Int) {
    // A wide character needs two columns.
    let columns = max(2, columns)
    var column = 0
    func breakRow() {
      rows.append("")
      column = 0
    }
    func place(_ shown: String, width: Int) {
      if width > 0, column + width > columns { breakRow() }
      rows[rows.count - 1] += shown
      column += width
    }
    for scalar in prompt.unicodeScalars { place(cellText(scalar), width: cellWidth(scalar)) }
    for (index, scalar) in text.enumerated() {
      let isCursor = index == cursor
      if scalar == "\n" {
        if isCursor { (cursorRow, cursorColumn) = (rows.count - 1, min(column, columns - 1)) }
        breakRow()
        continue
      }
      // A scalar that is shown as several characters may need more than one row.
      let shown = cellText(scalar)
      let width = min(cellWidth(scalar), columns)
      if width > 0, column + width > columns { breakRow() }
      if isCursor { (cursorRow, cursorColumn) = (rows.count - 1, column) }
      place(shown, width: width)
    }
    if cursor >= text.count {
      if column >= columns { breakRow() }
      (cursorRow, cursorColumn) = (rows.count - 1, column)
    }
  }

  /// The rows around the cursor that fit on a screen of `height` rows.
  package func window(height: Int) -> (rows: ArraySlice<String>, cursorRow: Int) {
    let height = max(1, height)
    guard rows.count > height else { return (rows[...], cursorRow) }
    let first = min(max(0, cursorRow - height + 1), rows.count - height)
    return (rows[first..<(first + height)], cursorRow - first)
  }
}

/// A scalar as it is shown in a line: a tab as spaces, an unsafe scalar in its escaped form.
func cellText(_ scalar: Unicode.Scalar) -> String {
  if scalar == "\t" { return "    " }
  return DisplayFilter(isTerminal: true)(String(scalar))
}

/// The columns that `cellText` takes.
func cellWidth(_ scalar: Unicode.Scalar) -> Int {
  scalar == "\n" ? 0 : displayWidth(cellText(scalar))
}
