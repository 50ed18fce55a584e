internal import DuetRuntime
internal import DuetSystem
internal import DuetText

/// The finished matrices of a run, each on the disk before the next is begun.
///
/// A matrix is one safetensors file in `parts` with its record and a digest in `__metadata__`. A complete
/// file is the entry of the journal; there is no separate list of entries. Every file carries a digest of the
/// run's fingerprint, so that one of another run is never used.
package struct Journal {
  /// The folder.
  package let output: OutputFolder
  /// Whether an earlier run is being resumed.
  package let isResumed: Bool
  /// The digest of the fingerprint.
  package let run: String
  /// The names of the matrices whose files were incomplete, damaged or of another run, and were removed.
  package private(set) var refusedParts: [String] = []
  /// The seconds that matrices took, by name, for those that were read or recorded with this journal.
  package private(set) var seconds: [String: Double] = [:]

  /// Begins a run in `output`, or resumes the one that is there.
  ///
  /// - Throws: `JournalError`.
  package init(
    _ output: OutputFolder, fingerprint: Fingerprint, resume: ResumeMode = .auto
  ) throws(JournalError) {
    self.output = output
    run = fingerprint.runDigest
    let exists = fileExists(output.fingerprintPath)
    isResumed = exists && resume != .never
    if isResumed {
      let recorded = try Self.recordedFingerprint(output)
      let differences = fingerprint.differences(from: recorded)
      guard differences.isEmpty else {
        throw .mismatch(path: output.path, differences: differences)
      }
    } else {
      guard resume != .required else { throw .nothingToResume(path: output.path) }
      guard !exists || output.force else { throw .runExists(path: output.path) }
    }
    try wrapping(JournalError.file) { [isResumed] () throws(FileError) in
      try Self.prepare(output, fingerprint, isResumed: isResumed)
    }
  }

  private static func recordedFingerprint(
    _ output: OutputFolder
  ) throws(JournalError) -> Fingerprint {
    let path = output.fingerprintPath
    let recorded = try wrapping(JournalError.file) { () throws(FileError) in
      try Fingerprint(contentsOf: path)
    }
    guard let recorded else { throw .damaged(path: path) }
    return recorded
  }

  private static func prepare(
    _ output: OutputFolder, _ fingerprint: Fingerprint, isResumed: Bool
  ) throws(FileError) {
    let operations = output.operations
    if !isResumed {
      // Removed first: without a fingerprint, what is left after a failure does not count as a run.
      try operations.remove(output.fingerprintPath)
      for name in try listFolder(output.statePath) where name != "lock" {
        try operations.removeTree("\(output.statePath)/\(name)")
      }
    }
    try operations.makeFolders(output.partsPath)
    for folder in [output.statePath, output.partsPath] {
      for name in try listFolder(folder) where name.hasSuffix(AtomicFile.temporarySuffix) {
        try operations.removeTree("\(folder)/\(name)")
      }
    }
    try operations.synchronizeFolder(output.statePath)
    try operations.synchronizeFolder(output.path)
    if !isResumed {
      try AtomicFile.write(
        Array(fingerprint.json.indentedText.utf8), to: output.fingerprintPath,
        operations: operations)
    }
  }

  // MARK: - Matrices

  /// The compressed matrix called `name`, or nil when it has to be computed.
  ///
  /// Its tensors are views of the mapped file. A file that is incomplete, damaged or of another run is removed
  /// and listed in `refusedParts`.
  ///
  /// - Throws: `JournalError` when the file is there but cannot be read or removed.
  /// - Complexity: O(bytes): the digest is computed.
  package mutating func completed(_ name: String) throws(JournalError) -> CompressedLinear? {
    let path = partPath(name)
    guard fileExists(path) else { return nil }
    do throws(SafeTensorsError) {
      if let part = JournalPart(try SafeTensorsFile(contentsOf: path), name: name, run: run) {
        seconds[name] = part.seconds
        return part.linear
      }
    } catch {
      if case .file(let error) = error { throw .file(error) }
    }
    refusedParts.append(name)
    try wrapping(JournalError.file) { () throws(FileError) in
      try output.operations.remove(path)
    }
    return nil
  }

  /// Writes a finished matrix; when this returns it is on the disk.
  ///
  /// - Parameters:
  ///   - linear: The matrix.
  ///   - seconds: The time that it took.
  /// - Throws: `JournalError` when the file cannot be written.
  package mutating func record(
    _ linear: CompressedLinear, seconds: Double = 0
  ) throws(JournalError) {
    let part = JournalPart(linear: linear, seconds: seconds, run: run)
    try wrapping(JournalError.safeTensors) { () throws(SafeTensorsError) in
      _ = try SafeTensorsWriter.write(
        linear.tensors, metadata: part.metadata, to: partPath(linear.record.name),
        operations: output.operations)
    }
    self.seconds[linear.record.name] = seconds
  }

  /// The path of the file of a matrix.
  package func partPath(_ name: String) -> String { Self.partPath(name, in: output.path) }

  /// The path of the file of a matrix in the output at `path`.
  ///
  /// All bytes of the name but letters, digits, "." and "_" are escaped.
  static func partPath(_ name: String, in path: String) -> String {
    let digits = Array("0123456789abcdef".utf8)
    var escaped: [UInt8] = []
    for byte in name.utf8 {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"):
        escaped.append(byte)
      default: escaped += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      }
    }
    let fileName = String(decoding: escaped, as: UTF8.self)
    return "\(OutputFolder.partsPath(in: path))/\(fileName).safetensors"
  }

  // MARK: - Hidden states

  /// A kind of residual stream that is saved.
  package enum Stream: String, Sendable, CaseIterable {
    /// The streams that the inputs of later layers are computed from.
    case hidden
    /// The streams of the original model, where matrices are corrected.
    case original
  }

  /// The path of the file for the residual streams before `layer`.
  package func hiddenStatesPath(layer: Int, of stream: Stream = .hidden) -> String {
    Self.hiddenStatesPath(layer: layer, of: stream, in: output.path)
  }

  /// The path of the file for the residual streams before `layer` in the output at `path`.
  static func hiddenStatesPath(
    layer: Int, of stream: Stream = .hidden, in path: String
  ) -> String {
    "\(OutputFolder.statePath(in: path))/\(stream.rawValue)-\(layer)"
  }

  /// The last layer for which this run has saved hidden states, or nil.
  ///
  /// The streams of the original model are saved before them, so those are there too.
  package func lastHiddenStates() throws(JournalError) -> Int? {
    try wrapping(JournalError.file) { () throws(FileError) in
      for layer in try layers(of: .hidden).sorted(by: >)
      where try HiddenStates.wereSaved(at: hiddenStatesPath(layer: layer), by: run) {
        return layer
      }
      return nil
    }
  }

  /// Removes the saved streams of all layers before `layer`, except those of `kept` layers.
  package func removeHiddenStates(
    before layer: Int, except kept: [Int] = []
  ) throws(JournalError) {
    try wrapping(JournalError.file) { () throws(FileError) in
      for stream in Stream.allCases {
        for old in try layers(of: stream) where old < layer && !kept.contains(old) {
          try output.operations.remove(hiddenStatesPath(layer: old, of: stream))
        }
      }
    }
  }

  private func layers(of stream: Stream) throws(FileError) -> [Int] {
    let prefix = "\(stream.rawValue)-"
    return try listFolder(output.statePath).compactMap { name in
      name.hasPrefix(prefix) ? Int(name.dropFirst(prefix.count)) : nil
    }
  }
}
