package import DuetRuntime
internal import DuetSystem
internal import DuetText

/// The identity of a run: everything that must be equal for the run to be resumed.
///
/// It is a list of named texts rather than one digest, so that a mismatch can be explained.
package struct Fingerprint: Sendable, Equatable {
  /// One part of the identity.
  package struct Field: Sendable, Equatable {
    /// What it is, such as "plan.rank" or "tensor.model.norm.weight".
    package let name: String
    /// Its value, or a digest of it.
    package let value: String
  }

  /// All parts, in a fixed order.
  package let fields: [Field]

  /// The prefixes of the names of the fields that depend on the contents of the source.
  private static let sourcePrefixes = ["config", "tensor."]

  /// The identity of a run.
  ///
  /// It includes a sample of the values of every tensor, and the modification time of every file, which
  /// reveals changes outside the samples.
  ///
  /// - Parameters:
  ///   - plan: The plan.
  ///   - checkpoint: The source.
  ///   - calibrationDigest: A digest of the calibration samples.
  ///   - toolVersion: The version that compresses.
  /// - Throws: `JournalError` when the source cannot be read.
  /// - Complexity: O(tensors); at most 64 KiB of each are read.
  package init(
    plan: CompressionPlan, checkpoint: Checkpoint, calibrationDigest: String,
    toolVersion: String = duetVersion
  ) throws(JournalError) {
    var fields = [
      Field(name: "format_version", value: "\(CompressedFormat.version)"),
      Field(name: "tool_version", value: toolVersion),
    ]
    let hiddenSize = checkpoint.configuration.hiddenSize
    fields += plan.members(hiddenSize: hiddenSize).map {
      Field(name: "plan.\($0.name)", value: $0.value.text)
    }
    fields.append(Field(name: "calibration", value: calibrationDigest))
    fields += try Self.source(checkpoint)
    self.fields = fields
  }

  /// The identity of a run that changes a compressed model.
  ///
  /// - Parameters:
  ///   - choices: The names and values of what the run depends on besides the models.
  ///   - compressed: The compressed model.
  ///   - original: The model that it was made from.
  ///   - toolVersion: The version that runs.
  /// - Throws: `JournalError` when a model cannot be read.
  /// - Complexity: As for a compression.
  init(
    _ choices: [(name: String, value: String)], _ compressed: Checkpoint, _ original: Checkpoint,
    toolVersion: String = duetVersion
  ) throws(JournalError) {
    fields =
      [Field(name: "tool_version", value: toolVersion)]
      + choices.map { Field(name: $0.name, value: $0.value) }
      + (try Self.source(compressed).map { Field(name: "compressed.\($0.name)", value: $0.value) })
      + (try Self.source(original))
  }

  private init(_ fields: [Field]) { self.fields = fields }

  /// The parts that the contents of a checkpoint and the times of its files give.
  private static func source(_ checkpoint: Checkpoint) throws(JournalError) -> [Field] {
    var fields: [Field] = []
    let configuration = try wrapping(JournalError.file) { () throws(FileError) in
      try readFile("\(checkpoint.folder)/config.json", limit: JSONLimits.smallFile.byteCount)
    }
    fields.append(Field(name: "config", value: SHA256.hexadecimalDigest(of: configuration)))
    var files: [String] = []
    for name in checkpoint.names {
      let tensor = try wrapping(JournalError.checkpoint) { () throws(CheckpointError) in
        try checkpoint.tensor(named: name)
      }
      guard let tensor else { continue }
      fields.append(Field(name: "tensor.\(name)", value: tensor.summary))
      if !files.contains(tensor.file.path) { files.append(tensor.file.path) }
    }
    for path in files.sorted() {
      let name = path.split(separator: "/").last.map(String.init) ?? path
      let modified = FileIdentity(path)?.modified
      let value = modified.map { "\($0.seconds) s \($0.nanoseconds) ns" } ?? "unknown"
      fields.append(Field(name: "modified.\(name)", value: value))
    }
    return fields
  }

  /// `sourceDigest` of a checkpoint.
  ///
  /// - Throws: `JournalError` when it cannot be read.
  package static func digest(ofSource checkpoint: Checkpoint) throws(JournalError) -> String {
    Fingerprint(try source(checkpoint)).sourceDigest
  }

  /// The identity of another product of the same run: these fields, and one more with the name of the
  /// product.
  func of(_ product: String) -> Fingerprint {
    of([Field(name: "product", value: product)])
  }

  /// The identity of a part of the same run: these fields, and those that say which part it is.
  func of(_ part: [Field]) -> Fingerprint { Fingerprint(fields + part) }

  /// The value of the field `name`, or nil when there is none.
  func value(_ name: String) -> String? { fields.first { $0.name == name }?.value }

  /// A digest of the contents of the source, equal for every copy of it.
  package var sourceDigest: String {
    digest(fields.filter { field in Self.sourcePrefixes.contains { field.name.hasPrefix($0) } })
  }

  /// A digest of all fields, which every file of a run carries.
  var runDigest: String { digest(fields) }

  private func digest(_ fields: [Field]) -> String {
    let text = fields.map { "\($0.name)=\($0.value)\n" }.joined()
    return SHA256.hexadecimalDigest(of: Array(text.utf8))
  }

  // MARK: - Comparison

  /// A field that differs between two runs.
  package struct Difference: Sendable, Equatable {
    /// The name of the field.
    package let name: String
    /// Its value when the run began, or nil when the field was not there.
    package let recorded: String?
    /// Its value now, or nil when the field is not there.
    package let current: String?
  }

  /// The fields that differ from those of an earlier run.
  package func differences(from recorded: Fingerprint) -> [Difference] {
    let old = Dictionary(recorded.fields.map { ($0.name, $0.value) }) { first, _ in first }
    let new = Dictionary(fields.map { ($0.name, $0.value) }) { first, _ in first }
    let removed = recorded.fields.filter { new[$0.name] == nil }
    return (fields + removed).filter { old[$0.name] != new[$0.name] }.map {
      Difference(name: $0.name, recorded: old[$0.name], current: new[$0.name])
    }
  }

  // MARK: - JSON

  /// An object of all fields.
  var json: JSONOutput { .object(fields.map { .init($0.name, .string($0.value)) }) }

  /// The fingerprint in the file at `path`, or nil when the file holds something else.
  ///
  /// - Throws: `FileError` when the file cannot be read.
  init?(contentsOf path: String) throws(FileError) {
    do throws(JSONError) {
      let limits = JSONLimits(byteCount: 16_000_000)
      self.init(try JSONDocument(contentsOf: path, limits: limits).root)
    } catch {
      if case .file(let error) = error { throw error }
      return nil
    }
  }

  /// The fingerprint that `json` describes, or nil when it is something else.
  init?(_ json: JSONValue) {
    guard let members = json.members else { return nil }
    var fields: [Field] = []
    for member in members {
      guard let value = member.value.string else { return nil }
      fields.append(Field(name: member.name, value: value))
    }
    self.fields = fields
  }
}
