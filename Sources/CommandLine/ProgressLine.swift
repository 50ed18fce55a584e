internal import DuetRuntime
internal import Glibc

/// The progress of long work, shown on standard error.
///
/// On a terminal one line is rewritten at most ten times a second; elsewhere a new line is written
/// after each 30 seconds or 5 % of the work. No escape sequences are used: the line is rewritten
/// with a carriage return and spaces. Not safe for use from several threads.
package final class ProgressLine {
  /// The style in which the line is shown.
  package enum Style: Sendable {
    /// Not shown.
    case silent
    /// As lines of a log.
    case plain
    /// As one line that is rewritten, cut to fit into `columns` columns.
    case rewriting(columns: Int)
  }

  private let label: String
  private let total: Int
  private let unit: String
  private let style: Style
  private let now: () -> Double
  private let emit: (String) -> Void
  private let started: Double
  private let startedAt: Int
  private var schedule: ProgressSchedule
  private var shownWidth = 0

  /// Whether progress on standard error is one line that is rewritten, not lines of a log.
  package static var isRewriting: Bool { Environment.rewritesLines(on: 2) }

  /// Starts a progress line on standard error.
  ///
  /// - Parameters:
  ///   - label: What is being done, one word.
  ///   - total: The number of units in all.
  ///   - unit: The unit, in the plural: "tok".
  ///   - startingAt: The units done before, which do not count for the rate.
  ///   - messages: The messages of the run; with `--quiet` no progress is shown.
  package convenience init(
    _ label: String, total: Int, unit: String, startingAt: Int = 0, messages: Messages
  ) {
    let style: Style =
      messages.level == .quiet
      ? .silent
      : Environment.rewritesLines(on: 2) ? .rewriting(columns: Environment.columns(of: 2)) : .plain
    self.init(
      label, total: total, unit: unit, startingAt: startingAt, style: style,
      now: Environment.secondsSinceStart, emit: { writeToDescriptor(2, $0) })
    messages.eraseProgress = { [weak self] in self?.erase() }
  }

  /// Starts a progress line with a given style, clock and output, for tests.
  ///
  /// - Parameters:
  ///   - label: What is being done, one word.
  ///   - total: The number of units in all.
  ///   - unit: The unit, in the plural.
  ///   - startingAt: The units done before, which do not count for the rate.
  ///   - style: The style in which the line is shown.
  ///   - now: The time in seconds from any origin.
  ///   - emit: Writes a text to the output.
  package init(
    _ label: String, total: Int, unit: String, startingAt: Int = 0, style: Style,
    now: @escaping () -> Double, emit: @escaping (String) -> Void
  ) {
    self.label = label
    self.total = total
    self.unit = unit
    self.style = style
    self.now = now
    self.emit = emit
    started = now()
    startedAt = startingAt
    schedule = ProgressSchedule(style: style, total: total, time: started, done: startingAt)
  }

  /// Sets the number of units done in all, and shows the line when it is due.
  ///
  /// - Parameters:
  ///   - done: The units done, including those before the start.
  ///   - detail: A text at the end of the line, such as a running result.
  package func update(_ done: Int, detail: String = "") {
    let time = now()
    guard schedule.isDue(time: time, done: done) else { return }
    show(line(done, detail, elapsed: time - started))
  }

  /// Removes the line from a terminal; a log gets the last state if it does not have it yet.
  package func finish(_ done: Int, detail: String = "") {
    if case .plain = style, schedule.hasShown, schedule.lastDone != done {
      show(line(done, detail, elapsed: now() - started))
    }
    erase()
  }

  private func line(_ done: Int, _ detail: String, elapsed: Double) -> String {
    progressText(
      label: label, done: done, startedAt: startedAt, total: total, unit: unit, elapsed: elapsed,
      detail: detail)
  }

  private func show(_ text: String) {
    switch style {
    case .silent: break
    case .plain: emit(text + "\n")
    case .rewriting(let columns):
      // The last column stays empty, because writing there may wrap.
      let line = String(text.prefix(max(1, columns - 1)))
      let padding = String(repeating: " ", count: max(0, shownWidth - line.count))
      emit("\r" + line + padding)
      shownWidth = line.count
    }
  }

  /// Removes the line from a terminal, also when the work is not complete.
  package func erase() {
    guard shownWidth > 0 else { return }
    emit("\r" + String(repeating: " ", count: shownWidth) + "\r")
    shownWidth = 0
  }
}

/// The times at which a progress line is due.
struct ProgressSchedule {
  private let interval: Double
  private let step: Int
  private var lastTime: Double
  private(set) var lastDone: Int
  private(set) var hasShown = false
  private let isSilent: Bool

  init(style: ProgressLine.Style, total: Int, time: Double, done: Int) {
    switch style {
    case .silent: (isSilent, interval, step) = (true, 0, 0)
    case .plain: (isSilent, interval, step) = (false, 30, max(1, (total + 19) / 20))
    case .rewriting: (isSilent, interval, step) = (false, 0.1, .max)
    }
    lastTime = time
    lastDone = done
  }

  /// Returns whether the line is due, and then records that it was shown.
  mutating func isDue(time: Double, done: Int) -> Bool {
    guard !isSilent, time - lastTime >= interval || done - lastDone >= step else { return false }
    lastTime = time
    lastDone = done
    hasShown = true
    return true
  }
}

/// The text of a progress line: done/total, rate, time elapsed and time left.
///
///     calibrate  41/128 samples  8.1 samples/s  elapsed 0:05  ETA 0:11
func progressText(
  label: String, done: Int, startedAt: Int, total: Int, unit: String, elapsed: Double,
  detail: String
) -> String {
  var parts = [label, "\(done)/\(total) \(unit)"]
  let rate = elapsed > 0 ? Double(done - startedAt) / elapsed : 0
  if rate > 0 { parts.append("\(rateText(rate)) \(unit)/s") }
  parts.append("elapsed \(durationText(elapsed))")
  if rate > 0, done < total { parts.append("ETA \(durationText(Double(total - done) / rate))") }
  if !detail.isEmpty { parts.append(detail) }
  return parts.joined(separator: "  ")
}

/// A rate with three significant digits or all digits before the point, whichever are more.
package func rateText(_ rate: Double) -> String {
  guard rate.isFinite, rate < 1e15 else { return "?" }
  if rate >= 99.95 { return String(Int(rate.rounded())) }
  return decimalText(rate, digits: rate >= 9.995 ? 1 : 2)
}

/// A duration as `m:ss`, or `h:mm:ss` from an hour on.
package func durationText(_ seconds: Double) -> String {
  guard seconds.isFinite, seconds >= 0, seconds < 1e15 else { return "?" }
  let whole = Int(seconds.rounded())
  let (hours, minutes, rest) = (whole / 3600, whole / 60 % 60, whole % 60)
  func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
  return hours > 0 ? "\(hours):\(two(minutes)):\(two(rest))" : "\(minutes):\(two(rest))"
}

/// A number rounded to `digits` digits after the point.
///
/// Magnitudes from 10^15 on and values that are not finite are written as by string interpolation.
package func decimalText(_ value: Double, digits: Int) -> String {
  let digits = min(max(digits, 0), 9)
  var scale = 1
  for _ in 0..<digits { scale *= 10 }
  // Below 10^15 the scaled value is at most 10^18 in its whole part only for digits <= 3; the
  // second test keeps the conversion to Int exact for any number of digits.
  let scaled = (abs(value) * Double(scale)).rounded()
  guard scaled.isFinite, abs(value) < 1e15, scaled < 9e18 else { return "\(value)" }
  let units = Int(scaled)
  let sign = value < 0 && units > 0 ? "-" : ""
  if digits == 0 { return sign + String(units) }
  let fraction = String(units % scale)
  let zeros = String(repeating: "0", count: digits - fraction.count)
  return sign + String(units / scale) + "." + zeros + fraction
}
