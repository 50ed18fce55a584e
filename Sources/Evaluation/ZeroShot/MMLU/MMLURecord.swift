internal import DuetText

/// A question of MMLU with four answers, as lm-eval 0.4 writes it.
///
/// The question without white space at both ends, a line "A. ..." to "D. ..." for each answer, and
/// "Answer:". The answers that a model chooses from are the letters. An example is a question followed by
/// a space, its letter and an empty line. The text of a subject begins with a sentence that names it.
struct MMLURecord {
  private static let letters = ["A", "B", "C", "D"]

  /// The subject, where the line names one.
  let subject: String?
  private let prompt: String
  private let gold: Int

  /// Reads a line.
  ///
  /// - Throws: `TaskRecord.Problem`.
  init(_ value: JSONValue) throws(TaskRecord.Problem) {
    let answers = try TaskRecord.strings(value, "choices")
    guard answers.count == Self.letters.count else {
      throw TaskRecord.Problem(sentence: "\(answers.count) answers, where MMLU has four")
    }
    guard let gold = try TaskRecord.integer(value, "answer"), answers.indices.contains(gold) else {
      throw TaskRecord.Problem(sentence: "the right answer is not one of the four answers")
    }
    subject = value["subject"]?.string
    let lines = zip(Self.letters, answers).map { "\($0). \($1)" }
    let question = PythonText.stripped(try TaskRecord.string(value, "question"))
    prompt = ([question] + lines + ["Answer:"]).joined(separator: "\n")
    self.gold = gold
  }

  /// The question with its answer.
  var example: String { "\(prompt) \(Self.letters[gold])\n\n" }

  /// The document whose context begins with `introduction`.
  func document(after introduction: String) -> ChoiceDocument {
    ChoiceDocument(
      choices: Self.letters.map { .init(context: introduction + prompt, answer: $0) }, gold: gold)
  }

  /// The text before the questions of a subject: a sentence and the examples.
  static func introduction(of subject: String, examples: [MMLURecord]) -> String {
    let name = PythonText.replacing("_", with: " ", in: subject)
    return "The following are multiple choice questions (with answers) about \(name).\n\n"
      + examples.map(\.example).joined()
  }
}
