internal import DuetSystem
internal import DuetText

/// The documents of MMLU in a folder of data.
///
/// Either one file `test.jsonl` has the questions of all subjects, each line with its `subject`, or each
/// subject has a folder with a `test.jsonl`. The examples are in `dev.jsonl` beside it. The documents are
/// ordered by subject as in `MMLUGroup`, and in a subject as in the file.
struct MMLUFiles {
  /// The possible files of the questions, relative to the folder of data.
  static let names = ["mmlu/test.jsonl", "mmlu/all/test.jsonl", "mmlu/SUBJECT/test.jsonl"]

  let path: String
  let byteCount: Int
  let digest: String
  let documents: [ChoiceDocument]
  let sections: [TaskData.Section]

  /// Reads the questions, and the first `exampleCount` examples of each subject.
  ///
  /// - Throws: `EvaluationError`.
  /// - Complexity: O(bytes).
  init(folder: String, exampleCount: Int) throws(EvaluationError) {
    for place in ["\(folder)/mmlu", "\(folder)/mmlu/all"] {
      guard let test = try Split("\(place)/test.jsonl", subject: nil) else { continue }
      let dev = "\(place)/dev.jsonl"
      let examples = exampleCount > 0 ? try Split.required(dev, subject: nil).records : [:]
      path = test.path
      byteCount = test.byteCount
      digest = test.digest
      (documents, sections) = try Self.arranged(
        test.records, examples, exampleCount, examplesIn: dev)
      return
    }
    let place = "\(folder)/mmlu"
    var tests: [String: [MMLURecord]] = [:]
    var examples: [String: [MMLURecord]] = [:]
    var byteCount = 0
    var digests = ""
    for subject in MMLUGroup.subjects {
      guard let test = try Split("\(place)/\(subject)/test.jsonl", subject: subject) else {
        continue
      }
      tests[subject] = test.records[subject]
      byteCount += test.byteCount
      digests += "\(subject) \(test.digest)\n"
      if exampleCount > 0 {
        examples[subject] =
          try Split.required("\(place)/\(subject)/dev.jsonl", subject: subject).records[subject]
      }
    }
    guard !tests.isEmpty else {
      throw .noData(task: "mmlu", folder: folder, names: Self.names)
    }
    path = place
    self.byteCount = byteCount
    digest = SHA256.hexadecimalDigest(of: Array(digests.utf8))
    (documents, sections) = try Self.arranged(
      tests, examples, exampleCount, examplesIn: "\(place)/SUBJECT/dev.jsonl")
  }

  /// The documents of all subjects, each with the examples of its subject.
  private static func arranged(
    _ tests: [String: [MMLURecord]], _ examples: [String: [MMLURecord]], _ exampleCount: Int,
    examplesIn path: String
  ) throws(EvaluationError) -> ([ChoiceDocument], [TaskData.Section]) {
    var documents: [ChoiceDocument] = []
    var sections: [TaskData.Section] = []
    for subject in MMLUGroup.subjects {
      guard let questions = tests[subject] else { continue }
      let own = examples[subject] ?? []
      guard own.count >= exampleCount else {
        throw .tooFewExamples(
          path: path, subject: subject, count: own.count, neededCount: exampleCount)
      }
      let introduction = MMLURecord.introduction(
        of: subject, examples: Array(own.prefix(exampleCount)))
      let start = documents.count
      documents += questions.map { $0.document(after: introduction) }
      sections.append(TaskData.Section(subject: subject, documents: start..<documents.count))
    }
    return (documents, sections)
  }

  /// A file of questions, by subject.
  private struct Split {
    let path: String
    let byteCount: Int
    let digest: String
    let records: [String: [MMLURecord]]

    /// Reads a file of one subject, or of all subjects when it is nil; nil when there is no file.
    init?(_ path: String, subject: String?) throws(EvaluationError) {
      let bytes: [UInt8]
      do throws(FileError) {
        bytes = try readFile(path, limit: TaskData.byteLimit)
      } catch {
        if case .notFound = error { return nil }
        throw .file(error)
      }
      var records: [String: [MMLURecord]] = [:]
      try JSONLines.forEach(
        in: bytes,
        malformed: { EvaluationError.malformedLine(path: path, line: $0, problem: $1) }
      ) { (line, value) throws(EvaluationError) in
        do throws(TaskRecord.Problem) {
          let record = try MMLURecord(value)
          let name = try Self.name(subject ?? record.subject)
          records[name, default: []].append(record)
        } catch {
          throw .malformedLine(path: path, line: line, problem: error.sentence)
        }
      }
      guard !records.isEmpty else { throw .noDocuments(path: path) }
      self.path = path
      self.records = records
      byteCount = bytes.count
      digest = SHA256.hexadecimalDigest(of: bytes)
    }

    /// Reads a file that must exist.
    static func required(_ path: String, subject: String?) throws(EvaluationError) -> Split {
      guard let split = try Split(path, subject: subject) else {
        throw .file(.notFound(path: path))
      }
      return split
    }

    private static func name(_ subject: String?) throws(TaskRecord.Problem) -> String {
      guard let subject else { throw TaskRecord.Problem(sentence: "no string \"subject\"") }
      guard MMLUGroup.subjects.contains(subject) else {
        throw TaskRecord.Problem(sentence: "\"\(subject)\" is not a subject of MMLU")
      }
      return subject
    }
  }
}
