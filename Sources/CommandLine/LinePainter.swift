/// Redraws an edited line on the terminal.
///
/// Uses carriage return, line feed, cursor up (CUU), cursor right (CUF) and erase below (ED), which
/// every terminal since the VT100 has.
package struct LinePainter: Sendable {
  /// The row of the cursor on the terminal, counted from the first painted row.
  private var cursorRow = 0
  /// The number of painted rows below the cursor.
  private var rowsBelow = 0

  /// Makes a painter that has painted nothing.
  package init() {}

  /// The output that redraws the line.
  package mutating func paint(_ layout: LineLayout, height: Int) -> String {
    let (rows, row) = layout.window(height: height)
    var result = toStart() + rows.joined(separator: "\r\n")
    result += Self.up(rows.count - 1 - row) + "\r"
    if layout.cursorColumn > 0 { result += "\u{1B}[\(layout.cursorColumn)C" }
    cursorRow = row
    rowsBelow = rows.count - 1 - row
    return result
  }

  /// The output that draws the line a last time and moves to the start of the row below it.
  package mutating func leave(_ layout: LineLayout, height: Int) -> String {
    let (rows, _) = layout.window(height: height)
    let result = toStart() + rows.joined(separator: "\r\n") + "\r\n"
    forget()
    return result
  }

  /// The output that moves below the line without redrawing it.
  package mutating func abandon() -> String {
    let result = String(repeating: "\r\n", count: rowsBelow + 1)
    forget()
    return result
  }

  /// The output that clears the screen and moves the cursor to its top left.
  mutating func clearScreen() -> String {
    forget()
    return "\u{1B}[H\u{1B}[2J"
  }

  /// Starts a new line at the cursor, after other output was written to the terminal.
  mutating func forget() { (cursorRow, rowsBelow) = (0, 0) }

  /// Updates the cursor's row after the terminal has rewrapped the line for another width.
  mutating func rewrapped(_ layout: LineLayout, height: Int) {
    cursorRow = layout.window(height: height).cursorRow
  }

  private func toStart() -> String { "\r" + Self.up(cursorRow) + "\u{1B}[J" }

  private static func up(_ rows: Int) -> String { rows > 0 ? "\u{1B}[\(rows)A" : "" }
}
