import DuetSystem

/// What a part is asked to do.
struct PartOptions {
  let name: String
  let count: Int
  let seed: UInt64
  let first: Int
  let savePath: String?
  let statePath: String?
  let inputPath: String?
  /// Tells the user something while the part runs.
  let note: (String) -> Void
}

/// What a part found.
struct PartResult {
  var caseCount = 0
  var failureCount = 0
  /// Figures, and a line for each failure.
  var lines: [String] = []

  /// Counts a failure and says what it was; only the first hundred are told.
  mutating func fail(_ sentence: String) {
    failureCount += 1
    if failureCount <= 100 { lines.append("failed: \(sentence)") }
  }
}

/// A number with so many decimals.
func decimal(_ value: Double, _ digits: Int = 2) -> String {
  var scale = 1.0
  for _ in 0..<digits { scale *= 10 }
  let rounded = Int((value * scale).rounded())
  let fraction = String(abs(rounded) % Int(scale))
  let zeros = String(repeating: "0", count: digits - fraction.count)
  return "\(rounded / Int(scale)).\(zeros)\(fraction)"
}
