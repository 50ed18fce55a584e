import DuetEvaluation
import Foundation
import TestSupport
import Testing

/// Texts as Python makes them, from Scripts/golden/evaluate.py.
@Suite("Texts as Python makes them")
struct EvaluationTextTests {
  private struct Golden: Decodable {
    struct Case: Decodable {
      let text: String
      let capitalized: String
      let stripped: String
      let preprocessed: String
      let length: Int
    }
    let cases: [Case]
  }

  /// Whether two texts have the same code points; `==` of strings is about what they look like.
  private func same(_ a: String, _ b: String) -> Bool {
    a.unicodeScalars.elementsEqual(b.unicodeScalars)
  }

  @Test("texts are capitalised, stripped and preprocessed as in Python")
  func pythonTextsGolden() throws {
    let data = try Data(
      contentsOf: URL(fileURLWithPath: SharedData.project("Tests/Golden/evaluate/texts.json")))
    let cases = try JSONDecoder().decode(Golden.self, from: data).cases
    #expect(cases.count > 1000)
    for item in cases {
      let text = item.text
      #expect(
        same(PythonText.capitalized(text), item.capitalized), "\(text.debugDescription)")
      #expect(same(PythonText.stripped(text), item.stripped), "\(text.debugDescription)")
      #expect(
        same(TaskRecord.preprocessed(text), item.preprocessed), "\(text.debugDescription)")
      #expect(
        ChoiceDocument.Choice(context: "", answer: text).length == item.length,
        "\(text.debugDescription)")
    }
  }

  @Test("white space at the end is split off")
  func whiteSpaceAtTheEnd() {
    for (text, body, space) in [
      ("a b \t", "a b", " \t"), ("", "", ""), ("  ", "", "  "), (" a", " a", ""),
      ("a\u{1F}\u{3000}", "a", "\u{1F}\u{3000}"),
    ] {
      let parts = PythonText.splittingTrailingWhitespace(text)
      #expect(same(parts.body, body) && same(parts.space, space), "\(text.debugDescription)")
    }
  }
}
