import DuetCommandLine
import DuetRuntime
import DuetSystem
import DuetText
import Foundation
import Testing

@Suite("JSON output")
struct JSONOutputTests {
  @Test("documents are strict JSON with their members in order")
  func documentsAreDeterministicAndStrict() throws {
    let document: JSONOutput = [
      "text": "a\"b\\c\n\t\r\u{1B}\u{9B}\u{202E}é😀", "list": [1, 2.5, nil, true], "empty": [:],
      "seed": .unsigned(.max), "nan": .number(.nan), "tiny": .number(1e-300),
      "third": .number(1 / 3),
    ]
    #expect(
      document.text == """
        {"text":"a\\"b\\\\c\\n\\t\\r\\u001b\\u009b\\u202eé😀","list":[1,2.5,null,true],"empty":{},\
        "seed":18446744073709551615,"nan":null,"tiny":1e-300,"third":0.3333333333333333}
        """)
    let read = try #require(
      try JSONSerialization.jsonObject(with: Data(document.text.utf8)) as? [String: Any])
    #expect(read["text"] as? String == "a\"b\\c\n\t\r\u{1B}\u{9B}\u{202E}é😀")
    #expect(read["third"] as? Double == 1.0 / 3)
  }

  @Test("numbers are read back exactly", arguments: 0..<100)
  func doublesReadBackExactly(seed: Int) {
    // The bits of a Weyl sequence reach all magnitudes.
    let bits = UInt64(seed &+ 1) &* 0x9E37_79B9_7F4A_7C15
    let value = Double(bitPattern: bits)
    let text = JSONOutput.number(value).text
    if value.isFinite { #expect(Double(text) == value) } else { #expect(text == "null") }
  }
}

@Suite("Standard output")
struct StandardOutputTests {
  @Test("a full disk is reported")
  func aFullDiskIsReported() throws {
    let full = unsafe open("/dev/full", O_WRONLY | O_CLOEXEC)
    try #require(full >= 0)
    defer { close(full) }
    let output = StandardOutput(descriptor: full)
    try output.write("text")
    #expect(throws: OutputError.failed(code: ENOSPC)) { try output.flush() }
    #expect(!output.hasWritten)
  }
}

@Suite("Progress")
struct ProgressTests {
  @Test(
    "durations are minutes and seconds, or hours",
    arguments: [
      (0.0, "0:00"), (59.4, "0:59"), (59.6, "1:00"), (3599, "59:59"), (3600, "1:00:00"),
      (360_000, "100:00:00"), (-1, "?"), (.infinity, "?"), (.nan, "?"), (1e300, "?"),
    ])
  func durations(seconds: Double, text: String) {
    #expect(durationText(seconds) == text)
  }

  @Test(
    "rates have three digits",
    arguments: [
      (0.0, "0.00"), (1.005, "1.00"), (9.99, "9.99"), (9.996, "10.0"), (99.94, "99.9"),
      (99.96, "100"), (812.4, "812"), (1e14, "100000000000000"), (.infinity, "?"),
    ])
  func rates(rate: Double, text: String) {
    #expect(rateText(rate) == text)
  }

  @Test(
    "decimals are rounded to the digits asked for",
    arguments: [
      (5.4721, 4, "5.4721"), (-0.04, 1, "0.0"), (-1.25, 1, "-1.3"), (0.05, 1, "0.1"), (7, 0, "7"),
      (1e300, 2, "1e+300"), (123_456_789_012, 9, "123456789012.0"),
    ])
  func decimals(value: Double, digits: Int, text: String) {
    #expect(decimalText(value, digits: digits) == text)
  }

  /// Runs a line of 1000 units, one each `step` seconds, and returns what was shown.
  private func run(style: ProgressLine.Style, step: Double, startingAt: Int = 0) -> [String] {
    var time = 0.0
    var shown: [String] = []
    let line = ProgressLine(
      "read", total: 1000, unit: "tok", startingAt: startingAt, style: style, now: { time },
      emit: { shown.append($0) })
    for done in (startingAt + 1)...1000 {
      time += step
      line.update(done)
    }
    line.finish(1000)
    return shown
  }

  @Test("a log gets a line per twentieth or half a minute")
  func aLogGetsALinePerTwentiethOrHalfMinute() {
    let fast = run(style: .plain, step: 0.001)
    #expect(fast.count == 20)
    #expect(fast.first == "read  50/1000 tok  1000 tok/s  elapsed 0:00  ETA 0:01\n")
    #expect(fast.last == "read  1000/1000 tok  1000 tok/s  elapsed 0:01\n")
    // A unit each 7 s: every 30 s is every fifth unit.
    #expect(run(style: .plain, step: 7).count == 200)
    #expect(run(style: .silent, step: 7).isEmpty)
  }

  @Test("a terminal gets ten lines a second at most")
  func aTerminalGetsTenLinesASecondAtMost() {
    let shown = run(style: .rewriting(columns: 40), step: 0.01)
    // 10 s of work at intervals of at least 0.1 s, and the erasing at the end. Sums of hundredths
    // may fall short of a tenth by rounding, which delays a line by one unit.
    #expect((91...101).contains(shown.count))
    #expect(shown.dropLast().allSatisfy { $0.hasPrefix("\rread  ") && $0.count <= 40 })
    #expect(shown.last == "\r" + String(repeating: " ", count: 39) + "\r")
    #expect(shown.allSatisfy { !$0.contains("\u{1B}") && !$0.contains("\n") })
  }

  @Test("work done before does not count for the rate")
  func workDoneBeforeDoesNotCountForTheRate() {
    let shown = run(style: .plain, step: 1, startingAt: 900)
    #expect(shown.first == "read  930/1000 tok  1.00 tok/s  elapsed 0:30  ETA 1:10\n")
  }
}
