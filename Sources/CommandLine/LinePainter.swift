/// Keeps the picture of an edited line on the terminal up to date.
///
/// Uses carriage return, line feed, cursor up (CUU), cursor right (CUF) and erase below (ED), which
/// every terminal since the VT100 has.
package struct LinePainter: Sendable {
  /// The row of the cursor below the first painted row, as it stands on the terminal.
  private var cursorRow = 0
  /// The painted rows below the cursor.
  private var rowsBelow = 0

  /// A painter that has painted nothing.
  package init() {}

  /// What to write so that the line is shown anew.
  package mutating func paint(_ layout: LineLayout, height: Int) -> String {
    let (rows, row) = layout.window(height: height)
    var result = toStart() + rows.joined(separator: "\r\n")
    result += Self.up(rows.count - 1 - row) + "\r"
    if layout.cursorColumn > 0 { result += "\u{1B}[\(layout.cursorColumn)C" }
    cursorRow = row
    rowsBelow = rows.count - 1 - row
    return result
  }

  /// What to write to leave the line standing and go to the start of the row below it.
  package mutating func leave(_ layout: LineLayout, height: Int) -> String {
    let (rows, _) = layout.window(height: height)
    let result = toStart() + rows.joined(separator: "\r\n") + "\r\n"
    forget()
    return result
  }

  /// What to write to go below the line, which stays as it is painted.
  package mutating func abandon() -> String {
    let result = String(repeating: "\r\n", count: rowsBelow + 1)
    forget()
    return result
  }

  /// What to write to clear the whole screen, cursor at its top.
  mutating func clearScreen() -> String {
    forget()
    return "\u{1B}[H\u{1B}[2J"
  }

  /// Forgets where the line stood, after others have written to the terminal.
  mutating func forget() { (cursorRow, rowsBelow) = (0, 0) }

  /// Takes over that the terminal has wrapped the line anew for another width.
  mutating func rewrapped(_ layout: LineLayout, height: Int) {
    cursorRow = layout.window(height: height).cursorRow
  }

  private func toStart() -> String { "\r" + Self.up(cursorRow) + "\u{1B}[J" }

  private static func up(_ rows: Int) -> String { rows > 0 ? "\u{1B}[\(rows)A" : "" }
}
