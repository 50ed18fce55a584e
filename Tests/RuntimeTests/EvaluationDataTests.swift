import DuetEvaluation
import DuetSystem
import DuetText
import Foundation
import TestSupport
import Testing

/// The lines of every task in every shape, and what is refused.
@Suite("Data of evaluation tasks")
struct EvaluationDataTests {
  private func data(_ name: String, _ files: [String: String]) throws -> TaskData {
    let folder = try TemporaryFolder()
    for (file, text) in files { try folder.write(file, text) }
    return try TaskData(#require(EvaluationTask(named: name)), folder: folder.path)
  }

  private func document(_ name: String, _ file: String, _ line: String) throws -> ChoiceDocument {
    try #require(try data(name, [file: line + "\n"]).documents.first)
  }

  private func expect(
    _ document: ChoiceDocument, _ contexts: [String], _ continuations: [String], gold: Int,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    #expect(document.choices.map(\.context) == contexts, sourceLocation: sourceLocation)
    #expect(document.choices.map(\.continuation) == continuations, sourceLocation: sourceLocation)
    #expect(document.gold == gold, sourceLocation: sourceLocation)
  }

  @Test("PIQA is read, with labels inside or in a file of their own")
  func piqa() throws {
    let context = "Question: Open it.\nAnswer:"
    let line = #"{"goal":"Open it.","sol1":"Push ","sol2":"Pull""#
    expect(
      try document("piqa", "piqa.jsonl", line + #","label":1}"#), [context, context],
      [" Push ", " Pull"], gold: 1)
    let apart = try data(
      "piqa", ["piqa.jsonl": line + "}\n" + line + "}\n", "piqa-labels.lst": "1\r\n0\n"])
    #expect(apart.documents.map(\.gold) == [1, 0])
    #expect(apart.labels != nil)
    #expect(apart.documents[0].choices.map(\.length) == [5, 4])
  }

  @Test("ARC is read in both of its shapes")
  func arcInBothShapes() throws {
    let context = "Question: Why?\nAnswer:"
    let nested =
      #"{"question":{"stem":"Why?","choices":[{"text":"So","label":"A"},{"text":"No","label":"B"},"#
      + #"{"text":"Eh","label":"C"}]},"answerKey":"C"}"#
    let flat =
      #"{"id":"x","question":"Why?","choices":{"text":["So","No","Eh"],"label":["1","2","3"]},"#
      + #""answerKey":"3"}"#
    for line in [nested, flat] {
      for name in ["arc_easy", "arc_challenge"] {
        expect(
          try document(name, "\(name).jsonl", line), [context, context, context],
          [" So", " No", " Eh"], gold: 2)
      }
    }
  }

  @Test("HellaSwag is read, also with its contexts joined")
  func hellaswag() throws {
    let line =
      #"{"ind":1,"activity_label":"Cooking [x]","ctx_a":"A man  cooks.","ctx_b":"he IS","#
      + #""ctx":"unused","endings":["stirs [title] it.","  eats"],"label":"1"}"#
    let context = "Cooking : A man cooks. He is"
    let expected = try document("hellaswag", "hellaswag.jsonl", line)
    expect(expected, [context, context], [" stirs. it.", " eats"], gold: 1)
    let joined = try data(
      "hellaswag",
      ["hellaswag.jsonl": #"{"ctx":"Cooking: he IS","endings":["a","b"],"label":0}"#])
    #expect(joined.joinedContextCount == 1)
    let joinedContext = "Cooking: he IS"
    expect(joined.documents[0], [joinedContext, joinedContext], [" a", " b"], gold: 0)
  }

  @Test("WinoGrande is read, with the option in the context")
  func winogrande() throws {
    let line =
      #"{"sentence":"Ann saw Bo so _ ran  away_. ","option1":"Ann","option2":"Bo","answer":"2"}"#
    expect(
      try document("winogrande", "winogrande.jsonl", line),
      ["Ann saw Bo so Ann", "Ann saw Bo so Bo"], [" ran  away_.", " ran  away_."], gold: 1)
    #expect(EvaluationTask(named: "winogrande")?.hasNormalizedAccuracy == false)
  }

  @Test("BoolQ is read, with labels as numbers or as truth values")
  func boolq() throws {
    let context = "It rains.  Often.\nQuestion: does it rain?\nAnswer:"
    for (label, gold) in [("1", 1), ("0", 0), ("true", 1), ("false", 0)] {
      let line =
        #"{"passage":"It rains.  Often.","question":"does it rain","label":"# + label + "}"
      expect(
        try document("boolq", "boolq.jsonl", line), [context, context], [" no", " yes"], gold: gold)
    }
    #expect(EvaluationTask(named: "boolq")?.hasNormalizedAccuracy == false)
  }

  @Test("RTE is read")
  func rte() throws {
    let line = #"{"sentence1":"It rains.","sentence2":"It is wet.","label":1,"idx":0}"#
    let context = "It rains.\nQuestion: It is wet. True or False?\nAnswer:"
    expect(
      try document("rte", "rte/validation.jsonl", line), [context, context], [" True", " False"],
      gold: 1)
  }

  @Test("the last word of LAMBADA is what follows the last space")
  func lambada() throws {
    for (text, context, continuation) in [
      ("a big dog", "a big", " dog"), ("a\nbig  dog.", "a\nbig ", " dog."), ("dog", "", " dog"),
      ("a ", "a", " "), ("a\u{A0}b c\u{A0}d", "a\u{A0}b", " c\u{A0}d"),
    ] {
      let line = JSONOutput.object([.init("text", .string(text))]).text
      let document = try document("lambada_openai", "lambada_openai/test.jsonl", line)
      expect(document, [context], [continuation], gold: 0)
    }
  }

  private static let question =
    #"{"question":" Why?\n","subject":"anatomy","choices":["So"," No","Eh ","Or"],"answer":2}"#

  @Test("MMLU is read from one file of all subjects, or from a folder for each")
  func mmluInBothPlaces() throws {
    let other =
      #"{"question":"1+1","subject":"us_foreign_policy","choices":["1","2","3","4"],"answer":1}"#
    let first =
      "The following are multiple choice questions (with answers) about anatomy.\n\n"
    let example = "1+1\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer: B\n\n"
    let last = "Why?\nA. So\nB.  No\nC. Eh \nD. Or\nAnswer:"
    let own = other.replacingOccurrences(of: "us_foreign_policy", with: "anatomy")
    let places = [
      ["mmlu/test.jsonl": "\(other)\n\(Self.question)\n", "mmlu/dev.jsonl": "\(own)\n\(other)\n"],
      [
        "mmlu/all/test.jsonl": "\(Self.question)\n\(other)\n",
        "mmlu/all/dev.jsonl": "\(other)\n\(own)\n",
      ],
      [
        "mmlu/us_foreign_policy/test.jsonl": other + "\n",
        "mmlu/us_foreign_policy/dev.jsonl": other + "\n",
        "mmlu/anatomy/test.jsonl": Self.question, "mmlu/anatomy/dev.jsonl": other,
      ],
    ]
    for files in places {
      for (count, context) in [(0, first + last), (1, first + example + last)] {
        let folder = try TemporaryFolder()
        for (file, text) in files { try folder.write(file, text) }
        let task = try #require(EvaluationTask(named: "mmlu"))
        let data = try TaskData(task, folder: folder.path, exampleCount: count)
        #expect(data.sections.map(\.subject) == ["anatomy", "us_foreign_policy"])
        #expect(data.sections.map(\.documents) == [0..<1, 1..<2])
        expect(
          data.documents[0], [context, context, context, context], [" A", " B", " C", " D"],
          gold: 2)
        #expect(
          data.documents[1].choices[0].context.contains("about us foreign policy.\n\n1+1\nA. 1"))
      }
    }
    #expect(MMLUGroup.subjects.count == 57 && Set(MMLUGroup.subjects).count == 57)
  }

  @Test("missing examples, subjects and files of MMLU are refused")
  func mmluThatIsRefused() throws {
    let task = try #require(EvaluationTask(named: "mmlu"))
    func error(_ files: [String: String], _ count: Int = 0) throws -> EvaluationError? {
      let folder = try TemporaryFolder()
      for (file, text) in files { try folder.write(file, text) }
      return #expect(throws: EvaluationError.self) {
        try TaskData(task, folder: folder.path, exampleCount: count)
      }
    }
    let question = Self.question + "\n"
    let few = try error(["mmlu/test.jsonl": question, "mmlu/dev.jsonl": question], 2)
    #expect(few?.category == .refusedData)
    #expect(few?.description.contains("1 examples of anatomy, fewer than the 2") == true)
    let noExamples = try error(["mmlu/test.jsonl": question], 5)
    #expect(noExamples?.category == .inputOutput)
    #expect(noExamples?.description.contains("mmlu/dev.jsonl: no such file") == true)
    let noFile = try error([:])
    #expect(noFile?.category == .inputOutput)
    #expect(noFile?.description.contains("mmlu/SUBJECT/test.jsonl") == true)
    for (line, part) in [
      (question.replacingOccurrences(of: "anatomy", with: "magic"), "not a subject of MMLU"),
      (question.replacingOccurrences(of: "subject", with: "theme"), "no string \"subject\""),
      (question.replacingOccurrences(of: #","Or""#, with: ""), "3 answers"),
      (question.replacingOccurrences(of: "\"answer\":2", with: "\"answer\":4"), "right answer"),
    ] {
      let malformed = try error(["mmlu/test.jsonl": line])
      #expect(malformed?.category == .refusedData)
      #expect(malformed?.description.contains(part) == true, "\(malformed?.description ?? "")")
    }
    #expect(try error(["mmlu/anatomy/test.jsonl": "\n"])?.category == .refusedData)
  }

  @Test("a limit of MMLU is for each subject")
  func limitOfMMLU() throws {
    let folder = try TemporaryFolder()
    let other = Self.question.replacingOccurrences(of: "anatomy", with: "virology")
    try folder.write("mmlu/test.jsonl", "\(Self.question)\n\(Self.question)\n\(other)\n\(other)\n")
    let data = try TaskData(#require(EvaluationTask(named: "mmlu")), folder: folder.path)
    let tokenizer = try TokenizerFixture.tokenizer(TokenizerFixture.sentencePiece())
    let plan = try EvaluationPlan(
      data, limit: 1, protocol: .joined, tokenizer: tokenizer, contextLength: 500)
    #expect(plan.texts == [data.documents[0], data.documents[2]])
    #expect(plan.sections.map(\.documents) == [0..<1, 1..<2])
    #expect(plan.isPartial)
  }

  @Test("a file of one's own is read")
  func aFileOfOnesOwn() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write(
      "colours.jsonl", "\n{\"context\":\"Grass is\",\"choices\":[\"red\",\"green\"],\"gold\":1}\r\n"
    )
    let task = EvaluationTask(genericFile: path)
    #expect(task.name == "colours")
    let data = try TaskData(task, folder: nil)
    expect(data.documents[0], ["Grass is", "Grass is"], [" red", " green"], gold: 1)
    #expect(data.hasExpectedCount)
  }

  @Test("documents are told apart by their digests")
  func documentsAreToldApart() throws {
    let choices = ["b", "c"].map { ChoiceDocument.Choice(context: "a", answer: $0) }
    let document = ChoiceDocument(choices: choices, gold: 0)
    #expect(document.digest.count == 16)
    #expect(document.digest != ChoiceDocument(choices: choices, gold: 1).digest)
    #expect(
      document.digest != ChoiceDocument(choices: choices.reversed(), gold: 0).digest)
  }

  @Test(
    "malformed lines are refused with what is wrong",
    arguments: [
      ("piqa", #"{"goal":"a","sol1":"b","label":0}"#, "no string \"sol2\""),
      ("piqa", #"{"goal":"a","sol1":"b","sol2":"c","label":-1}"#, "the right answer"),
      ("piqa", #"{"goal":"a","sol1":"b","sol2":"c","label":2}"#, "the right answer"),
      ("piqa", #"{"goal":"a","sol1":"b","sol2":"c"}"#, "no number \"label\""),
      ("piqa", #"{"goal":"a""#, "not valid JSON"),
      ("piqa", "[]", "no string"),
      ("arc_easy", #"{"question":"a","answerKey":"A"}"#, "no object \"choices\""),
      (
        "arc_easy",
        #"{"question":"a","choices":{"text":["b","c"],"label":["A"]},"answerKey":"A"}"#,
        "2 answers with 1 labels"
      ),
      (
        "arc_easy",
        #"{"question":"a","choices":{"text":["b","c"],"label":["A","B"]},"answerKey":"E"}"#,
        "the right answer"
      ),
      (
        "arc_easy",
        #"{"question":"a","choices":{"text":["b",1],"label":["A","B"]},"answerKey":"A"}"#,
        "no list of strings \"text\""
      ),
      ("boolq", #"{"passage":"a","question":"b","answer":true}"#, "no number \"label\""),
      ("boolq", #"{"passage":"a","question":"b","label":-1}"#, "the right answer"),
      ("rte", #"{"sentence1":"a","sentence2":"b","label":2}"#, "the right answer"),
      ("rte", #"{"premise":"a","hypothesis":"b","label":1}"#, "no string \"sentence1\""),
      ("lambada_openai", #"{"txt":"a b"}"#, "no string \"text\""),
      ("hellaswag", #"{"ctx":"a","endings":["b","c"],"label":""}"#, "the right answer"),
      ("hellaswag", #"{"ctx":"a","endings":["b"],"label":0}"#, "fewer than two answers"),
      (
        "winogrande", #"{"sentence":"a b","option1":"c","option2":"d","answer":"1"}"#, "no \"_\""
      ),
      (
        "winogrande", #"{"sentence":"a _","option1":"c","option2":"d","answer":""}"#,
        "the right answer"
      ),
    ])
  func malformedLines(name: String, line: String, part: String) throws {
    let error = #expect(throws: EvaluationError.self) {
      try data(name, ["\(name).jsonl": "\n" + line + "\n"])
    }
    guard case .malformedLine(_, 2, _) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(error?.description.contains(part) == true, "\(error?.description ?? "")")
    #expect(error?.category == .refusedData)
  }

  @Test("missing, empty and unequal files are refused")
  func filesThatAreNotThere() throws {
    let missing = #expect(throws: EvaluationError.self) { try data("piqa", [:]) }
    #expect(missing?.category == .inputOutput)
    #expect(missing?.description.contains("piqa/valid.jsonl") == true)
    let empty = #expect(throws: EvaluationError.self) { try data("piqa", ["piqa.jsonl": "\n\n"]) }
    #expect(empty?.category == .refusedData)
    let line = #"{"goal":"a","sol1":"b","sol2":"c"}"# + "\n"
    for labels in ["0\n", "0\n1\n0\n"] {
      let error = #expect(throws: EvaluationError.self) {
        try data("piqa", ["piqa.jsonl": line + line, "piqa-labels.lst": labels])
      }
      guard case .labels(_, let count, _) = error else {
        Issue.record("\(String(describing: error))")
        continue
      }
      #expect(count == labels.split(separator: "\n").count)
    }
  }

  @Test(
    "the data sets are whole",
    .enabled(if: SharedData.path("tasks") != nil, "../shared is absent"),
    arguments: SharedData.tasks)
  func theDataSetsAreWhole(task: EvaluationTask) throws {
    let data = try TaskData(task, folder: SharedData.path("tasks"))
    #expect(data.hasExpectedCount)
    #expect(data.documents.count == task.expectedCount)
    #expect((data.joinedContextCount > 0) == (task.name == "hellaswag"))
  }
}
