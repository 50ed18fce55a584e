import DuetCommandLine
import DuetRuntime
import TestSupport
import Testing

@Suite("Display filter")
struct DisplayFilterTests {
  @Test(
    "only harmless characters reach a terminal",
    arguments: [
      ("plain\ttext\n", "plain\ttext\n"),
      ("\u{1B}]52;c;aGk=\u{7}", "\\x1b]52;c;aGk=\\x07"),
      ("a\rb\u{8}\u{0}\u{7F}", "a\\x0db\\x08\\x00\\x7f"),
      ("\u{9B}2J\u{85}", "\\x9b2J\\x85"),
      ("\u{202E}abc\u{2066}\u{2069}\u{200F}", "\\u{202e}abc\\u{2066}\\u{2069}\\u{200f}"),
      ("e\u{301} 東京 👩\u{200D}🚀", "e\u{301} 東京 👩\u{200D}🚀"),
    ])
  func onlyHarmlessScalarsReachATerminal(text: String, shown: String) {
    #expect(DisplayFilter(isTerminal: true)(text) == shown)
    #expect(DisplayFilter(isTerminal: false)(text) == text)
  }

  /// Random streams of scalars, cut into random pieces, written through a real pseudoterminal: what
  /// arrives holds no control byte but tab, carriage return and line feed, no C1 control and no
  /// direction control, and everything harmless arrives as it was.
  @Test("random texts bring no control character to a terminal")
  func randomStreamsThroughAPseudoterminal() throws {
    let terminal = try Pseudoterminal()
    let output = StandardOutput(descriptor: terminal.processSide)
    #expect(output.isTerminal)
    let filter = DisplayFilter(isTerminal: output.isTerminal)
    let dangerous: [Unicode.Scalar] =
      (0...0x1F).map { Unicode.Scalar($0) } + (0x7F...0x9F).map { Unicode.Scalar($0) }
      + ["\u{202A}", "\u{202B}", "\u{202C}", "\u{202D}", "\u{202E}", "\u{2066}", "\u{2067}"]
      + ["\u{2068}", "\u{2069}"]
    for seed in 0..<2000 {
      var generator = RandomGenerator(seed: UInt64(seed))
      var text = String.UnicodeScalarView()
      for _ in 0..<Int.random(in: 1...60, using: &generator) {
        if Bool.random(using: &generator), let scalar = dangerous.randomElement(using: &generator) {
          text.append(scalar)
        } else if let scalar = Unicode.Scalar(UInt32.random(in: 0x20...0x3FFF, using: &generator)) {
          text.append(scalar)
        }
      }
      terminal.forget()
      var pieces = ""
      var rest = Substring.UnicodeScalarView(text)
      while !rest.isEmpty {
        let piece = rest.prefix(Int.random(in: 1...3, using: &generator))
        rest.removeFirst(piece.count)
        pieces += filter(String(piece))
        try output.write(filter(String(piece)))
      }
      try output.write("\u{2}")
      try output.flush()
      #expect(pieces == filter(String(text)))
      let arrived = terminal.wait(seconds: 10) { terminal.received.last == 2 }
      #expect(arrived)
      let received = terminal.text.unicodeScalars.dropLast()
      #expect(
        !received.contains { dangerous.contains($0) && !"\t\r\n".unicodeScalars.contains($0) })
      // The terminal's line discipline writes CR LF for LF.
      let expected = String(
        pieces.unicodeScalars.flatMap { $0 == "\n" ? ["\r", $0] : [$0] }.asText)
      #expect(String(received) == expected)
    }
  }
}

extension [Unicode.Scalar] {
  fileprivate var asText: String.UnicodeScalarView {
    var view = String.UnicodeScalarView()
    view.append(contentsOf: self)
    return view
  }
}
