internal import DuetRuntime
internal import DuetSystem

/// A part that another run has left, or is still making, read without changing anything.
struct StoredPart {
  /// What is there, or why there is nothing to use.
  enum Contents {
    /// The layers of the part, and its matrices.
    case complete(layers: Range<Int>, [String: JournalPart])
    case incomplete(PartError.State)
  }

  let number: PartNumber
  let contents: Contents

  /// Reads a part.
  ///
  /// - Parameters:
  ///   - number: Which part.
  ///   - folders: The folders of the parts.
  ///   - run: The fingerprint of the whole run.
  ///   - names: The names of all matrices of a part with these layers.
  /// - Throws: `PartError.file`, and what `names` throws.
  /// - Complexity: O(bytes): the digests are computed.
  init(
    _ number: PartNumber, in folders: PartFolders, of run: Fingerprint,
    names: (ModelPart) throws -> [String]
  ) throws {
    self.number = number
    let folder = folders.part(number)
    let path = OutputFolder.fingerprintPath(in: folder)
    guard fileExists(path) else {
      contents = .incomplete(.missing)
      return
    }
    guard let recorded = try Fingerprint(contentsOf: path) else {
      contents = .incomplete(.damaged)
      return
    }
    // What an unknown range of layers differs in is found like any other difference.
    let part = ModelPart(number: number, layers: recorded.partLayers ?? 0..<1)
    let expected = run.of(part)
    let differences = expected.differences(from: recorded)
    guard differences.isEmpty else {
      contents = .incomplete(.foreign(differences))
      return
    }
    let names = try names(part)
    var found: [String: JournalPart] = [:]
    for name in names {
      let path = Journal.partPath(name, in: folder)
      guard fileExists(path) else { continue }
      do throws(SafeTensorsError) {
        let file = try SafeTensorsFile(contentsOf: path)
        found[name] = JournalPart(file, name: name, run: expected.runDigest)
      } catch {
        if case .file(let error) = error { throw PartError.file(error) }
      }
    }
    contents =
      found.count == names.count
      ? .complete(layers: part.layers, found)
      : .incomplete(.unfinished(done: found.count, count: names.count))
  }
}
