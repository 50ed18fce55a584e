import DuetCommandLine

/// The meaning of a line typed at the prompt.
package enum ChatInput: Equatable, Sendable {
  /// A message to the model.
  case message(String)
  /// A command.
  case command(SlashCommand)
  /// The first line of a message of several lines, which ends with `"""`.
  case beginning(String)
  /// An unknown command, and a similarly named one if there is one.
  case unknown(String, nearest: String?)
  /// A command without its argument; the value is its usage.
  case incomplete(String)

  /// Parses a line.
  ///
  /// Pasted text of several lines is never a command.
  package init(_ line: String) {
    if line.hasPrefix("\"\"\"") {
      let rest = line.dropFirst(3)
      if let end = Self.closed(String(rest)) {
        self = .message(end)
      } else {
        self = .beginning(String(rest))
      }
    } else if line.hasPrefix("//") {
      self = .message(String(line.dropFirst()))
    } else if line.hasPrefix("/"), !line.unicodeScalars.contains("\n") {
      self = Self.command(line)
    } else {
      self = .message(line)
    }
  }

  /// The text before a closing `"""` at the end of a line, or nil when it is not closed.
  package static func closed(_ line: String) -> String? {
    let trimmed = line.trimmed
    return trimmed.hasSuffix("\"\"\"") ? String(trimmed.dropLast(3)) : nil
  }

  private static func command(_ line: String) -> ChatInput {
    let parts = line.split(maxSplits: 1, whereSeparator: \.isWhitespace)
    let name = String(parts.first ?? "")
    let argument = parts.count > 1 ? String(parts[1]).trimmed : ""
    switch name {
    case "/exit", "/bye", "/quit": return .command(.exit)
    case "/clear": return .command(.clear)
    case "/regen", "/retry": return .command(.regenerate)
    case "/system": return .command(.system(argument))
    case "/set":
      if argument.isEmpty { return .command(.settings) }
      let words = argument.split(whereSeparator: \.isWhitespace)
      guard words.count == 2 else { return .incomplete("/set NAME VALUE, or /set alone") }
      return .command(.set(String(words[0]), String(words[1])))
    case "/stats": return .command(.statistics)
    case "/help": return .command(.help)
    case "/save": return argument.isEmpty ? .incomplete("/save FILE") : .command(.save(argument))
    case "/load": return argument.isEmpty ? .incomplete("/load FILE") : .command(.load(argument))
    default:
      return .unknown(name, nearest: nearestMatch(to: name, among: SlashCommand.names))
    }
  }
}

/// A command typed at the prompt.
package enum SlashCommand: Equatable, Sendable {
  case exit
  case clear
  case regenerate
  /// Sets new instructions; an empty text shows the current ones.
  case system(String)
  /// Shows the settings of answers.
  case settings
  /// Changes one of them.
  case set(String, String)
  case save(String)
  case load(String)
  case statistics
  case help

  static let names = [
    "/exit", "/bye", "/clear", "/regen", "/retry", "/system", "/set", "/save", "/load", "/stats",
    "/help",
  ]

  /// The lines that `/help` prints.
  package static let helpLines = [
    "/exit, /bye    end the program (also Ctrl-D)",
    "/clear         forget the conversation, keep the system text",
    "/regen         answer the last message again",
    "/retry         the same as /regen",
    "/system TEXT   set the system text; without TEXT, show it",
    "/set NAME VALUE  change temperature, top-k, top-p, min-p, repeat-penalty, seed or max-tokens;",
    "               /set alone shows them",
    "/save FILE     write the conversation to FILE: the messages if its name ends in .json, else also",
    "               what the model computed for them, so that /load need not compute it again",
    "/load FILE     read the conversation from FILE",
    "/stats         show the statistics of the last answer",
    "/help          show this list",
    "\"\"\"            begin and end a message of several lines; Alt-Enter also starts a new line",
    "//             begin a message that starts with a slash",
    "Ctrl-C         stop the answer; its text so far stays in the conversation",
  ]
}

extension String {
  fileprivate var trimmed: String {
    let space: (Character) -> Bool = { $0.isWhitespace }
    guard let first = firstIndex(where: { !space($0) }), let last = lastIndex(where: { !space($0) })
    else { return "" }
    return String(self[first...last])
  }
}
