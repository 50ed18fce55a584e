internal import DuetSystem
package import DuetText

/// The samples of a task on the disk, with which a stopped run can be resumed.
///
/// `samples_TASK.jsonl` has a line for each document, written as soon as its step is scored.
/// `samples_TASK.run.json` describes the run; a run with another description cannot be resumed.
package struct EvaluationJournal: ~Copyable {
  /// The treatment of existing samples.
  package enum Mode: Sendable {
    /// Existing samples are an error.
    case refuse
    /// New samples are appended.
    case resume
    /// Existing samples are deleted.
    case overwrite
  }

  /// The existing samples, of complete steps.
  package let recorded: [EvaluationSample]
  private var file: AppendedFile

  /// Creates a file of samples, or opens the existing one.
  ///
  /// - Parameters:
  ///   - plan: The documents that are scored.
  ///   - folder: The folder of the files; created when it does not exist.
  ///   - identity: Further values that must be equal to resume a run, such as a digest of the model.
  ///   - mode: The treatment of existing samples.
  /// - Throws: `EvaluationError`.
  package init(
    _ plan: EvaluationPlan, folder: String, identity: [JSONOutput.Member], mode: Mode
  ) throws(EvaluationError) {
    let path = "\(folder)/samples_\(plan.data.task.name).jsonl"
    let runPath = "\(folder)/samples_\(plan.data.task.name).run.json"
    let members = identity + plan.identity
    let old = try Self.contents(path)
    let recorded = try Self.recorded(old, path, runPath, plan, members, mode)
    let file = try Self.open(path, runPath, in: folder, members, old: old, recorded: recorded)
    self.recorded = recorded
    self.file = file
  }

  /// The existing samples to keep.
  private static func recorded(
    _ old: [UInt8]?, _ path: String, _ runPath: String, _ plan: EvaluationPlan,
    _ members: [JSONOutput.Member], _ mode: Mode
  ) throws(EvaluationError) -> [EvaluationSample] {
    guard let old else { return [] }
    guard isSamples(old) else { throw .notSamples(path: path) }
    if mode == .overwrite { return [] }
    guard mode == .resume else { throw .samplesExist(path: path) }
    try check(members, path: runPath)
    return try plan.samples(in: old, path: path)
  }

  /// The file of samples, opened for writing after `recorded`.
  private static func open(
    _ path: String, _ runPath: String, in folder: String, _ members: [JSONOutput.Member],
    old: [UInt8]?, recorded: [EvaluationSample]
  ) throws(EvaluationError) -> AppendedFile {
    do throws(FileError) {
      try FileOperations.system.makeFolders(folder)
      // Without samples to keep, the description of the old run is replaced.
      if recorded.isEmpty {
        try FileOperations.system.remove(path)
        try AtomicFile.write(Array(JSONOutput.object(members).indentedText.utf8), to: runPath)
      }
      return try AppendedFile(
        path: path, replacing: recorded.isEmpty ? nil : old, by: bytes(recorded))
    } catch {
      throw .file(error)
    }
  }

  /// Whether a file has samples or is empty, so that it may be overwritten.
  private static func isSamples(_ bytes: [UInt8]) -> Bool {
    guard let end = bytes.firstIndex(of: UInt8(ascii: "\n")) else {
      return Array("{\"doc_id\":".utf8).starts(with: bytes.prefix(10))
    }
    let line = try? JSONDocument(
      parsing: Array(bytes[..<end]), path: "samples", limits: .smallFile)
    return line?.root["log_likelihoods"] != nil
  }

  private static func bytes(_ samples: [EvaluationSample]) -> [UInt8] {
    samples.flatMap { Array("\($0.json.text)\n".utf8) }
  }

  /// Writes the samples of a step.
  ///
  /// - Throws: `EvaluationError.file`.
  package mutating func append(_ samples: [EvaluationSample]) throws(EvaluationError) {
    do throws(FileError) {
      try file.append(Self.bytes(samples))
    } catch {
      throw .file(error)
    }
  }

  /// Synchronizes the file with the disk.
  ///
  /// - Throws: `EvaluationError.file`.
  package mutating func finish() throws(EvaluationError) {
    do throws(FileError) {
      try file.synchronize()
    } catch {
      throw .file(error)
    }
  }

  /// The largest file of samples read, in bytes: about a hundred times the file of HellaSwag.
  private static let byteLimit = 1 << 30

  private static func contents(_ path: String) throws(EvaluationError) -> [UInt8]? {
    do throws(FileError) {
      return try readFile(path, limit: byteLimit)
    } catch {
      if case .notFound = error { return nil }
      throw .file(error)
    }
  }

  /// Checks that the description of the recorded run has the values of `members`.
  private static func check(
    _ members: [JSONOutput.Member], path: String
  ) throws(EvaluationError) {
    let document: JSONDocument
    do throws(JSONError) {
      document = try JSONDocument(contentsOf: path, limits: .smallFile)
    } catch {
      if case .file(let error) = error, error != .notFound(path: path) { throw .file(error) }
      throw .otherRun(path: path, difference: "its description is missing or damaged")
    }
    for member in members {
      let recorded = document.root[member.name].map(Self.text) ?? "nothing"
      let current = Self.text(member.value)
      guard recorded == current else {
        throw .otherRun(path: path, difference: "\(member.name) (then \(recorded), now \(current))")
      }
    }
  }

  private static func text(_ value: JSONValue) -> String {
    value.string ?? value.int.map(String.init) ?? "nothing"
  }

  private static func text(_ value: JSONOutput) -> String {
    switch value {
    case .string(let text): text
    case .integer(let number): String(number)
    default: "nothing"
    }
  }
}

extension EvaluationPlan {
  /// The values that must be equal for samples to belong to this plan.
  var identity: [JSONOutput.Member] {
    [
      .init("task", .string(data.task.name)), .init("protocol", .string(`protocol`.rawValue)),
      .init("data_sha256", .string(data.digest)),
      .init("labels_sha256", data.labels.map { .string($0.digest) } ?? .null),
      .init("documents", .integer(documents.count)), .init("context", .integer(contextLength)),
      .init("documents_sha256", .string(documentsDigest)),
      .init("tokens_sha256", .string(tokensDigest)),
    ] + (data.task.hasExamples ? [.init("examples", .integer(data.exampleCount))] : [])
  }

  /// The samples of the complete steps in a file of samples.
  ///
  /// A last line without a line feed is incomplete and is ignored.
  ///
  /// - Throws: `EvaluationError.otherRun` for a line that is not what this plan would have written.
  func samples(in bytes: [UInt8], path: String) throws(EvaluationError) -> [EvaluationSample] {
    let end = bytes.lastIndex(of: UInt8(ascii: "\n")) ?? 0
    var samples: [EvaluationSample] = []
    try JSONLines.forEach(
      in: bytes[..<end],
      malformed: { .otherRun(path: path, difference: "line \($0) is no sample: \($1)") }
    ) { (line, value) throws(EvaluationError) in
      let index = samples.count
      guard index < documents.count,
        let scores = EvaluationSample.scores(inLine: value),
        scores.count == texts[index].choices.count,
        value["doc_hash"]?.string == texts[index].digest,
        value["doc_id"]?.int == index
      else {
        throw .otherRun(path: path, difference: "line \(line) is not of document \(index)")
      }
      samples.append(sample(index, scores))
    }
    let whole = steps.last { $0.upperBound <= samples.count }?.upperBound ?? 0
    return Array(samples.prefix(whole))
  }
}
