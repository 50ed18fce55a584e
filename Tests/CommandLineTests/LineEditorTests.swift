import DuetCommandLine
import DuetRuntime
import DuetSystem
import Testing

/// Feeds bytes to a decoder and an editor, as a terminal would.
private struct Typist {
  var decoder = KeyDecoder()
  var editor = LineEditor()
  var lines: [String] = []
  var outcomes: [EditOutcome] = []

  mutating func type(_ text: String) { type(Array(text.utf8)) }

  mutating func type(_ bytes: [UInt8]) {
    var waiting = bytes.flatMap { decoder.keys(for: $0) }
    while !waiting.isEmpty {
      let (outcome, used) = editor.handle(waiting)
      waiting.removeFirst(used)
      if case .submitted(let line) = outcome {
        lines.append(line)
        editor.remember(line)
      } else if outcome != .editing {
        outcomes.append(outcome)
      }
    }
  }
}

private func keys(_ bytes: [UInt8]) -> [Key] {
  var decoder = KeyDecoder()
  return bytes.flatMap { decoder.keys(for: $0) }
}

private func keys(_ text: String) -> [Key] { keys(Array(text.utf8)) }

@Suite("Key decoder")
struct KeyDecoderTests {
  @Test(
    "bytes and escape sequences become keys",
    arguments: [
      ("\u{1B}[A", Key.up), ("\u{1B}OB", .down), ("\u{1B}[C", .right), ("\u{1B}[D", .left),
      ("\u{1B}[H", .home), ("\u{1B}OF", .end), ("\u{1B}[1~", .home), ("\u{1B}[8~", .end),
      ("\u{1B}[3~", .delete), ("\u{1B}[1;5C", .wordRight), ("\u{1B}[1;3D", .wordLeft),
      ("\u{1B}b", .wordLeft), ("\u{1B}f", .wordRight), ("\u{1B}d", .deleteWordRight),
      ("\u{1B}\u{7F}", .deleteWordLeft), ("\u{7F}", .backspace), ("\u{8}", .backspace),
      ("\r", .enter), ("\n", .enter), ("\u{1B}\r", .lineBreak), ("\u{3}", .control("c")),
      ("é", .text("é")), ("東", .text("東")), ("😀", .text("😀")), ("\t", .text("\t")),
    ])
  func sequencesBecomeKeys(bytes: String, key: Key) {
    #expect(keys(bytes) == [key])
    #expect(keys(bytes + "x") == [key, .text("x")])
  }

  @Test("unknown escape sequences are swallowed")
  func unknownSequencesAreSwallowed() {
    #expect(keys("\u{1B}[?1;2c\u{1B}[99~\u{1B}[1;2P\u{1B}Q\u{0}\u{1F}a") == [.text("a")])
    #expect(keys("\u{1B}[" + String(repeating: "1", count: 10_000) + "Aa") == [.up, .text("a")])
  }

  @Test("malformed bytes are replaced")
  func malformedBytesAreReplaced() {
    let bad: Key = .text("\u{FFFD}")
    #expect(keys([0x80, 0x61]) == [bad, .text("a")])
    #expect(keys([0xE6, 0x9D, 0x61]) == [bad, .text("a")])
    #expect(keys([0xC3, 0x1B, 0x5B, 0x41]) == [bad, .up])
    #expect(keys([0xC0, 0xAF, 0xFF]) == [bad, bad, bad])
    // A surrogate is three malformed bytes to Unicode's recommended practice.
    #expect(keys([0xED, 0xA0, 0x80, 0x61]).last == .text("a"))
  }

  @Test("pasted text is text, whatever it holds")
  func pastedTextIsTextWhateverItHolds() {
    let pasted = "a\rb\r\nc\nd\u{1B}[A\u{3}\u{1B}\u{1B}[201é"
    let text = "a\nb\nc\nd\u{1B}[A\u{3}\u{1B}\u{1B}[201é"
    #expect(
      keys("\u{1B}[200~\(pasted)\u{1B}[201~\r") == text.unicodeScalars.map { .text($0) } + [.enter])
    // Bytes cut off by the end of the paste do not swallow the next key.
    let cut = keys(Array("\u{1B}[200~".utf8) + [0xE6, 0x9D] + Array("\u{1B}[201~\r".utf8))
    #expect(cut == [.text("\u{FFFD}"), .enter])
  }
}

@Suite("Line editor")
struct LineEditorTests {
  @Test(
    "keys edit the line",
    arguments: [
      ("hello\r", "hello"),
      ("helo\u{1B}[Dl\r", "hello"),
      ("ello\u{1}h\u{5}!\r", "hello!"),
      ("ello\u{1B}[Hh\u{1B}[F!\r", "hello!"),
      ("helloo\u{7F}\r", "hello"),
      ("xhello\u{1}\u{1B}[3~\r", "hello"),
      ("one two\u{17}three\r", "one three"),
      ("one two\u{1B}b\u{B}\r", "one "),
      ("one two\u{1B}b\u{15}\r", "two"),
      ("one two\u{1}\u{1B}f\u{B}\r", "one"),
      ("one two\u{1}\u{1B}d\r", " two"),
      ("ab\u{14}\r", "ba"),
      ("abc\u{1}\u{6}\u{14}\r", "bac"),
      ("one two\u{17}\u{19}\u{19}\r", "one twotwo"),
      ("abc\u{1}\u{4}\r", "bc"),
      ("東京\u{1B}[D\u{7F}\r", "京"),
      ("e\u{301}x\u{1B}[D\u{7F}\r", "x"),
      ("e\u{301}x\u{1}\u{1B}[3~\r", "x"),
      ("👩\u{200D}\r", "👩\u{200D}"),
      ("\u{1B}[200~a\nb\u{1B}[201~c\r", "a\nbc"),
      ("a\u{1B}\rb\u{1B}[Ax\r", "ax\nb"),
      ("a\u{1B}\rb\u{1B}[A\u{1B}[Bx\r", "a\nbx"),
      ("\u{4}x\u{3}y\r", "y"),
    ])
  func keysEditTheLine(bytes: String, line: String) {
    var typist = Typist()
    typist.type(bytes)
    #expect(typist.lines == [line])
  }

  @Test("arrows walk through the history, and the draft is kept")
  func historyIsWalkedAndTheDraftKept() {
    var typist = Typist()
    typist.type("one\rtwo\rtwo\r   \r")
    typist.type("draft\u{1B}[A\u{1B}[A\u{1B}[A\r")
    #expect(typist.lines.last == "one")
    typist.type("draft\u{1B}[A\u{1B}[A\u{1B}[B\u{1B}[B!\r")
    #expect(typist.lines.last == "draft!")
    // An older line may be changed; the history keeps it as it was.
    typist.type("\u{1B}[A\u{1B}[A?\r\u{1B}[A\u{1B}[A\u{1B}[A\r")
    #expect(typist.lines.suffix(2) == ["one?", "one"])
  }

  @Test("control keys end the line")
  func controlKeysEndTheLine() {
    var typist = Typist()
    typist.type("\u{3}abc\u{3}\u{4}\u{1A}\u{C}")
    #expect(
      typist.outcomes == [
        .interrupted(hadText: false), .interrupted(hadText: true), .endOfInput, .suspended,
        .cleared,
      ])
  }

  /// Random keys on narrow screens: the painted line must be what a terminal shows when the prompt
  /// and the text are simply written to it, and the cursor must stand where writing the text up to
  /// it would leave it.
  @Test("the painted line is what a terminal shows of the text", arguments: 0..<200)
  func thePaintedLineIsTheText(seed: Int) {
    var generator = RandomGenerator(seed: UInt64(seed))
    let columns = Int.random(in: 5...20, using: &generator)
    let rows = 60
    let pieces = [
      "a", "b ", "é", "東", "😀", "e\u{301}", "long words here ", "\u{1B}\r", "\u{7F}", "\u{1B}[D",
      "\u{1B}[C", "\u{1B}[A", "\u{1B}[B", "\u{1}", "\u{5}", "\u{17}", "\u{B}", "\u{1B}b",
      "\u{1B}f", "\u{1B}[3~", "\u{14}", "\u{19}", "\u{15}",
    ]
    var typist = Typist()
    var painter = LinePainter()
    var screen = Screen(columns: columns, rows: rows)
    for _ in 0..<60 {
      typist.type(pieces.randomElement(using: &generator) ?? "")
      let buffer = typist.editor.buffer
      let layout = LineLayout(
        prompt: "> ", text: buffer.scalars, cursor: buffer.cursor, columns: columns)
      guard layout.rows.count < rows else { break }
      screen.write(painter.paint(layout, height: rows), width: displayWidth)

      var plain = Screen(columns: columns, rows: rows)
      plain.write("> " + buffer.text.lineFeedsReturned, width: displayWidth)
      #expect(screen.lines == plain.lines)
      #expect(screen.unknown.isEmpty)

      // Where the next character would go: written and looked for.
      var marked = Screen(columns: columns, rows: rows)
      var before = String.UnicodeScalarView()
      before.append(contentsOf: buffer.scalars[..<buffer.cursor])
      let next = buffer.cursor < buffer.scalars.count ? buffer.scalars[buffer.cursor] : "x"
      let mark = displayWidth(next) == 2 ? "＠" : "@"
      marked.write("> " + String(before).lineFeedsReturned + mark, width: displayWidth)
      if next != "\n" {
        #expect(marked.cells[screen.row][screen.column] == mark)
      }
    }
  }

  @Test("a line longer than the screen shows the rows around the cursor")
  func aLineLongerThanTheScreenShowsTheRowsAroundTheCursor() {
    var typist = Typist()
    typist.type(String(repeating: "0123456789", count: 10))
    var painter = LinePainter()
    var screen = Screen(columns: 10, rows: 5)
    func paint() {
      let buffer = typist.editor.buffer
      let layout = LineLayout(
        prompt: "> ", text: buffer.scalars, cursor: buffer.cursor, columns: 10)
      screen.write(painter.paint(layout, height: 5), width: displayWidth)
    }
    paint()
    #expect(screen.lines == Array(repeating: "8901234567", count: 4) + ["89"])
    typist.type("\u{1}")
    paint()
    #expect(screen.lines == ["> 01234567"] + Array(repeating: "8901234567", count: 4))
    #expect(screen.row == 0 && screen.column == 2)
  }

  @Test("pasted control characters are shown escaped")
  func pastedControlCharactersAreShownEscaped() {
    var typist = Typist()
    typist.type("\u{1B}[200~a\u{1B}]52;c;x\u{7}\tb\u{1B}[201~")
    let buffer = typist.editor.buffer
    #expect(buffer.text == "a\u{1B}]52;c;x\u{7}\tb")
    let layout = LineLayout(
      prompt: "> ", text: buffer.scalars, cursor: buffer.cursor, columns: 80)
    #expect(layout.rows == ["> a\\x1b]52;c;x\\x07    b"])
  }
}

@Suite("Display width")
struct DisplayWidthTests {
  @Test(
    "a text takes the columns that a terminal gives it",
    arguments: [
      ("", 0), ("abc", 3), ("é", 1), ("e\u{301}", 1), ("東京", 4), ("ｱ", 1), ("Ａ", 2), ("😀", 2),
      ("\u{200B}", 0), ("\u{AD}", 1), ("한", 2), ("\u{1112}\u{1161}\u{11AB}", 2), ("…", 1),
      ("\u{7F}\u{9B}\n", 0), ("\u{20000}", 2), ("\u{1F1E9}\u{1F1EA}", 2),
    ])
  func columns(text: String, width: Int) {
    #expect(displayWidth(text) == width)
  }
}

extension String {
  fileprivate var lineFeedsReturned: String {
    var result = String.UnicodeScalarView()
    for scalar in unicodeScalars {
      if scalar == "\n" { result.append("\r") }
      result.append(scalar)
    }
    return String(result)
  }
}
