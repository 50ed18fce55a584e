internal import DuetSystem
internal import DuetText

/// A line of a task's data, converted to a document.
///
/// The texts are those of lm-eval's tasks:
///
/// - PIQA: context `Question: {goal}\nAnswer:`, answers `sol1` and `sol2`.
/// - ARC: context `Question: {question}\nAnswer:`, answers `choices.text`.
/// - HellaSwag: context P(activity_label + ": " + ctx_a + " " + capitalize(ctx_b)), answers P(ending);
///   P strips white space at both ends, replaces " [title]" by ". ", deletes brackets and the text in
///   them, and replaces each two spaces by one, once.
/// - WinoGrande: two contexts, each the sentence up to "_" followed by an option, and one answer, the
///   stripped text after "_".
/// - BoolQ: context `{passage}\nQuestion: {question}?\nAnswer:`, answers "no" and "yes".
/// - RTE: context `{sentence1}\nQuestion: {sentence2} True or False?\nAnswer:`, answers "True" and
///   "False".
/// - LAMBADA: context the text up to its last space, one answer, the text after it.
/// - MMLU: see `MMLURecord`.
/// - The user's own file: `context`, `choices` and `gold`.
package struct TaskRecord {
  /// An error in a line, with a text that continues "line N: ".
  struct Problem: Error, Equatable {
    let sentence: String
  }

  let document: ChoiceDocument
  /// Whether the context was taken from HellaSwag's `ctx`.
  ///
  /// It does not show where `ctx_b` begins, so that part is not capitalized.
  var hasJoinedContext = false

  /// Reads a line.
  ///
  /// - Parameters:
  ///   - value: The JSON value of the line.
  ///   - kind: The task.
  ///   - label: The right answer, when it is in a separate file.
  /// - Throws: `Problem`.
  init(_ value: JSONValue, kind: EvaluationTask.Kind, label: String?) throws(Problem) {
    switch kind {
    case .piqa: document = try Self.piqa(value, label)
    case .arc: document = try Self.arc(value)
    case .hellaswag: (document, hasJoinedContext) = try Self.hellaswag(value)
    case .winogrande: document = try Self.winogrande(value)
    case .boolq: document = try Self.boolq(value)
    case .rte: document = try Self.rte(value)
    case .lambada: document = try Self.lambada(value)
    case .mmlu: document = try MMLURecord(value).document(after: "")
    case .generic: document = try Self.generic(value)
    }
  }

  // MARK: - Tasks

  private static func piqa(_ value: JSONValue, _ label: String?) throws(Problem) -> ChoiceDocument {
    let answers = [try string(value, "sol1"), try string(value, "sol2")]
    let gold: Int?
    if let label { gold = Int(label) } else { gold = try integer(value, "label") }
    return try document(
      context: "Question: \(string(value, "goal"))\nAnswer:", answers: answers, gold: gold)
  }

  private static func arc(_ value: JSONValue) throws(Problem) -> ChoiceDocument {
    let question: String
    var answers: [String] = []
    var labels: [[UInt8]] = []
    if let nested = value["question"], nested.members != nil {
      // The original format: {"question": {"stem", "choices": [{"text", "label"}]}, "answerKey"}.
      question = try string(nested, "stem")
      guard let choices = nested["choices"]?.elements else { throw missing("list", "choices") }
      for choice in choices {
        answers.append(try string(choice, "text"))
        labels.append(Array(try string(choice, "label").utf8))
      }
    } else {
      question = try string(value, "question")
      guard let choices = value["choices"] else { throw missing("object", "choices") }
      answers = try strings(choices, "text")
      labels = try strings(choices, "label").map { Array($0.utf8) }
    }
    guard answers.count == labels.count else {
      throw Problem(sentence: "\(answers.count) answers with \(labels.count) labels")
    }
    let key = Array(try string(value, "answerKey").utf8)
    return try document(
      context: "Question: \(question)\nAnswer:", answers: answers,
      gold: labels.firstIndex { $0 == key })
  }

  private static func hellaswag(_ value: JSONValue) throws(Problem) -> (ChoiceDocument, Bool) {
    let isJoined = value["ctx_a"] == nil && value["ctx"] != nil
    let context: String
    if isJoined {
      let prefix = try value["activity_label"] == nil ? "" : string(value, "activity_label") + ": "
      context = prefix + (try string(value, "ctx"))
    } else {
      let end = PythonText.capitalized(try string(value, "ctx_b"))
      context = try "\(string(value, "activity_label")): \(string(value, "ctx_a")) \(end)"
    }
    let document = try document(
      context: preprocessed(context), answers: strings(value, "endings").map(preprocessed),
      gold: integer(value, "label"))
    return (document, isJoined)
  }

  /// Computes P of the type's comment.
  package static func preprocessed(_ text: String) -> String {
    var text = PythonText.stripped(text)
    text = PythonText.replacing(" [title]", with: ". ", in: text)
    text = PythonText.removingBrackets(text)
    return PythonText.replacing("  ", with: " ", in: text)
  }

  private static func winogrande(_ value: JSONValue) throws(Problem) -> ChoiceDocument {
    let sentence = Array(try string(value, "sentence").unicodeScalars)
    guard let gap = sentence.firstIndex(of: "_") else {
      throw Problem(sentence: "the sentence has no \"_\"")
    }
    let start = WikiText.string(sentence[..<gap])
    let rest = WikiText.string(WikiText.trimmed(sentence[(gap + 1)...]))
    let options = [try string(value, "option1"), try string(value, "option2")]
    return try document(
      options.map { .init(context: start + $0, answer: rest) },
      gold: integer(value, "answer").map { $0 - 1 })
  }

  private static func boolq(_ value: JSONValue) throws(Problem) -> ChoiceDocument {
    // The files of SuperGLUE have true and false, the exports of Hugging Face 1 and 0.
    let gold: Int?
    if let label = value["label"]?.bool {
      gold = label ? 1 : 0
    } else {
      gold = try integer(value, "label")
    }
    return try document(
      context: "\(string(value, "passage"))\nQuestion: \(string(value, "question"))?\nAnswer:",
      answers: ["no", "yes"], gold: gold)
  }

  private static func rte(_ value: JSONValue) throws(Problem) -> ChoiceDocument {
    let first = try string(value, "sentence1")
    let second = try string(value, "sentence2")
    return try document(
      context: "\(first)\nQuestion: \(second) True or False?\nAnswer:", answers: ["True", "False"],
      gold: integer(value, "label"))
  }

  private static func lambada(_ value: JSONValue) throws(Problem) -> ChoiceDocument {
    let text = Array(try string(value, "text").unicodeScalars)
    let gap = text.lastIndex(of: " ")
    let word = text[(gap.map { $0 + 1 } ?? 0)...]
    return ChoiceDocument(
      choices: [
        .init(context: WikiText.string(text[..<(gap ?? 0)]), answer: WikiText.string(word))
      ], gold: 0)
  }

  private static func generic(_ value: JSONValue) throws(Problem) -> ChoiceDocument {
    try document(
      context: string(value, "context"), answers: strings(value, "choices"),
      gold: integer(value, "gold"))
  }

  // MARK: - Parts

  static func document(
    context: String, answers: [String], gold: Int?
  ) throws(Problem) -> ChoiceDocument {
    try document(answers.map { .init(context: context, answer: $0) }, gold: gold)
  }

  private static func document(
    _ choices: [ChoiceDocument.Choice], gold: Int?
  ) throws(Problem) -> ChoiceDocument {
    guard choices.count > 1 else { throw Problem(sentence: "fewer than two answers") }
    guard let gold, choices.indices.contains(gold) else {
      throw Problem(sentence: "the right answer is not one of the \(choices.count) answers")
    }
    return ChoiceDocument(choices: choices, gold: gold)
  }

  private static func missing(_ kind: String, _ key: String) -> Problem {
    Problem(sentence: "no \(kind) \"\(key)\"")
  }

  static func string(_ value: JSONValue, _ key: String) throws(Problem) -> String {
    guard let text = value[key]?.string else { throw missing("string", key) }
    return text
  }

  static func strings(_ value: JSONValue, _ key: String) throws(Problem) -> [String] {
    guard let elements = value[key]?.elements else { throw missing("list", key) }
    let texts = elements.compactMap(\.string)
    guard texts.count == elements.count else { throw missing("list of strings", key) }
    return texts
  }

  /// An integer, which some exports write as a string; nil for another value.
  static func integer(_ value: JSONValue, _ key: String) throws(Problem) -> Int? {
    guard let member = value[key] else { throw missing("number", key) }
    return member.int ?? member.string.flatMap { Int($0) }
  }
}
