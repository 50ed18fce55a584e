import DuetRuntime
import DuetSystem
import DuetText
internal import TestSupport
internal import Testing

extension HostileTemplate: CustomTestStringConvertible {
  /// The name, for reports.
  public var testDescription: String { name }
}

@Suite("Hostile chat templates")
struct ChatTemplateHostileTests {
  /// Every one ends with an error; that it ends soon is for the reader of the suite's running time.
  @Test(
    "a hostile template ends with an error that is safe to display", arguments: HostileTemplate.all)
  func endsWithAnError(template: HostileTemplate) {
    #expect {
      _ = try ChatTemplate(source: template.source).render(
        [
          ChatMessage(role: .user, content: String(repeating: "ab ", count: 10_000)),
          ChatMessage(role: .assistant, content: "{{ 1 }}"),
        ], beginningOfSequence: "<s>", endOfSequence: "</s>", date: someDay)
    } throws: { error in
      guard let error = error as? ChatTemplateError else { return false }
      let sentence = error.description
      return sentence.unicodeScalars.allSatisfy(isSafeToDisplay) && sentence.utf8.count < 800
    }
  }

  @Test("there are three hundred hostile templates")
  func thereAreThreeHundred() {
    #expect(HostileTemplate.all.count >= 300)
  }

  @Test(
    "constructs that are not supported are named with their line",
    arguments: [
      ("\n\n{% trans %}a{% endtrans %}", "trans", 3), ("{{ x | random }}\n", "filter 'random'", 1),
      ("\n{{ 'a' is nothing }}", "test 'nothing'", 2), ("{% include 'x' %}", "include", 1),
      ("{{ lipsum() }}", "'lipsum'", 1), ("{{ 'a'.encode() }}", "method 'encode'", 1),
    ])
  func unsupportedConstructsAreNamed(source: String, words: String, line: Int) throws {
    let error = #expect(throws: ChatTemplateError.self) {
      try ChatTemplate(source: source).text([])
    }
    guard case .unsupported(let actualLine, let construct) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(actualLine == line)
    #expect(construct.contains(words))
  }

  @Test(
    "constructs that are not supported do no harm where no conversation leads",
    arguments: [
      "{% trans %}a{% endtrans %}", "{% include 'x' %}", "{% import 'x' as y %}",
      "{% extends 'x' %}",
      "{{ x | random }}", "{{ x is nothing }}", "{{ lipsum() }}", "{{ 'a'.encode() }}",
      "{% set x = 'a' | nothing(1, b=2) %}", "{% autoescape true %}a{% endautoescape %}",
    ])
  func unreachedConstructsDoNoHarm(piece: String) throws {
    let template = try ChatTemplate(source: "{% if tools %}\(piece){% endif %}b")
    #expect(try template.text([]) == "b")
    #expect(throws: ChatTemplateError.self) { try ChatTemplate(source: piece).text([]) }
  }

  @Test("limits of steps, ranges and sizes are named")
  func limitsAreNamed() {
    let loop = "{% for i in range(1000) %}{% for j in range(1000) %}{{ 1 }}{% endfor %}{% endfor %}"
    #expect(throws: ChatTemplateError.tooManySteps(line: 1, limit: 1_000_000)) {
      try ChatTemplate(source: loop).text([])
    }
    #expect(throws: ChatTemplateError.rangeTooLong(line: 1, limit: 100_000)) {
      try ChatTemplate(source: "{{ range(100001) | length }}").text([])
    }
    #expect(throws: ChatTemplateError.sourceTooLarge(bytes: 262_145, limit: 262_144)) {
      try ChatTemplate(source: String(repeating: "x", count: 262_145))
    }
    #expect(throws: Never.self) {
      for source in [
        String(repeating: "x", count: 262_144), HostileTemplate.nested("(", "1", ")", 63),
        "{{ range(100000) | length }}",
      ] { _ = try ChatTemplate(source: source).text([]) }
    }
    #expect(throws: ChatTemplateError.nestedTooDeeply(line: 1, limit: 64)) {
      try ChatTemplate(source: HostileTemplate.nested("(", "1", ")", 64)).text([])
    }
    let long = "{% for i in range(1025) %}{{ messages[0].content }}{% endfor %}"
    #expect(throws: ChatTemplateError.tooMuchText(line: 1, limit: 16 << 20)) {
      // 1025 times 2^14 bytes is just over 16 MiB.
      try ChatTemplate(source: long).text([
        ChatMessage(role: .user, content: String(repeating: "x", count: 1 << 14))
      ])
    }
  }

  /// Bytes of real templates changed at random: any outcome but a crash or a hang will do.
  @Test("mutated templates do no harm", arguments: 0..<20)
  func mutatedTemplates(seed: Int) {
    var generator = RandomGenerator(seed: UInt64(seed))
    let sources = RenderedTemplates.shared?.templates.values.sorted() ?? []
    for source in sources {
      for _ in 0..<20 {
        let bytes = mutated(Array(source.utf8), using: &generator)
        _ = try? ChatTemplate(source: String(decoding: bytes, as: UTF8.self)).text([
          ChatMessage(role: .system, content: "S"), ChatMessage(role: .user, content: "U"),
        ])
      }
    }
  }
}
