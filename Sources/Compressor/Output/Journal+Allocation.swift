internal import DuetSystem
internal import DuetText

/// The record of the ranks that a run has chosen; a resumed run must use the same ranks.
extension Journal {
  /// The ranks by the names of the matrices, or nil when they are not chosen, or when their file is damaged
  /// or of another run.
  ///
  /// - Throws: `JournalError` when the file is there but cannot be read.
  func allocation() throws(JournalError) -> [String: Int]? {
    let path = output.allocationPath
    guard fileExists(path) else { return nil }
    do throws(JSONError) {
      let document = try JSONDocument(contentsOf: path, limits: JSONLimits(byteCount: 16_000_000))
      guard document.root["run"]?.string == run, let members = document.root["ranks"]?.members
      else { return nil }
      var ranks: [String: Int] = [:]
      for member in members {
        guard let rank = member.value.int, rank >= 0 else { return nil }
        ranks[member.name] = rank
      }
      return ranks
    } catch {
      if case .file(let error) = error { throw .file(error) }
      return nil
    }
  }

  /// Writes the ranks; when this returns they are on the disk.
  ///
  /// - Throws: `JournalError`.
  func record(allocation ranks: [String: Int]) throws(JournalError) {
    let members = ranks.sorted { $0.key < $1.key }.map {
      JSONOutput.Member($0.key, .integer($0.value))
    }
    let document: JSONOutput = ["run": .string(run), "ranks": .object(members)]
    try wrapping(JournalError.file) { () throws(FileError) in
      try AtomicFile.write(
        Array(document.indentedText.utf8), to: output.allocationPath,
        operations: output.operations)
    }
  }
}
