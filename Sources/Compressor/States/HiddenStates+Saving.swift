package import DuetSystem

/// A reason why saved hidden states could not be restored.
package enum HiddenStatesError: DuetError, Equatable {
  /// The file could not be read, or the restored states could not be stored.
  case file(FileError)
  /// The file was not written by `HiddenStates.save(to:)`, or is incomplete, or was changed since.
  case damaged(path: String)
  /// The saved states have other sizes: sampleCount, contextLength, hiddenSize.
  case shapeMismatch(path: String, expected: [Int], actual: [Int])

  /// The kind of trouble, for the exit code.
  package var category: FailureCategory {
    if case .file(let error) = self { error.category } else { .refusedData }
  }

  /// One sentence that names the file and what is wrong.
  package var description: String {
    switch self {
    case .file(let error): error.description
    case .damaged(let path):
      "\(printable(path)): the saved activations are incomplete or damaged; delete the file"
    case .shapeMismatch(let path, let expected, let actual):
      "\(printable(path)): the saved activations are of size \(actual), not \(expected); "
        + "they belong to another model or calibration"
    }
  }
}

/// The file format: a header of 64 bytes (a mark of 16 bytes, three sizes of 8 bytes, 24 bytes of the name of
/// the run), the states as F32, and the SHA-256 digest of everything before it; all little-endian.
extension HiddenStates {
  private static let mark = Array("duet states v01\n".utf8)
  private static let headerByteCount = 64
  private static let digestByteCount = 32
  private static let runByteCount = 24

  /// Saves the states at `path`; the file appears there only when it is complete and on the disk.
  ///
  /// - Parameters:
  ///   - path: The file.
  ///   - run: The name of the run, such as the digest of its fingerprint; its first 24 bytes are kept.
  ///   - operations: The operations that write.
  /// - Throws: `FileError`.
  /// - Complexity: O(bytes), for the digest and for writing.
  package func save(
    to path: String, run: String = "", operations: FileOperations = .system
  ) throws(FileError) {
    var target = try AtomicFile(path: path, operations: operations)
    var hash = SHA256()
    let header = header(run)
    hash.update(header.span)
    try target.append(header)
    var hidden = Buffer<Float>(count: sampleSize)
    for sample in 0..<sampleCount {
      try read(sample, into: &hidden)
      hash.update(hidden.span)
      try unsafe target.append(hidden.span.bytes)
    }
    try target.append(hash.finalized())
    try target.commit()
  }

  /// Whether the file at `path` names the run `run`; false for a file that is damaged at its start.
  package static func wereSaved(at path: String, by run: String) throws(FileError) -> Bool {
    let file = try HiddenStatesFile(contentsOf: path)
    guard file.byteCount > headerByteCount else { return false }
    var found = [UInt8](repeating: 0, count: headerByteCount)
    try file.read(&found, at: 0)
    return found.starts(with: mark) && Array(found.suffix(runByteCount)) == runBytes(run)
  }

  /// Restores the states that `save` has saved.
  ///
  /// - Parameters:
  ///   - path: The file.
  ///   - sampleCount: The expected number of samples.
  ///   - contextLength: The expected number of tokens of each sample.
  ///   - hiddenSize: The expected number of values for each token.
  ///   - memoryLimit: The most bytes that are held in memory.
  ///   - folder: Where a temporary file is made for the restored states when they are larger.
  ///   - run: The name that they were saved with.
  /// - Returns: The states as they were.
  /// - Throws: `HiddenStatesError`.
  package static func restored(
    from path: String, sampleCount: Int, contextLength: Int, hiddenSize: Int, memoryLimit: Int,
    folder: String, run: String = ""
  ) throws(HiddenStatesError) -> HiddenStates {
    let problem: HiddenStatesError
    do throws(FileError) {
      var states = try HiddenStates(
        sampleCount: sampleCount, contextLength: contextLength, hiddenSize: hiddenSize,
        memoryLimit: memoryLimit, folder: folder)
      guard let found = try states.load(path, run) else { return states }
      problem = found
    } catch {
      problem = .file(error)
    }
    throw problem
  }

  /// Reads the states of a file, and returns what is wrong with its contents.
  private mutating func load(
    _ path: String, _ run: String
  ) throws(FileError) -> HiddenStatesError? {
    let file = try HiddenStatesFile(contentsOf: path)
    guard file.byteCount > Self.headerByteCount + Self.digestByteCount else {
      return .damaged(path: path)
    }
    var found = [UInt8](repeating: 0, count: Self.headerByteCount)
    try file.read(&found, at: 0)
    guard found.starts(with: Self.mark), found.suffix(Self.runByteCount) == Self.runBytes(run)[...]
    else { return .damaged(path: path) }
    if found != header(run) {
      return .shapeMismatch(
        path: path, expected: [sampleCount, contextLength, hiddenSize], actual: Self.sizes(found))
    }
    let end = found.count + Self.byteCount(sampleCount, contextLength, hiddenSize)
    guard file.byteCount == end + Self.digestByteCount else { return .damaged(path: path) }
    var hash = SHA256()
    hash.update(found.span)
    var hidden = Buffer<Float>(count: sampleSize)
    for sample in 0..<sampleCount {
      let place = found.count + sample * sampleSize * MemoryLayout<Float>.stride
      try file.read(&hidden, count: sampleSize, at: place)
      hash.update(hidden.span)
      try write(sample, from: hidden)
    }
    var digest = [UInt8](repeating: 0, count: Self.digestByteCount)
    try file.read(&digest, at: end)
    return digest == hash.finalized() ? nil : .damaged(path: path)
  }

  private func header(_ run: String) -> [UInt8] {
    var result = Self.mark
    for size in [sampleCount, contextLength, hiddenSize] {
      result += (0..<8).map { UInt8(truncatingIfNeeded: size >> (8 * $0)) }
    }
    return result + Self.runBytes(run)
  }

  private static func runBytes(_ run: String) -> [UInt8] {
    let bytes = Array(run.utf8.prefix(runByteCount))
    return bytes + [UInt8](repeating: 0, count: runByteCount - bytes.count)
  }

  /// The sizes in a header.
  private static func sizes(_ header: [UInt8]) -> [Int] {
    (0..<3).map { index in
      (0..<8).reduce(0) { $0 | Int(header[mark.count + 8 * index + $1]) << (8 * $1) }
    }
  }
}

extension SHA256 {
  /// Adds the bytes of `numbers`, as they lie in memory.
  fileprivate mutating func update(_ numbers: Span<Float>) {
    unsafe numbers.withUnsafeBytes { bytes in
      unsafe update(Span(_unsafeElements: bytes.bindMemory(to: UInt8.self)))
    }
  }
}
