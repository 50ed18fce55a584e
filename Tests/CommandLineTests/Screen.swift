import DuetSystem

/// A terminal in memory, for the sequences that the line editor writes: a grid of cells that wraps
/// like xterm (the cursor stays in the last column until the next character), and scrolls.
struct Screen {
  let columns: Int
  let rows: Int
  private(set) var cells: [[String]]
  private(set) var row = 0
  private(set) var column = 0
  private var wrapIsPending = false
  /// Whether a sequence came that is not known here.
  private(set) var unknown: [String] = []

  init(columns: Int, rows: Int) {
    self.columns = columns
    self.rows = rows
    cells = Array(repeating: Array(repeating: " ", count: columns), count: rows)
  }

  /// The rows without trailing blanks, and without the empty ones at the end.
  var lines: [String] {
    var lines = cells.map { row in
      var text = row.joined()
      while text.hasSuffix(" ") { text.removeLast() }
      return text
    }
    while lines.last == "" { lines.removeLast() }
    return lines
  }

  mutating func write(_ text: String, width: (Unicode.Scalar) -> Int) {
    var rest = Array(text.unicodeScalars)[...]
    while let scalar = rest.popFirst() {
      switch scalar {
      case "\r": (column, wrapIsPending) = (0, false)
      case "\n": lineFeed()
      case "\u{1B}": escape(&rest)
      default: put(scalar, width: width(scalar))
      }
    }
  }

  private mutating func put(_ scalar: Unicode.Scalar, width: Int) {
    if width == 0 {
      cells[row][max(0, wrapIsPending ? columns - 1 : column - 1)].unicodeScalars.append(scalar)
      return
    }
    if wrapIsPending || column + width > columns {
      column = 0
      lineFeed()
    }
    cells[row][column] = String(scalar)
    if width == 2 { cells[row][column + 1] = "" }
    column += width
    if column >= columns { (column, wrapIsPending) = (columns - 1, true) }
  }

  private mutating func lineFeed() {
    wrapIsPending = false
    if row + 1 < rows {
      row += 1
    } else {
      cells.removeFirst()
      cells.append(Array(repeating: " ", count: columns))
    }
  }

  private mutating func escape(_ rest: inout ArraySlice<Unicode.Scalar>) {
    var sequence = ""
    while let scalar = rest.popFirst() {
      sequence.unicodeScalars.append(scalar)
      if scalar != "[", ("@"..."~").contains(scalar) { break }
    }
    let number = Int(sequence.dropFirst().dropLast()) ?? 1
    wrapIsPending = false
    switch sequence.last {
    case "A": row = max(0, row - number)
    case "C": column = min(columns - 1, column + number)
    case "J" where sequence == "[J":
      for place in column..<columns { cells[row][place] = " " }
      for place in (row + 1)..<max(row + 1, rows) {
        cells[place] = Array(repeating: " ", count: columns)
      }
    case "J" where sequence == "[2J":
      cells = Array(repeating: Array(repeating: " ", count: columns), count: rows)
    case "H": (row, column) = (0, 0)
    default: unknown.append(sequence)
    }
  }
}
