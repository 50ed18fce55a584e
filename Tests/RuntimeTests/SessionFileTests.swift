import DuetRuntime
import DuetSystem
import TestSupport
import Testing

@Suite("Sessions in files")
struct SessionFileTests {
  private let folder: TemporaryFolder
  private let model: Model
  private var path: String { "\(folder.path)/session" }

  init() throws {
    folder = try TemporaryFolder()
    try TinyCheckpoint(ModelTests.tiny()).write(to: folder)
    model = try Model(contentsOf: folder.path)
  }

  private func session(
    _ type: KVCacheType = .f16, contextLength: Int = 60, activations: ActivationType = .int8
  ) throws -> Session {
    try Session(
      model,
      options: SessionOptions(
        contextLength: contextLength, threadCount: 1, cacheType: type, activations: activations))
  }

  private func tokens(_ count: Int) -> [Int] { (0..<count).map { ($0 * 13 + 5) % 50 } }

  private func logits(_ session: borrowing Session) -> [Float] {
    (0..<50).map { session.logits[$0] }
  }

  @Test("a session continues as if it had never ended", arguments: KVCacheType.allCases)
  func continues(type: KVCacheType) throws {
    // Around the size of a block of keys, and another capacity than the session had.
    for count in [0, 1, 15, 16, 17, 32, 45] {
      var first = try session(type)
      try first.append(tokens(count))
      try first.save(to: path, tokens: tokens(count), note: [7, 0, 255])
      let file = try SessionFile(contentsOf: path)
      #expect(file.tokens == tokens(count))
      #expect(file.note == [7, 0, 255])
      var second = try session(type, contextLength: 100)
      try second.append([1, 2, 3])
      try second.restore(file)
      #expect(second.position == count)
      for next in [[9], [3, 4, 5, 6], [49]] {
        try first.append(next)
        try second.append(next)
        // The same numbers in the same order of operations.
        #expect(logits(first) == logits(second), "\(count) tokens")
      }
    }
  }

  @Test("the last token of a session gives its logits again")
  func lastTokenAgain() throws {
    var first = try session()
    try first.append(tokens(20))
    try first.save(to: path, tokens: tokens(20))
    var second = try session()
    try second.restore(try SessionFile(contentsOf: path))
    second.truncate(to: 19)
    try second.append(tokens(20)[19])
    // The session that was saved does the same.
    first.truncate(to: 19)
    try first.append(tokens(20)[19])
    #expect(logits(first) == logits(second))
  }

  @Test("a session of another model or of other options is refused, and nothing changes")
  func otherModel() throws {
    var first = try session()
    try first.append(tokens(10))
    try first.save(to: path, tokens: tokens(10))
    let file = try SessionFile(contentsOf: path)
    var other = try session(.f32)
    #expect(throws: SessionFileError.otherModel(path: path)) { try other.restore(file) }
    #expect(other.position == 0)
    var decoded = try session(activations: .f32)
    #expect(throws: SessionFileError.otherModel(path: path)) { try decoded.restore(file) }
    var short = try session(contextLength: 9)
    #expect(
      throws: SessionFileError.contextTooShort(path: path, tokenCount: 10, contextLength: 9)
    ) { try short.restore(file) }

    let twin = try TemporaryFolder()
    var checkpoint = TinyCheckpoint(ModelTests.tiny())
    checkpoint.tensors["model.norm.weight"]?.values[3] += 0.25
    try checkpoint.write(to: twin)
    var changed = try Session(
      try Model(contentsOf: twin.path), options: SessionOptions(contextLength: 60))
    #expect(throws: SessionFileError.otherModel(path: path)) { try changed.restore(file) }
  }

  @Test("damaged, cut and foreign files are refused, and so are sizes that do not fit")
  func damagedFiles() throws {
    var first = try session()
    try first.append(tokens(10))
    try first.save(to: path, tokens: tokens(10), note: [1, 2])
    let whole = try folder.read("session")
    for place in stride(from: 16, to: whole.count, by: 97) {
      var changed = whole
      changed[place] ^= 4
      try folder.write("session", changed)
      #expect(throws: SessionFileError.damaged(path: path)) { try SessionFile(contentsOf: path) }
    }
    for count in [16, 47, 60, whole.count - 1] {
      try folder.write("session", Array(whole.prefix(count)))
      #expect(throws: SessionFileError.damaged(path: path)) { try SessionFile(contentsOf: path) }
    }
    try folder.write("session", "a text, which is no session")
    #expect(throws: SessionFileError.otherKind(path: path)) { try SessionFile(contentsOf: path) }
    #expect(!SessionFile.isSession(path))

    // With a checksum that fits: sizes beyond the file, a token beyond the vocabulary, keys that are missing.
    func sealed(_ change: (inout [UInt8]) -> Void) throws -> SessionFile {
      var contents = Array(whole[16..<whole.count - 32])
      change(&contents)
      var file = try SealedFileWriter(
        path: path, mark: "duet session 1\n\n", byteCount: contents.count)
      try file.append(contents)
      try file.commit()
      return try SessionFile(contentsOf: path)
    }
    for place in [32, 39, 40, 47] {
      #expect(throws: SessionFileError.damaged(path: path)) {
        let file = try sealed { $0[place] = 0xFF }
        var session = try self.session()
        try session.restore(file)
      }
    }
    #expect(throws: SessionFileError.damaged(path: path)) {
      let file = try sealed { $0[48 + 2 + 4] = 50 }
      var session = try self.session()
      try session.restore(file)
    }
    #expect(throws: SessionFileError.damaged(path: path)) {
      let file = try sealed { $0.removeLast() }
      var session = try self.session()
      try session.restore(file)
    }
    let file = try sealed { _ in }
    var session = try self.session()
    try session.restore(file)
    #expect(session.position == 10)
  }

  @Test("a file is private, and replaced as a whole")
  func privateFile() throws {
    var session = try self.session()
    try session.append(tokens(5))
    try session.save(to: path, tokens: tokens(5))
    try session.append(tokens(3))
    try session.save(to: path, tokens: tokens(5) + tokens(3))
    #expect(try SessionFile(contentsOf: path).tokens == tokens(5) + tokens(3))
    let entries = try folder.names()
    #expect(entries.filter { $0.hasPrefix("session") } == ["session"])
    #expect(try folder.permissions("session") == 0o600)
    #expect(throws: SessionFileError.self) {
      try session.save(to: "\(folder.path)/none/session", tokens: tokens(5) + tokens(3))
    }
  }
}
