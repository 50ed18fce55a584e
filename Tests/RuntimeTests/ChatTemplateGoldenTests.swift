import DuetText
import Foundation
import TestSupport
import Testing

/// What Jinja2 made of our test templates; written by `Scripts/golden/templates.py`.
struct RenderedTemplates: Decodable, Sendable {
  struct Case: Decodable, Sendable, CustomTestStringConvertible {
    var template: String
    var conversation: String
    var addGenerationPrompt: Bool
    var text: String?
    var error: String?

    var testDescription: String {
      "\(template), \(conversation), prompt \(addGenerationPrompt)"
    }
  }

  var date: [Int]
  var templates: [String: String]
  var conversations: [String: [[String]]]
  var cases: [Case]

  static let shared: RenderedTemplates? = {
    let path = SharedData.project("Tests/Golden/templates/rendered.json")
    guard let data = FileManager.default.contents(atPath: path) else { return nil }
    return try? JSONDecoder().decode(RenderedTemplates.self, from: data)
  }()

  func messages(_ conversation: String) -> [ChatMessage]? {
    conversations[conversation]?.map { turn in
      ChatMessage(role: ChatMessage.Role(rawValue: turn[0]), content: turn[1])
    }
  }
}

@Suite("Chat templates against Jinja")
struct ChatTemplateGoldenTests {
  @Test("the golden renderings are there")
  func goldensAreThere() throws {
    #expect(try #require(RenderedTemplates.shared).cases.count > 650)
  }

  @Test(
    "every conversation is rendered as by Jinja", arguments: RenderedTemplates.shared?.cases ?? [])
  func rendersAsJinja(golden: RenderedTemplates.Case) throws {
    let all = try #require(RenderedTemplates.shared)
    let source = try #require(all.templates[golden.template])
    let messages = try #require(all.messages(golden.conversation))
    func render() throws -> [TextSegment] {
      try ChatTemplate(source: source).render(
        messages, addGenerationPrompt: golden.addGenerationPrompt, beginningOfSequence: "<s>",
        endOfSequence: "</s>",
        date: CalendarDate(
          year: all.date[0], month: all.date[1], day: all.date[2], hour: all.date[3],
          minute: all.date[4], second: all.date[5]),
        movesSystemText: false)
    }
    guard let text = golden.text else {
      #expect(throws: ChatTemplateError.self, "Jinja2: \(golden.error ?? "")") { try render() }
      return
    }
    let segments = try render()
    // Bytes, because String's == does not tell canonically equivalent spellings apart.
    let rendered = segments.map(\.text).joined()
    #expect(Array(rendered.utf8) == Array(text.utf8), "\(rendered.debugDescription)")
    #expect(!segments.contains { $0.text.isEmpty })
  }
}
