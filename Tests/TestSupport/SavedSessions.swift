import DuetRuntime
import DuetSystem
import Foundation

/// Sessions of a tiny model in files, to damage.
///
/// An input is a byte that chooses the type of the cache, then the contents of the file; its mark and its checksum are
/// added, because otherwise hardly any changed file would be read beyond them.
package final class SavedSessions {
  private let folder: TemporaryFolder
  private let model: Model
  private var path: String { "\(folder.path)/session" }

  private static let mark = "duet session 1\n\n"
  private static let tokenCount = 18

  package init() throws {
    folder = try TemporaryFolder()
    let configuration = Configuration(
      hiddenSize: 8, intermediateSize: 16, layerCount: 1, headCount: 2, keyValueHeadCount: 1,
      headSize: 4, vocabularySize: 20, contextLength: 64)
    try TinyCheckpoint(configuration).write(to: folder)
    model = try Model(contentsOf: folder.path)
  }

  private func session(_ selector: UInt8) throws -> Session {
    let types = KVCacheType.allCases
    return try Session(
      model,
      options: SessionOptions(
        contextLength: Self.tokenCount + 4, threadCount: 1,
        cacheType: types[Int(selector) % types.count]))
  }

  /// A good input for each type of cache.
  package func examples() throws -> [[UInt8]] {
    try KVCacheType.allCases.indices.map { index in
      var session = try session(UInt8(index))
      let tokens = (0..<Self.tokenCount).map { ($0 * 7 + index) % 20 }
      try session.append(tokens)
      try session.save(to: path, tokens: tokens, note: Array(#"{"messages":[]}"#.utf8))
      let bytes = try readFile(path, limit: 1 << 20)
      return [UInt8(index)] + bytes[16..<bytes.count - 32]
    }
  }

  /// Opens an input, becomes its session, and evaluates its last token again.
  package func read(_ input: [UInt8]) throws {
    let contents = Array(input.dropFirst())
    var file = try SealedFileWriter(path: path, mark: Self.mark, byteCount: contents.count)
    try file.append(contents)
    try file.commit()
    let saved = try SessionFile(contentsOf: path)
    var session = try session(input.first ?? 0)
    try session.restore(saved)
    precondition(session.position == saved.tokens.count)
    guard let last = saved.tokens.last else { return }
    session.truncate(to: saved.tokens.count - 1)
    try session.append(last)
  }
}
