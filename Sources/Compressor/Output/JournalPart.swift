internal import DuetRuntime
internal import DuetSystem
internal import DuetText

/// The contents of the file of a finished matrix: tensors, record and time.
struct JournalPart {
  let linear: CompressedLinear
  let seconds: Double
  /// The digest of the run's fingerprint.
  private let run: String

  /// A matrix to be written.
  init(linear: CompressedLinear, seconds: Double, run: String) {
    self.linear = linear
    self.seconds = seconds
    self.run = run
  }

  /// The matrix in a file, or nil when the file is not as it was written or of another run.
  init?(_ file: SafeTensorsFile, name: String, run: String) {
    let metadata = Dictionary(file.metadata.map { ($0.key, $0.value) }) { first, _ in first }
    guard metadata["run"] == run, let recordText = metadata["record"],
      let digest = metadata["sha256"],
      let document = try? JSONDocument(
        parsing: Array(recordText.utf8), path: file.file.path, limits: .smallFile),
      let record = MatrixRecord(document.root), record.name == name,
      let seconds = metadata["seconds"].flatMap(Double.init)
    else { return nil }
    var tensors: [StoredTensor] = []
    for info in file.tensors {
      guard info.byteRange.lowerBound % info.elementType.alignment == 0 else { return nil }
      tensors.append(
        StoredTensor(
          name: info.name, elementType: info.elementType, shape: info.shape, file: file.file,
          byteOffset: info.byteRange.lowerBound))
    }
    guard Self.digest(recordText, tensors) == digest else { return nil }
    linear = CompressedLinear(tensors: tensors, record: record)
    self.seconds = seconds
    self.run = run
  }

  /// The entries of `__metadata__`.
  var metadata: [(key: String, value: String)] {
    let record = JSONOutput.object(linear.record.members).text
    return [
      ("run", run), ("record", record), ("seconds", "\(seconds)"),
      ("sha256", Self.digest(record, linear.tensors)),
    ]
  }

  /// A digest of the record and of the names, types, shapes and bytes of the tensors.
  private static func digest(_ record: String, _ tensors: [StoredTensor]) -> String {
    var hash = SHA256()
    hash.update(Array("\(record)\n".utf8).span)
    for tensor in SafeTensorsWriter.ordered(tensors) {
      hash.update(
        Array("\(tensor.name) \(tensor.elementType.rawValue) \(tensor.shape)\n".utf8).span)
      hash.update(tensor.bytes)
    }
    return SHA256.hexadecimal(hash.finalized())
  }
}
