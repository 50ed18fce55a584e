internal import DuetSystem

extension Session {
  /// Saves the evaluated tokens with their keys and values; the file appears complete or not at all.
  ///
  /// Only its owner can read it.
  ///
  /// - Parameters:
  ///   - path: The file; one that is there is replaced.
  ///   - tokens: The tokens that were evaluated, as many as `position`.
  ///   - note: What is to be kept with them.
  /// - Throws: `SessionFileError`.
  /// - Complexity: O(bytes of the keys and values).
  public borrowing func save(
    to path: String, tokens: [Int], note: [UInt8] = []
  ) throws(SessionFileError) {
    precondition(tokens.count == position, "\(tokens.count) tokens at position \(position)")
    let header = SessionFile.header(run: try run(), note: note, tokens: tokens)
    let byteCount = header.count + cacheByteCount(positionCount: position)
    do throws(FileError) {
      var file = try SealedFileWriter(
        path: path, mark: SessionFile.mark, byteCount: byteCount, isPrivate: true)
      try file.append(header)
      try saveCache(to: &file)
      try file.commit()
    } catch {
      throw .file(error)
    }
  }

  /// Becomes the session that was saved: its tokens are evaluated.
  ///
  /// The logits after the last token are not saved. For them truncate by one token and append it again.
  ///
  /// - Throws: `SessionFileError`; the session is then as before.
  /// - Complexity: O(bytes of the keys and values).
  public mutating func restore(_ file: SessionFile) throws(SessionFileError) {
    guard file.run == (try run()) else { throw .otherModel(path: file.path) }
    let count = file.tokens.count
    let vocabularySize = model.configuration.vocabularySize
    guard file.cache.byteCount == cacheByteCount(positionCount: count),
      file.tokens.allSatisfy({ $0 >= 0 && $0 < vocabularySize })
    else { throw .damaged(path: file.path) }
    guard count <= contextLength else {
      throw .contextTooShort(path: file.path, tokenCount: count, contextLength: contextLength)
    }
    restoreCache(positionCount: count, from: file.cache)
  }

  /// A digest of the model and of how it runs.
  private borrowing func run() throws(SessionFileError) -> [UInt8] {
    let identity: String
    do {
      identity = try model.checkpoint.identity()
    } catch let error as FileError {
      throw .file(error)
    } catch let error as CheckpointError {
      throw .model(error)
    } catch {
      preconditionFailure("an identity fails with \(error)")
    }
    var hash = SHA256()
    hash.update(Array("\(identity) \(cacheType.rawValue) \(activationType.rawValue)".utf8).span)
    return hash.finalized()
  }
}
