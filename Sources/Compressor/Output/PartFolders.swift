internal import DuetSystem

/// The folders in which the parts of a model are compressed, beside its output.
///
///     OUT.parts/2-of-6          the second of six parts
///     OUT.parts/states-2-of-6   the second share of the states that six parts begin with
///
/// Each is an `OutputFolder` of its own, with a lock and a journal, so that no file is written by two parts.
struct PartFolders {
  /// OUT.parts.
  let path: String

  /// The folders of the parts of `output`.
  ///
  /// - Throws: `PartError.noName` for "/", "." and the like, beside which no folder can be named after them.
  init(of output: String) throws(PartError) {
    var bytes = Array(output.utf8)
    while bytes.count > 1, bytes.last == UInt8(ascii: "/") { bytes.removeLast() }
    let name = String(decoding: bytes, as: UTF8.self)
    guard let last = name.split(separator: "/").last, last != ".", last != ".." else {
      throw .noName(path: output)
    }
    path = "\(name).parts"
  }

  /// The folder of a part.
  func part(_ number: PartNumber) -> String { "\(path)/\(number.index)-of-\(number.count)" }

  /// The folder of a share of the states.
  func states(_ number: PartNumber) -> String {
    "\(path)/states-\(number.index)-of-\(number.count)"
  }

  /// The number of parts that the model is divided into, by the names of the folders.
  ///
  /// - Throws: `PartError.none` when there are no parts, `.severalDivisions` when there are parts of different
  ///   divisions, `.file` when the folder cannot be read.
  func count() throws(PartError) -> Int {
    guard fileExists(path) else { throw .none(path: path) }
    let names = try wrapping(PartError.file) { () throws(FileError) in try listFolder(path) }
    let counts = Set(
      names.compactMap { name -> Int? in
        let words = name.split(separator: "-", omittingEmptySubsequences: false)
        guard words.count == 3, words[1] == "of", let index = Int(words[0]),
          let count = Int(words[2]), PartNumber(index, of: count) != nil
        else { return nil }
        return count
      })
    guard let count = counts.first else { throw .none(path: path) }
    guard counts.count == 1 else {
      throw .severalDivisions(path: path, counts: counts.sorted())
    }
    return count
  }
}
