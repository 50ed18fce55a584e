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

/// The contents of the `SealedFile`, little-endian: three sizes of 8 bytes, 24 bytes of the name of the run, the states
/// as F32.
extension HiddenStates {
  private static let mark = "duet states v01\n"
  private static let headerByteCount = 48
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
    let header = header(run)
    let byteCount = header.count + Self.byteCount(sampleCount, contextLength, hiddenSize)
    var target = try SealedFileWriter(
      path: path, mark: Self.mark, byteCount: byteCount, operations: operations)
    try target.append(header)
    var hidden = Buffer<Float>(count: sampleSize)
    for sample in 0..<sampleCount {
      try read(sample, into: &hidden)
      try unsafe target.append(hidden.span.bytes)
    }
    try target.commit()
  }

  /// Whether the file at `path` names the run `run`; false for a file that is damaged at its start.
  package static func wereSaved(at path: String, by run: String) throws(FileError) -> Bool {
    let found = try SealedFile.uncheckedPrefix(headerByteCount, of: path, mark: mark)
    return found?.suffix(runByteCount) == runBytes(run)[...]
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
    let file: SealedFile
    do throws(SealedFileError) {
      file = try SealedFile(contentsOf: path, mark: mark)
    } catch {
      if case .file(let error) = error { throw .file(error) }
      throw .damaged(path: path)
    }
    let header = file.prefix(headerByteCount)
    guard header.count == headerByteCount, header.suffix(runByteCount) == runBytes(run)[...]
    else { throw .damaged(path: path) }
    let (expected, actual) = ([sampleCount, contextLength, hiddenSize], sizes(header))
    guard actual == expected else {
      throw .shapeMismatch(path: path, expected: expected, actual: actual)
    }
    guard file.byteCount == header.count + byteCount(sampleCount, contextLength, hiddenSize) else {
      throw .damaged(path: path)
    }
    do throws(FileError) {
      var states = try HiddenStates(
        sampleCount: sampleCount, contextLength: contextLength, hiddenSize: hiddenSize,
        memoryLimit: memoryLimit, folder: folder)
      try states.load(file.contents.extracting(droppingFirst: header.count))
      return states
    } catch {
      throw .file(error)
    }
  }

  /// Takes the states from the bytes of a file.
  private mutating func load(_ bytes: RawSpan) throws(FileError) {
    let hidden = Buffer<Float>(count: sampleSize)
    let byteCount = sampleSize * MemoryLayout<Float>.stride
    for sample in 0..<sampleCount {
      unsafe bytes.extracting(sample * byteCount..<(sample + 1) * byteCount).withUnsafeBytes {
        unsafe UnsafeMutableRawBufferPointer(start: hidden.pointer, count: byteCount)
          .copyMemory(from: $0)
      }
      try write(sample, from: hidden)
    }
  }

  private func header(_ run: String) -> [UInt8] {
    var result: [UInt8] = []
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
      (0..<8).reduce(0) { $0 | Int(header[8 * index + $1]) << (8 * $1) }
    }
  }
}
