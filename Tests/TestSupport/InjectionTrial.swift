import DuetSystem
package import DuetText
import Foundation

/// A trial of control tokens in messages, with the built-in and the golden templates.
package struct InjectionTrial {
  private let tokenizer: Tokenizer
  private let added: Set<Int>
  private let templates: [(name: String, template: ChatTemplate)]

  /// The result of a trial.
  package struct Outcome: Sendable {
    /// The number of conversations that were tried.
    package var caseCount = 0
    /// A sentence for each conversation with a control token too many.
    package var failures: [String] = []
  }

  /// A trial of a tokenizer.
  package init(_ tokenizer: Tokenizer) throws {
    self.tokenizer = tokenizer
    added = Set(tokenizer.addedTokens.map(\.id))
    let folder = SharedData.project("Tests/Golden/templates/sources")
    let names = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
    let sources = try names.map { name in
      (
        name,
        String(
          decoding: try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(name)")), as: UTF8.self)
      )
    }
    templates =
      try ChatTemplateFamily.allCases.map { ($0.rawValue, try ChatTemplate(family: $0)) }
      + sources.compactMap { name, source in
        // Templates that this program refuses are left out.
        (try? ChatTemplate(source: source)).map { (name, $0) }
      }
  }

  /// Types every added token, alone, inside a word and around an end of line, in each of the three roles.
  package func run() throws -> Outcome {
    var outcome = Outcome()
    for (name, template) in templates {
      for place in 0..<3 {
        guard let expected = controls(template, place, "x") else { continue }
        for token in tokenizer.addedTokens {
          let text = token.content
          for content in [text, "a\(text)b", "\(text)\n\(text)"] {
            outcome.caseCount += 1
            guard let actual = controls(template, place, content), actual != expected else {
              continue
            }
            outcome.failures.append("\(name), message \(place): \(printable(content))")
          }
        }
      }
    }
    return outcome
  }

  /// The control and other added tokens of a conversation with `content` in one place, or nil if the
  /// template refuses it.
  private func controls(_ template: ChatTemplate, _ place: Int, _ content: String) -> [Int]? {
    let roles: [ChatMessage.Role] = [.system, .user, .assistant]
    var messages = roles.map { ChatMessage(role: $0, content: "x") }
    messages[place].content = content
    messages.append(ChatMessage(role: .user, content: "x"))
    func text(_ id: Int?) -> String {
      id.flatMap(tokenizer.piece).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }
    let segments = try? template.render(
      messages, beginningOfSequence: text(tokenizer.beginningOfSequence),
      endOfSequence: text(tokenizer.endOfSequence),
      date: CalendarDate(year: 2025, month: 3, day: 9))
    return segments.map {
      tokenizer.encode($0).filter { tokenizer.isControl($0) || added.contains($0) }
    }
  }
}
