/// A set of questions with several answers each, of which a model has to choose the right one, or of
/// texts whose last word a model has to find.
package struct EvaluationTask: Sendable, Equatable {
  /// The format of a line of the data; see `TaskRecord`.
  enum Kind: Sendable {
    case piqa, arc, hellaswag, winogrande, boolq, rte, lambada, mmlu, generic
  }

  /// The name of the task in lm-eval, or the name of the file without `.jsonl`.
  package let name: String
  let kind: Kind
  /// The number of documents of the published split, or nil for the user's own file.
  package let expectedCount: Int?
  /// The possible files of the data, relative to the folder of data; the first that exists is used.
  package let fileNames: [String]

  private init(_ name: String, _ kind: Kind, _ expectedCount: Int?, _ fileNames: [String]) {
    self.name = name
    self.kind = kind
    self.expectedCount = expectedCount
    self.fileNames = fileNames
  }

  /// The tasks that are chosen by name.
  ///
  /// Their splits: test for ARC, LAMBADA and MMLU, validation for the others (WinoGrande is xl).
  package static let named: [EvaluationTask] = [
    EvaluationTask(
      "piqa", .piqa, 1838, ["piqa/valid.jsonl", "piqa/validation.jsonl", "piqa.jsonl"]),
    EvaluationTask("arc_easy", .arc, 2376, arcNames("arc_easy", "ARC-Easy")),
    EvaluationTask("arc_challenge", .arc, 1172, arcNames("arc_challenge", "ARC-Challenge")),
    EvaluationTask(
      "hellaswag", .hellaswag, 10_042,
      [
        "hellaswag/hellaswag_val.jsonl", "hellaswag_val.jsonl", "hellaswag/validation.jsonl",
        "hellaswag.jsonl",
      ]),
    EvaluationTask(
      "winogrande", .winogrande, 1267,
      [
        "winogrande/dev.jsonl", "winogrande/validation.jsonl", "winogrande_xl/validation.jsonl",
        "winogrande.jsonl",
      ]),
    EvaluationTask(
      "boolq", .boolq, 3270, ["boolq/validation.jsonl", "boolq/val.jsonl", "boolq.jsonl"]),
    EvaluationTask("rte", .rte, 277, ["rte/validation.jsonl", "rte.jsonl"]),
    EvaluationTask(
      "lambada_openai", .lambada, 5153,
      [
        "lambada_openai/test.jsonl", "lambada_openai/lambada_test.jsonl", "lambada_test.jsonl",
        "lambada_openai.jsonl",
      ]),
    EvaluationTask("mmlu", .mmlu, 14_042, MMLUFiles.names),
  ]

  private static func arcNames(_ name: String, _ title: String) -> [String] {
    [
      "arc/\(title)-Test.jsonl", "\(title)-Test.jsonl", "\(title)/\(title)-Test.jsonl",
      "\(title)/test.jsonl", "\(name)/test.jsonl", "\(name).jsonl",
    ]
  }

  /// Makes the task called `name`; nil when there is none.
  package init?(named name: String) {
    guard let task = Self.named.first(where: { $0.name == name }) else { return nil }
    self = task
  }

  /// Makes the task of a JSON Lines file with `context`, `choices` and `gold` in each line.
  package init(genericFile path: String) {
    let last = path.split(separator: "/").last.map(String.init) ?? path
    let name = last.hasSuffix(".jsonl") ? String(last.dropLast(".jsonl".count)) : last
    self.init(name.isEmpty ? "task" : name, .generic, nil, [path])
  }

  /// Whether the task has an accuracy by log-likelihood per code point of the answer.
  ///
  /// WinoGrande has none, because the two choices of a document have the same continuation. lm-eval
  /// gives none where all answers are one word either.
  package var hasNormalizedAccuracy: Bool {
    switch kind {
    case .piqa, .arc, .hellaswag, .generic: true
    case .winogrande, .boolq, .rte, .lambada, .mmlu: false
    }
  }

  /// Whether a document is right when greedy decoding gives its only continuation.
  package var isGreedy: Bool { kind == .lambada }

  /// Whether the documents can begin with examples of questions and answers.
  package var hasExamples: Bool { kind == .mmlu }

  /// Whether a protocol defines the texts of the task.
  ///
  /// lm-eval 0.3 writes the questions of MMLU in another way and compares whole answers, not letters.
  package func isDefined(by name: EvaluationProtocol) -> Bool {
    name == .joined || kind != .mmlu
  }
}
