import DuetCommandLine
import DuetRuntime
import DuetText
import Glibc

/// The command line of `bench tokenizer`.
let tokenizerBenchmarkCommand = Command(
  name: "bench tokenizer",
  summary: "Measure the tokenizer on 1 MB and 10 MB of very long words.",
  options: [CommonOptions.model, CommonOptions.json],
  notes: [
    "The ratio is the time of 10 MB divided by ten times the time of 1 MB: 1 means that time grows "
      + "linearly with the length. All times are processor time, the best of three runs: the tokenizer "
      + "uses one thread, and the time of other programs on the machine is not counted."
  ])

/// Runs `bench tokenizer`: prints the speed for each kind of text and how it depends on the length.
func runTokenizerBenchmark(_ invocation: Invocation) throws -> ExitCode {
  let folder = invocation.arguments[CommonOptions.model]
  let start = processorSeconds()
  let tokenizer = try Tokenizer(contentsOf: folder)
  let loading = processorSeconds() - start

  var rows: [TokenizerBenchmarkRow] = []
  for text in LongWords.allCases {
    var times: [Double] = []
    var tokenCount = 0
    for byteCount in [1_000_000, 10_000_000] {
      let bytes = text.bytes(count: byteCount)
      var best = Double.infinity
      for _ in 0..<3 {
        let start = processorSeconds()
        tokenCount = tokenizer.encode(utf8: bytes, addingSpecialTokens: false).count
        best = min(best, processorSeconds() - start)
      }
      times.append(best)
    }
    rows.append(
      TokenizerBenchmarkRow(
        name: text.rawValue, tokenCount: tokenCount, seconds: times[0], tenfoldSeconds: times[1]))
  }

  if invocation.arguments[CommonOptions.json] {
    try invocation.output.write([
      "load_seconds": .number(loading), "texts": .array(rows.map(\.json)),
    ])
  } else {
    try invocation.output.writeLine("loaded in \(Int(loading * 1000)) ms")
    try invocation.output.writeLine("| text | tokens of 10 MB | 1 MB, MB/s | 10 MB, MB/s | ratio |")
    try invocation.output.writeLine("|---|---|---|---|---|")
    for row in rows { try invocation.output.writeLine(row.line) }
  }
  return .success
}

/// The processor time that this process has used, in seconds.
private func processorSeconds() -> Double {
  // POSIX fixes the unit at a microsecond.
  Double(clock()) / 1e6
}

/// The measurements with one kind of text.
private struct TokenizerBenchmarkRow {
  let name: String
  /// The number of tokens in 10 MB.
  let tokenCount: Int
  /// The time for 1 MB.
  let seconds: Double
  /// The time for 10 MB.
  let tenfoldSeconds: Double

  var ratio: Double { tenfoldSeconds / (10 * seconds) }

  var line: String {
    let figures = [1 / seconds, 10 / tenfoldSeconds, ratio].map { "\(($0 * 100).rounded() / 100)" }
    return "| \(name) | \(tokenCount) | \(figures.joined(separator: " | ")) |"
  }

  var json: JSONOutput {
    [
      "text": .string(name), "tokens": .integer(tokenCount), "seconds_1MB": .number(seconds),
      "seconds_10MB": .number(tenfoldSeconds), "ratio": .number(ratio),
    ]
  }
}

/// A text of very long words, or of one endless word, the same in every run.
private enum LongWords: String, CaseIterable {
  /// English words without spaces between them.
  case words
  /// One letter, repeated.
  case letter
  /// Random letters.
  case noise
  /// Random letters with a space after every two thousand: many words, each of several windows.
  case spaced = "noise, spaced"

  private static let dictionary = [
    "the", "of", "and", "to", "in", "that", "was", "his", "he", "it", "with", "is", "for", "as",
    "had", "you", "not", "be", "her", "on", "at", "by", "which", "have", "or", "from", "this",
    "him", "but", "all", "she", "they", "were", "my", "are", "me", "one", "their", "so", "an",
    "said", "them", "we", "who", "would", "been", "will", "no", "when", "there", "if", "more",
    "out", "up", "into", "do", "any", "your", "what", "has", "man", "could", "other", "than",
    "our", "some", "very", "time", "upon", "about", "may", "its", "only", "now", "like", "little",
    "then", "can", "should", "made", "did", "us", "such", "great", "before", "must", "two", "these",
    "see", "know", "over", "much", "down", "after", "first", "good", "men", "house", "garden",
    "river", "mountain", "question", "language", "weather", "remember", "together", "however",
    "understanding", "international", "development", "particularly", "straightforward",
  ]

  /// `count` bytes of ASCII text.
  func bytes(count: Int) -> [UInt8] {
    var generator = RandomGenerator(seed: 1)
    var result: [UInt8] = []
    result.reserveCapacity(count + 16)
    while result.count < count {
      switch self {
      case .words:
        result += Self.dictionary[Int.random(in: 0..<Self.dictionary.count, using: &generator)].utf8
      case .letter: result.append(UInt8(ascii: "a"))
      case .noise, .spaced:
        let isSpace = self == .spaced && result.count % 2001 == 2000
        let letter = UInt8(ascii: "a") + UInt8.random(in: 0..<26, using: &generator)
        result.append(isSpace ? UInt8(ascii: " ") : letter)
      }
    }
    return Array(result.prefix(count))
  }
}
