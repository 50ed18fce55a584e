import DuetCommandLine

/// A picture of speed against threads, with a panel for each test, as SVG.
///
/// A panel shows the rate of the model and the limit that was measured beside it, both in the limit's unit, and
/// the rate that as many times the threads would have if each added as much as the first.
struct ScalingPlot {
  /// What is measured, for the title.
  let title: String
  /// The measurements of all tests and numbers of threads.
  let measurements: [Measurement]

  private static let (width, height) = (420.0, 300.0)
  private static let (left, right, top, bottom) = (64.0, 16.0, 56.0, 44.0)
  private static let (ink, muted, grid) = ("#222222", "#5a5a5a", "#dddddd")
  /// Colours that people with any colour vision can tell apart.
  private static let (modelColour, limitColour) = ("#0072B2", "#D55E00")

  /// The numbers of threads of a scaling measurement: 1, 2, 4 and so on, and all processors.
  static func threadCounts(processorCount: Int) -> [Int] {
    var counts: [Int] = []
    var count = 1
    while count < processorCount {
      counts.append(count)
      count *= 2
    }
    return counts + [processorCount]
  }

  /// The document.
  var svg: String {
    var tests: [String] = []
    for measurement in measurements where !tests.contains(measurement.test) {
      tests.append(measurement.test)
    }
    let width = Self.width * Double(max(tests.count, 1))
    var parts = [
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 \(width) \(Self.height)\" "
        + "width=\"\(width)\" height=\"\(Self.height)\" role=\"img\" "
        + "font-family=\"DejaVu Sans, Verdana, Helvetica, Arial, sans-serif\">",
      "<title>\(Self.escaped(title))</title>",
      "<rect width=\"\(width)\" height=\"\(Self.height)\" fill=\"#ffffff\"/>",
      Self.text(16, 20, title, size: 12, anchor: "start"),
    ]
    for (index, test) in tests.enumerated() {
      let panel = measurements.filter { $0.test == test }
        .sorted { $0.threadCount < $1.threadCount }
      parts.append("<g transform=\"translate(\(Self.width * Double(index)) 0)\">")
      parts += Self.panel(test, panel)
      parts.append("</g>")
    }
    return (parts + ["</svg>"]).joined(separator: "\n") + "\n"
  }

  /// A panel of one test, with at least one number of threads.
  private static func panel(_ test: String, _ runs: [Measurement]) -> [String] {
    guard let first = runs.first, let last = runs.last else { return [] }
    let rates = runs.map { median($0.pairs.rates) / 1e9 }
    let limits = runs.map { $0.pairs.limitRate / 1e9 }
    let ideal = runs.map { rates[0] * Double($0.threadCount) / Double(first.threadCount) }
    let step = Self.step(rates.reduce(limits.max() ?? 0, max))
    let highest = step * ((rates + limits).map { ($0 / step).rounded(.up) }.max() ?? 1)
    // Twice the threads are always the same distance to the right.
    func x(_ threads: Int) -> Double {
      let span = logarithm(last.threadCount) - logarithm(first.threadCount)
      let share = span > 0 ? (logarithm(threads) - logarithm(first.threadCount)) / span : 0.5
      return left + share * (width - left - right)
    }
    func y(_ rate: Double) -> Double {
      height - bottom - min(rate / highest, 1) * (height - top - bottom)
    }
    let unit = first.pairs.limit == .reading ? "GB/s" : "10^9 operations/s"
    var parts = [
      text(left, 42, "\(test), \(unit)", size: 12, anchor: "start", colour: muted)
    ]
    for index in 0...Int((highest / step).rounded()) {
      let value = step * Double(index)
      parts.append(line([(left, y(value)), (width - right, y(value))], grid))
      parts.append(
        text(left - 6, y(value) + 4, decimalText(value, digits: step < 1 ? 1 : 0), anchor: "end"))
    }
    for run in runs {
      parts.append(
        text(x(run.threadCount), height - bottom + 18, "\(run.threadCount)", anchor: "middle"))
    }
    parts.append(
      text((left + width - right) / 2, height - 8, "threads", anchor: "middle", colour: muted))
    let places = runs.map { x($0.threadCount) }
    // Beyond the top of the panel the ideal would be a line along its edge.
    let shown = zip(places, ideal).prefix { $0.1 <= highest }
    parts.append(line(shown.map { ($0, y($1)) }, muted, dashes: "2 4"))
    parts.append(line(zip(places, limits).map { ($0, y($1)) }, limitColour, dashes: "6 3"))
    parts.append(line(zip(places, rates).map { ($0, y($1)) }, modelColour))
    for (place, rate) in zip(places, rates) {
      parts.append(
        "<circle cx=\"\(decimalText(place, digits: 1))\" cy=\"\(decimalText(y(rate), digits: 1))\" "
          + "r=\"3.5\" fill=\"\(modelColour)\"/>")
    }
    let names = [("model", modelColour), (first.pairs.limit.shortName, limitColour)]
    for (index, name) in names.enumerated() {
      parts.append(
        text(
          width - right, 42 + 14 * Double(index), name.0, anchor: "end", colour: name.1))
    }
    return parts
  }

  /// A round distance of lines: 1, 2 or 5 times a power of ten, with four to ten lines up to `highest`.
  private static func step(_ highest: Double) -> Double {
    var step = 1e-3
    while highest / step > 10 {
      for factor in [2, 2.5, 2] where highest / step > 10 { step *= factor }
    }
    return step
  }

  /// The logarithm of a number of threads to the base 2.
  private static func logarithm(_ count: Int) -> Double {
    // Exact for powers of two, and between them on the chord: a place in a plot needs no more.
    let exponent = Double(count).exponent
    return Double(exponent) + Double(count).significand - 1
  }

  private static func line(
    _ points: [(Double, Double)], _ colour: String, dashes: String? = nil
  ) -> String {
    let places = points.map { "\(decimalText($0.0, digits: 1)),\(decimalText($0.1, digits: 1))" }
    let pattern = dashes.map { " stroke-dasharray=\"\($0)\"" } ?? ""
    return "<polyline points=\"\(places.joined(separator: " "))\" fill=\"none\" "
      + "stroke=\"\(colour)\" stroke-width=\"1.5\"\(pattern)/>"
  }

  private static func text(
    _ x: Double, _ y: Double, _ text: String, size: Int = 11, anchor: String,
    colour: String = ink
  ) -> String {
    "<text x=\"\(decimalText(x, digits: 1))\" y=\"\(decimalText(y, digits: 1))\" "
      + "font-size=\"\(size)\" text-anchor=\"\(anchor)\" fill=\"\(colour)\">\(escaped(text))</text>"
  }

  private static func escaped(_ text: String) -> String {
    var result = ""
    for character in text {
      switch character {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&quot;"
      default: result.append(character)
      }
    }
    return result
  }
}
