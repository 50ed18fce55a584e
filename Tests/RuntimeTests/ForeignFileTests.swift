import DuetRuntime
import DuetSystem
import Foundation
import TestSupport
import Testing

/// Files that are given in place of others, by the bytes they begin with.
@Suite("Files of other kinds")
struct ForeignFileTests {
  static let pointer = Array(
    "version https://git-lfs.github.com/spec/v1\noid sha256:\(String(repeating: "0", count: 64))\nsize 9\n"
      .utf8)

  /// The signatures of the formats' own descriptions, each followed by a few bytes.
  static let examples: [(kind: ForeignFile, start: [UInt8], words: String)] = [
    (
      .gitPointer, pointer,
      "Git LFS pointer, not the file itself; fetch the file with 'git lfs pull'"
    ),
    (.parquet, Array("PAR1".utf8) + [0x15, 4], "Parquet"),
    (.arrow, Array("ARROW1".utf8) + [0, 0, 0xFF, 0xFF], "Arrow"),
    (.arrow, [0xFF, 0xFF, 0xFF, 0xFF, 0x78, 0, 0, 0], "Arrow"),
    (.gzip, [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3], "gzip"),
    (.zip, [0x50, 0x4B, 3, 4, 0x14, 0], "ZIP"), (.zip, [0x50, 0x4B, 5, 6, 0, 0], "ZIP"),
    (.xz, [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0, 0], "xz"),
    (.zstandard, [0x28, 0xB5, 0x2F, 0xFD, 4], "Zstandard"),
    (.bzip2, Array("BZh9".utf8) + [0x31, 0x41, 0x59, 0x26, 0x53, 0x59, 0], "bzip2"),
    (.sevenZip, [0x37, 0x7A, 0xBC, 0xAF, 0x27, 0x1C, 0, 4], "7-Zip"),
    (.sqlite, Array("SQLite format 3".utf8) + [0, 0x10, 0], "SQLite"),
    (.hdf5, [0x89, 0x48, 0x44, 0x46, 0x0D, 0x0A, 0x1A, 0x0A, 0], "HDF5"),
    (.numpy, [0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59, 1, 0], "NumPy"),
    (.gguf, Array("GGUF".utf8) + [3, 0, 0, 0, 0x23], "GGUF"),
    (.bzip2, Array("BZh1".utf8) + [0x31, 0x41, 0x59, 0x26, 0x53, 0x59, 0], "bzip2"),
    (.pdf, Array("%PDF-1.7\n".utf8), "PDF"), (.pdf, Array("%PDF-2.0\n".utf8), "PDF"),
    (.pickle, [0x80, 2, 0x8A, 0x0A], "pickle"), (.pickle, [0x80, 3, 0x7D], "pickle"),
    (.pickle, [0x80, 4, 0x95], "pickle"), (.pickle, [0x80, 5, 0x95], "pickle"),
    (.utf16, [0xFF, 0xFE, 0x61, 0], "UTF-16"), (.utf16, [0xFE, 0xFF, 0, 0x61], "UTF-16"),
  ]

  @Test("each kind is named before anything else is said", arguments: examples.indices)
  func named(index: Int) throws {
    let (kind, start, words) = Self.examples[index]
    let folder = try TemporaryFolder()
    let path = try folder.write("text", start)
    let error = FileError.foreign(path: path, kind)
    #expect(throws: error) { try readFile(path, limit: 1000) }
    // Also where the file is too large.
    #expect(throws: error) { try readFile(path, limit: 1) }
    #expect(error.description.contains(words) && error.category == .refusedData)
    #expect(throws: SafeTensorsError.file(error)) { try SafeTensorsFile(contentsOf: path) }
  }

  @Test("all kinds have an example")
  func complete() {
    #expect(Set(Self.examples.map(\.kind)) == Set(ForeignFile.allCases))
  }

  @Test(
    "texts that begin a little like them are texts",
    arguments: [
      "", "P", "PAR 1", "PARTY", "PK", "BZh9 is a text", "7zip", "GGUF is a format",
      "SQLite format 3 is one", "%PDF is a format", "ARROW1", "(\u{B5}/",
      "version https://example.com", "version https://git-lfs", "\u{FEFF}text",
    ])
  func texts(text: String) throws {
    let folder = try TemporaryFolder()
    #expect(try readFile(folder.write("text", text), limit: 1000) == Array(text.utf8))
  }

  @Test("a header whose length looks like the start of a gzip file is a header")
  func headerLikeGzip() throws {
    // 1F 8B 08 00 ..., little-endian.
    let length = 0x08_8B1F
    let header = "{}" + String(repeating: " ", count: length - 2)
    let folder = try TemporaryFolder()
    let path = try folder.write(
      "w.safetensors", safeTensorsBytes(header: header, dataBytes: 0))
    #expect(try SafeTensorsFile(contentsOf: path).tensors.isEmpty)
  }

  @Test("a link to a file that is gone is named, one to a file is followed")
  func links() throws {
    let folder = try TemporaryFolder()
    let path = "\(folder.path)/link"
    try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: "blob")
    let error = FileError.brokenLink(path: path)
    #expect(throws: error) { try readFile(path, limit: 1000) }
    #expect(throws: error) { try MappedFile(contentsOf: path) }
    #expect(error.category == .inputOutput)
    try folder.write("blob", "text")
    #expect(try readFile(path, limit: 1000) == Array("text".utf8))
    let missing = "\(folder.path)/missing"
    #expect(throws: FileError.notFound(path: missing)) { try readFile(missing, limit: 1000) }
  }
}
