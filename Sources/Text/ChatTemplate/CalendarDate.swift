internal import DuetSystem

/// A date and time of day, for chat templates that tell the model the date.
public struct CalendarDate: Sendable, Hashable {
  /// The year, of the Gregorian calendar.
  public var year: Int
  /// The month, 1 to 12.
  public var month: Int
  /// The day of the month, 1 to 31.
  public var day: Int
  /// The hour, 0 to 23.
  public var hour: Int
  /// The minute, 0 to 59.
  public var minute: Int
  /// The second, 0 to 60.
  public var second: Int

  /// A date, at midnight unless a time is given.
  ///
  /// - Precondition: The year is 1 to 9999 and the other parts are in their ranges.
  public init(year: Int, month: Int, day: Int, hour: Int = 0, minute: Int = 0, second: Int = 0) {
    precondition(
      (1...9999).contains(year) && (1...12).contains(month) && (1...31).contains(day)
        && (0...23).contains(hour) && (0...59).contains(minute) && (0...60).contains(second),
      "no date: \(year)-\(month)-\(day) \(hour):\(minute):\(second)")
    self.year = year
    self.month = month
    self.day = day
    self.hour = hour
    self.minute = minute
    self.second = second
  }

  /// A directive of a date format that is not supported.
  struct UnknownDirective: Error {
    let directive: String
  }

  /// The date in a format of C's `strftime`, in the C locale.
  ///
  /// A minus after the percent sign leaves out leading zeros, as the GNU C library does.
  func formatted(_ format: String) -> Result<String, UnknownDirective> {
    var result = ""
    var scalars = format.unicodeScalars.makeIterator()
    while let scalar = scalars.next() {
      guard scalar == "%" else {
        result.unicodeScalars.append(scalar)
        continue
      }
      var letter = scalars.next()
      let isPlain = letter == "-"
      if isPlain { letter = scalars.next() }
      guard let letter, let text = field(letter, isPadded: !isPlain) else {
        let name = (isPlain ? "%-" : "%") + (letter.map { String($0) } ?? "")
        return .failure(UnknownDirective(directive: name))
      }
      result += text
    }
    return .success(result)
  }

  private func field(_ letter: Unicode.Scalar, isPadded: Bool) -> String? {
    func number(_ value: Int, width: Int = 2) -> String {
      let digits = String(value)
      let missing = isPadded ? max(0, width - digits.utf8.count) : 0
      return String(repeating: "0", count: missing) + digits
    }
    switch letter {
    case "Y": return number(year, width: 4)
    case "y": return number(year % 100)
    case "m": return number(month)
    case "d": return number(day)
    case "H": return number(hour)
    case "I": return number((hour + 11) % 12 + 1)
    case "M": return number(minute)
    case "S": return number(second)
    case "j": return number(dayOfYear, width: 3)
    case "p": return hour < 12 ? "AM" : "PM"
    case "B": return Self.months[month - 1]
    case "b": return String(Self.months[month - 1].prefix(3))
    case "A": return Self.weekdays[weekday]
    case "a": return String(Self.weekdays[weekday].prefix(3))
    case "%": return "%"
    default: return nil
    }
  }

  private static let months = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
  ]
  private static let weekdays = [
    "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday",
  ]

  private var isLeapYear: Bool { year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) }

  private var dayOfYear: Int {
    let daysBefore = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334]
    return daysBefore[month - 1] + (month > 2 && isLeapYear ? 1 : 0) + day
  }

  /// The day of the week, 0 for Sunday: 1 January of year 1 was a Monday.
  private var weekday: Int {
    let past = year - 1
    return (past * 365 + past / 4 - past / 100 + past / 400 + dayOfYear) % 7
  }
}
