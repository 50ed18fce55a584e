internal import DuetSystem
internal import DuetText

extension Checkpoint {
  /// The name of the file that records checksums: the report of the compressor.
  package static let checksumRecordName = "compression_report.json"

  /// The largest record that is read, in bytes.
  ///
  /// A report holds some 3 kB for each matrix; the 560 of the largest Llama-2 need 2 MB.
  private static let recordLimits = JSONLimits(byteCount: 64_000_000)

  /// Compares the SHA-256 of every file of weights with the one in the folder's record.
  ///
  /// The record must name exactly the files of the weights. config.json and the tokenizer are not
  /// checked.
  ///
  /// - Returns: The number of files compared.
  /// - Throws: `ChecksumError`.
  /// - Complexity: O(bytes of the weights), all of which are read.
  public func verifyChecksums() throws(ChecksumError) -> Int {
    let path = "\(folder)/\(Self.checksumRecordName)"
    let recorded = try recordedChecksums(path)
    let weights = files
    for file in weights {
      let name = Self.name(of: file)
      guard let expected = recorded.first(where: { $0.name.utf8.elementsEqual(name.utf8) }) else {
        throw .notRecorded(path: path, file: name)
      }
      var hash = SHA256()
      hash.update(file.bytes)
      let actual = SHA256.hexadecimal(hash.finalized())
      guard expected.digest == actual else {
        throw .mismatch(path: file.path, recorded: expected.digest, actual: actual)
      }
    }
    let names = weights.map(Self.name)
    for entry in recorded where !names.contains(where: { $0.utf8.elementsEqual(entry.name.utf8) }) {
      throw .notThere(path: path, file: entry.name)
    }
    return weights.count
  }

  /// The names and digests of the record at `path`.
  private func recordedChecksums(
    _ path: String
  ) throws(ChecksumError) -> [(name: String, digest: String)] {
    let document: JSONDocument
    do throws(JSONError) {
      document = try JSONDocument(contentsOf: path, limits: Self.recordLimits)
    } catch {
      switch error {
      case .file(.notFound): throw .noRecord(folder: folder)
      case .file(let error): throw .file(error)
      default: throw .recordNotJSON(error)
      }
    }
    guard let members = document.root["sha256"]?.members else {
      throw .malformedRecord(path: path, problem: "\"sha256\" is missing or not an object")
    }
    var result: [(name: String, digest: String)] = []
    for member in members {
      guard let digest = member.value.string else {
        throw .malformedRecord(
          path: path, problem: "the checksum of \"\(printable(member.name))\" is not a string")
      }
      result.append((member.name, digest))
    }
    return result
  }

  /// The name of a file inside its folder.
  private static func name(of file: MappedFile) -> String {
    file.path.split(separator: "/").last.map(String.init) ?? file.path
  }
}
