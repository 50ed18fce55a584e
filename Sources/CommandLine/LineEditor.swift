/// The effect of a key on the line.
package enum EditOutcome: Equatable, Sendable {
  /// The line may have changed; editing continues.
  case editing
  /// Enter: the line is complete.
  case submitted(String)
  /// Ctrl-C; the line was discarded, with whether it had text.
  case interrupted(hadText: Bool)
  /// Ctrl-D on an empty line.
  case endOfInput
  /// Ctrl-Z.
  case suspended
  /// Ctrl-L: the screen is to be cleared.
  case cleared
}

/// A line being edited by keys, with a history of earlier lines; it does not use the terminal.
package struct LineEditor: Sendable {
  /// The line.
  package private(set) var buffer = EditBuffer()
  private var history: [String] = []
  /// The index of the history line that is shown; the history's count means the new line.
  private var place = 0
  /// The new line, kept while older ones are shown.
  private var draft = ""

  /// The number of lines kept, more than a chat session usually has.
  private static let historyLimit = 1000

  /// Makes an editor with an empty line and no history.
  package init() {}

  /// Applies keys to the line.
  ///
  /// - Returns: The first outcome other than `editing`, and how many keys were used up to it.
  package mutating func handle(_ keys: [Key]) -> (outcome: EditOutcome, used: Int) {
    var index = 0
    while index < keys.count {
      if case .text = keys[index] {
        // Pasted text is many scalars; inserting them together takes linear time.
        var text: [Unicode.Scalar] = []
        while index < keys.count, case .text(let scalar) = keys[index] {
          text.append(scalar)
          index += 1
        }
        buffer.insert(text)
        continue
      }
      let outcome = handle(keys[index])
      index += 1
      if outcome != .editing { return (outcome, index) }
    }
    return (.editing, index)
  }

  private mutating func handle(_ key: Key) -> EditOutcome {
    switch key {
    case .text(let scalar): buffer.insert([scalar])
    case .lineBreak: buffer.insert(["\n"])
    case .enter: return .submitted(takeLine())
    case .left: buffer.moveLeft()
    case .right: buffer.moveRight()
    case .up: if !buffer.moveUp() { recall(place - 1) }
    case .down: if !buffer.moveDown() { recall(place + 1) }
    case .home: buffer.moveToLineStart()
    case .end: buffer.moveToLineEnd()
    case .wordLeft: buffer.moveWordLeft()
    case .wordRight: buffer.moveWordRight()
    case .backspace: buffer.deleteLeft()
    case .delete: buffer.deleteRight()
    case .deleteWordLeft: buffer.cutWordLeft()
    case .deleteWordRight: buffer.cutWordRight()
    case .control(let letter): return control(letter)
    }
    return .editing
  }

  private mutating func control(_ letter: Character) -> EditOutcome {
    switch letter {
    case "a": buffer.moveToLineStart()
    case "b": buffer.moveLeft()
    case "c":
      let hadText = !buffer.isEmpty
      reset()
      return .interrupted(hadText: hadText)
    case "d":
      if buffer.isEmpty { return .endOfInput }
      buffer.deleteRight()
    case "e": buffer.moveToLineEnd()
    case "f": buffer.moveRight()
    case "k": buffer.cutToLineEnd()
    case "l": return .cleared
    case "n": recall(place + 1)
    case "p": recall(place - 1)
    case "t": buffer.transpose()
    case "u": buffer.cutToLineStart()
    case "w": buffer.cutWordLeft()
    case "y": buffer.paste()
    case "z": return .suspended
    default: break
    }
    return .editing
  }

  private mutating func takeLine() -> String {
    let line = buffer.text
    reset()
    return line
  }

  private mutating func reset() {
    buffer.replace(with: "")
    place = history.count
    draft = ""
  }

  /// Adds a line to the history, unless it is blank or equal to the last.
  package mutating func remember(_ line: String) {
    let isBlank = line.unicodeScalars.allSatisfy(\.properties.isWhitespace)
    if !isBlank, history.last != line {
      history.append(line)
      if history.count > Self.historyLimit { history.removeFirst() }
    }
    place = history.count
  }

  /// Shows an older or newer line.
  private mutating func recall(_ wanted: Int) {
    guard wanted >= 0, wanted <= history.count, wanted != place else { return }
    if place == history.count { draft = buffer.text }
    place = wanted
    buffer.replace(with: wanted == history.count ? draft : history[wanted])
  }
}
