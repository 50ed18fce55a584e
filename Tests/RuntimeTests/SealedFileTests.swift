import DuetSystem
import TestSupport
import Testing

@Suite("Files with a checksum")
struct SealedFileTests {
  private let folder: TemporaryFolder
  private let mark = "a mark of 16 byt"
  private var path: String { "\(folder.path)/file" }

  init() throws { folder = try TemporaryFolder() }

  private func write(_ pieces: [[UInt8]]) throws {
    var file = try SealedFileWriter(
      path: path, mark: mark, byteCount: pieces.reduce(0) { $0 + $1.count })
    for piece in pieces { try file.append(piece) }
    try file.commit()
  }

  @Test("contents of any size come back", arguments: [0, 1, 63, 64, 65, 1000])
  func comesBack(count: Int) throws {
    let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 * 37) }
    try write([Array(bytes.prefix(count / 3)), Array(bytes.dropFirst(count / 3))])
    let file = try SealedFile(contentsOf: path, mark: mark)
    #expect(file.byteCount == count)
    #expect(file.bytes(0..<count) == bytes)
    #expect(file.prefix(10) == Array(bytes.prefix(10)))
    #expect(file.contents.byteCount == count)
    #expect(try folder.read("file").count == 16 + count + 32)
    let few = min(count, 5)
    #expect(
      try SealedFile.uncheckedPrefix(few, of: path, mark: mark) == Array(bytes.prefix(few)))
    #expect(try SealedFile.uncheckedPrefix(count + 1, of: path, mark: mark) == nil)
  }

  @Test("the checksum is SHA-256 of all before it")
  func checksum() throws {
    try write([Array("contents".utf8)])
    let bytes = try folder.read("file")
    // By Python's hashlib, of "a mark of 16 bytcontents".
    #expect(
      SHA256.hexadecimal(Array(bytes.suffix(32)))
        == "099863fe174106f43b8d065986dcb3c1b0ca79343bf85e2957c3cb7e0717bf98")
  }

  @Test("every changed byte and every cut is noticed")
  func damaged() throws {
    try write([Array("contents".utf8)])
    let whole = try folder.read("file")
    for place in whole.indices {
      var changed = whole
      changed[place] ^= 0x10
      try folder.write("file", changed)
      let expected: SealedFileError =
        place < 16 ? .otherKind(path: path) : .damaged(path: path)
      #expect(throws: expected) { try SealedFile(contentsOf: path, mark: mark) }
    }
    for count in whole.indices {
      try folder.write("file", Array(whole.prefix(count)))
      let expected: SealedFileError =
        count < 16 ? .otherKind(path: path) : .damaged(path: path)
      #expect(throws: expected) { try SealedFile(contentsOf: path, mark: mark) }
    }
    #expect(throws: SealedFileError.file(.notFound(path: "\(path)-not"))) {
      try SealedFile(contentsOf: "\(path)-not", mark: mark)
    }
  }

  @Test("nothing remains of a file that is not committed")
  func notCommitted() throws {
    do {
      var file = try SealedFileWriter(path: path, mark: mark, byteCount: 3)
      try file.append([1, 2, 3])
    }
    #expect(try folder.names() == [])
  }
}
