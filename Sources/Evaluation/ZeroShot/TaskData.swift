internal import DuetSystem
internal import DuetText

/// The documents of a task, with the path and digest of their file.
package struct TaskData: Sendable {
  /// The task.
  package let task: EvaluationTask
  /// The file of documents, or the folder of the files of MMLU.
  package let path: String
  /// The size of the files of documents, in bytes.
  package let byteCount: Int
  /// The SHA-256 of the file, in hexadecimal; of several files, of the lines of their names and digests.
  package let digest: String
  /// The file of answers in the same folder and its SHA-256, when there is one.
  package let labels: (path: String, digest: String)?
  /// The documents, in the order of the file.
  package let documents: [ChoiceDocument]
  /// The number of documents of HellaSwag whose context was stored as one text; see `TaskRecord`.
  package let joinedContextCount: Int
  /// The subjects of MMLU with the documents of each; none for other tasks.
  package let sections: [Section]
  /// The number of examples before each question of MMLU.
  package let exampleCount: Int

  /// A subject of MMLU and the indices of its documents.
  package struct Section: Sendable, Equatable {
    /// The name of the subject.
    package let subject: String
    /// The indices of its documents.
    package let documents: Range<Int>
  }

  /// The largest file read, in bytes: about a hundred times the largest data set.
  static let byteLimit = 1 << 30

  /// Reads the data of `task`.
  ///
  /// - Parameters:
  ///   - task: The task.
  ///   - folder: The folder of data, used for the tasks that are chosen by name.
  ///   - exampleCount: The number of examples before each question; other than 0 only for MMLU.
  /// - Throws: `EvaluationError`.
  /// - Complexity: O(bytes).
  package init(
    _ task: EvaluationTask, folder: String?, exampleCount: Int = 0
  ) throws(EvaluationError) {
    precondition(exampleCount == 0 || task.hasExamples, "\(exampleCount) examples of \(task.name)")
    self.task = task
    self.exampleCount = exampleCount
    if task.kind == .mmlu {
      let files = try MMLUFiles(folder: folder ?? ".", exampleCount: exampleCount)
      path = files.path
      byteCount = files.byteCount
      digest = files.digest
      labels = nil
      documents = files.documents
      joinedContextCount = 0
      sections = files.sections
      return
    }
    sections = []
    let (path, bytes) = try Self.read(task, folder: folder)
    let labels = task.kind == .piqa ? try Self.readLabels(beside: path) : nil
    var documents: [ChoiceDocument] = []
    var joinedCount = 0
    try JSONLines.forEach(
      in: bytes,
      malformed: { EvaluationError.malformedLine(path: path, line: $0, problem: $1) }
    ) { (line, value) throws(EvaluationError) in
      if let labels, documents.count >= labels.answers.count {
        throw .labels(
          path: labels.path, count: labels.answers.count, documentCount: documents.count + 1)
      }
      do throws(TaskRecord.Problem) {
        let record = try TaskRecord(
          value, kind: task.kind, label: labels?.answers[documents.count])
        documents.append(record.document)
        if record.hasJoinedContext { joinedCount += 1 }
      } catch {
        throw .malformedLine(path: path, line: line, problem: error.sentence)
      }
    }
    guard !documents.isEmpty else { throw .noDocuments(path: path) }
    if let labels, labels.answers.count != documents.count {
      throw .labels(
        path: labels.path, count: labels.answers.count, documentCount: documents.count)
    }
    self.path = path
    self.documents = documents
    byteCount = bytes.count
    digest = SHA256.hexadecimalDigest(of: bytes)
    self.labels = labels.map { ($0.path, $0.digest) }
    joinedContextCount = joinedCount
  }

  /// Whether the number of documents equals `task.expectedCount`, or that is nil.
  package var hasExpectedCount: Bool {
    task.expectedCount.map { $0 == documents.count } ?? true
  }

  /// The first `count` documents, of MMLU those of each subject.
  func first(_ count: Int) -> (documents: [ChoiceDocument], sections: [Section]) {
    guard !sections.isEmpty else { return (Array(documents.prefix(count)), []) }
    var result: [ChoiceDocument] = []
    let parts = sections.map { section in
      let start = result.count
      result += documents[section.documents].prefix(count)
      return Section(subject: section.subject, documents: start..<result.count)
    }
    return (result, parts)
  }

  private static func read(
    _ task: EvaluationTask, folder: String?
  ) throws(EvaluationError) -> (path: String, bytes: [UInt8]) {
    for name in task.fileNames {
      let path = task.kind == .generic ? name : "\(folder ?? ".")/\(name)"
      do throws(FileError) {
        return (path, try readFile(path, limit: byteLimit))
      } catch {
        if case .notFound = error, task.kind != .generic { continue }
        throw .file(error)
      }
    }
    throw .noData(task: task.name, folder: folder ?? ".", names: task.fileNames)
  }

  /// The answers in `NAME-labels.lst` in the folder of `NAME.jsonl`, or nil without such a file.
  private static func readLabels(
    beside path: String
  ) throws(EvaluationError) -> (path: String, digest: String, answers: [String])? {
    guard path.hasSuffix(".jsonl") else { return nil }
    let labelPath = path.dropLast(".jsonl".count) + "-labels.lst"
    let bytes: [UInt8]
    do throws(FileError) {
      bytes = try readFile(String(labelPath), limit: byteLimit)
    } catch {
      if case .notFound = error { return nil }
      throw .file(error)
    }
    let lines = String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isNewline)
    return (
      String(labelPath), SHA256.hexadecimalDigest(of: bytes),
      lines.map { PythonText.stripped(String($0)) }.filter { !$0.isEmpty }
    )
  }
}
