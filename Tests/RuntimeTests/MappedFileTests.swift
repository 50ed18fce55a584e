import DuetRuntime
import DuetSystem
import Foundation
import TestSupport
import Testing

@Suite("Mapped files")
struct MappedFileTests {
  /// The bytes read through the span, not copied as a block.
  private func bytes(of file: MappedFile) -> [UInt8] {
    let span = file.bytes
    return (0..<span.byteCount).map { unsafe span.unsafeLoad(fromByteOffset: $0, as: UInt8.self) }
  }

  @Test("mapping and reading give the same bytes", arguments: [0, 1, 4095, 4096, 4097, 3_000_000])
  func mapsAndReadsTheSameBytes(count: Int) throws {
    let folder = try TemporaryFolder()
    let content = (0..<count).map { UInt8(truncatingIfNeeded: $0 * 31 + $0 >> 8) }
    let path = try folder.write("a", content)
    for file in [try MappedFile(contentsOf: path), try MappedFile(reading: path)] {
      #expect(file.path == path)
      #expect(file.count == count)
      #expect(bytes(of: file) == content)
      #expect(file.copyBytes(0..<count) == content)
    }
    #expect(try readFile(path, limit: count) == content)
  }

  /// Memory that is given back has the same bytes again; bytes that are in memory alone stay there.
  @Test(
    "ranges that were released are read again", arguments: [0..<0, 0..<1, 5000..<9000, 0..<20_000])
  func releasedRangesAreReadAgain(range: Range<Int>) throws {
    let folder = try TemporaryFolder()
    let content = (0..<20_000).map { UInt8(truncatingIfNeeded: $0 * 31 + $0 >> 8) }
    let path = try folder.write("a", content)
    for file in [
      try MappedFile(contentsOf: path), try MappedFile(reading: path), try MappedFile(content),
    ] {
      #expect(bytes(of: file) == content)
      file.release(range)
      #expect(bytes(of: file) == content)
    }
  }

  @Test("bytes that were read stay when the file is truncated")
  func keepsReadBytesWhenTheFileIsTruncated() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write("a", [UInt8](repeating: 7, count: 10_000))
    let file = try MappedFile(reading: path)
    try folder.write("a", "")
    #expect(bytes(of: file) == [UInt8](repeating: 7, count: 10_000))
  }

  @Test("memory without a file starts with zeros")
  func fillsMemoryThatIsZero() throws {
    let file = try MappedFile(anonymousByteCount: 10_000) { span in
      span.storeBytes(of: 0x0102_0304, toByteOffset: 4, as: UInt32.self)
    }
    #expect(
      bytes(of: file) == [0, 0, 0, 0, 4, 3, 2, 1] + [UInt8](repeating: 0, count: 10_000 - 8))
    let empty = try MappedFile(anonymousByteCount: 0) { _ in }
    #expect(bytes(of: empty) == [])
  }

  @Test("folders, pipes, loops and missing files are refused")
  func refusesWhatIsNoFile() throws {
    let folder = try TemporaryFolder()
    let missing = "\(folder.path)/missing"
    let inside = "\(try folder.write("file", "x"))/inside"
    let pipe = "\(folder.path)/pipe"
    let made = unsafe mkfifo(pipe, 0o600)
    #expect(made == 0)
    let loop = "\(folder.path)/loop"
    try FileManager.default.createSymbolicLink(atPath: loop, withDestinationPath: loop)
    let cases: [(String, FileError)] = [
      (missing, .notFound(path: missing)), (inside, .notFound(path: inside)),
      ("a\u{0}b", .notFound(path: "a\u{0}b")), (folder.path, .isFolder(path: folder.path)),
      (pipe, .notRegular(path: pipe)), ("/dev/null", .notRegular(path: "/dev/null")),
      (loop, .system(path: loop, operation: .open, code: ELOOP)),
    ]
    for (path, error) in cases {
      #expect(throws: error) { try MappedFile(contentsOf: path) }
      #expect(throws: error) { try MappedFile(reading: path) }
      #expect(throws: error) { try readFile(path, limit: 10) }
      #expect(error.category == .inputOutput)
    }
    #expect(FileError.notFound(path: "a\nb").description == "a\\u{a}b: no such file")
  }

  @Test("symbolic links are followed")
  func readsThroughSymbolicLinks() throws {
    let folder = try TemporaryFolder()
    try folder.write("a", "abc")
    try FileManager.default.createSymbolicLink(
      atPath: "\(folder.path)/b", withDestinationPath: "a")
    #expect(try MappedFile(contentsOf: "\(folder.path)/b").copyBytes(0..<3) == [97, 98, 99])
  }

  @Test("the size of files that are read is limited")
  func capsTheSizeOfFilesThatAreRead() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write("a", "12345678")
    #expect(try readFile(path, limit: 8).count == 8)
    let error = FileError.tooLarge(path: path, byteCount: 8, limit: 7)
    #expect(throws: error) { try readFile(path, limit: 7) }
    #expect(error.category == .refusedData)
  }

  // MARK: - Truncation

  // The folders belong to the parent, because a process that ends in a handler removes nothing.

  @Test("the program ends with a sentence when a file is truncated")
  func endsWithASentenceWhenTheFileIsTruncated() async throws {
    let folder = try TemporaryFolder()
    let result = try await #require(
      processExitsWith: .exitCode(4), observing: [\.standardErrorContent]
    ) { [path = "\(folder.path)/weights" as String] in
      MappedFile.installTruncationHandler { _ = unsafe write(STDERR_FILENO, "first\n", 6) }
      // Another mapping, so that the right one must be found.
      let other = try MappedFile(contentsOf: SharedData.project("Package.swift"))
      try Data(repeating: 1, count: 100_000).write(to: URL(fileURLWithPath: path))
      let file = try MappedFile(contentsOf: path)
      _ = unsafe truncate(path, 0)
      _ = file.copyBytes(0..<file.count)
      _ = other.count
    }
    let text = String(decoding: result.standardErrorContent, as: UTF8.self)
    #expect(text.hasPrefix("first\n"))
    #expect(text.contains("/weights: the file was truncated by another program while in use\n"))
  }

  @Test("the program ends once when several threads meet a truncated file")
  func endsOnceWhenSeveralThreadsFault() async throws {
    let folder = try TemporaryFolder()
    let result = try await #require(
      processExitsWith: .exitCode(4), observing: [\.standardErrorContent]
    ) { [path = "\(folder.path)/weights" as String] in
      MappedFile.installTruncationHandler()
      try Data(repeating: 1, count: 100_000).write(to: URL(fileURLWithPath: path))
      let file = try MappedFile(contentsOf: path)
      _ = unsafe truncate(path, 0)
      await withTaskGroup(of: Int.self) { group in
        for _ in 0..<8 { group.addTask { file.copyBytes(0..<file.count).count } }
      }
    }
    let text = String(decoding: result.standardErrorContent, as: UTF8.self)
    #expect(text.components(separatedBy: "truncated by another program").count == 2)
  }

  @Test("faults outside mapped files are left alone")
  func leavesOtherFaultsAlone() async throws {
    let folder = try TemporaryFolder()
    await #expect(processExitsWith: .signal(SIGBUS)) {
      [path = "\(folder.path)/weights" as String] in
      MappedFile.installTruncationHandler()
      try Data(repeating: 1, count: 100_000).write(to: URL(fileURLWithPath: path))
      // A mapping that is gone is not remembered.
      _ = try MappedFile(contentsOf: path)
      let descriptor = unsafe open(path, O_RDONLY)
      let address = unsafe mmap(nil, 100_000, PROT_READ, MAP_PRIVATE, descriptor, 0)
      _ = unsafe truncate(path, 0)
      let value = unsafe address?.load(fromByteOffset: 50_000, as: UInt8.self)
      print(value as Any)
    }
  }
}

@Suite("BFloat16")
struct BFloat16Tests {
  @Test(
    "numbers are rounded to the nearest, halves to the even one",
    arguments: [
      (0, 0), (-0.0, 0x8000), (1, 0x3F80), (-2, 0xC000), (Float.infinity, 0x7F80),
      (-Float.infinity, 0xFF80), (3.3895314e38, 0x7F7F), (Float.greatestFiniteMagnitude, 0x7F80),
      (Float.leastNonzeroMagnitude, 0),
      // 1 + 2^-8 is half-way between 1 and 1 + 2^-7: to the even one; 1 + 3 * 2^-8 likewise, upwards.
      (1.00390625, 0x3F80), (1.01171875, 0x3F82), (1.0039064, 0x3F81),
    ] as [(Float, UInt16)])
  func roundsToNearestEven(value: Float, bits: UInt16) {
    #expect(BFloat16(value).bitPattern == bits)
  }

  @Test("NaN stays NaN")
  func keepsNaN() {
    for bits: UInt32 in [0x7F80_0001, 0xFF80_0001, 0x7FFF_FFFF, 0xFFFF_FFFF, 0x7FC0_0000] {
      let value = Float(bitPattern: bits)
      #expect(Float(BFloat16(value)).isNaN)
      #expect(Float(BFloat16(value)).sign == value.sign)
    }
  }

  @Test("every value comes back")
  func returnsEveryValue() {
    for bits in UInt16.min...UInt16.max {
      let value = BFloat16(bitPattern: bits)
      guard !Float(value).isNaN else { continue }
      #expect(BFloat16(Float(value)) == value)
    }
  }
}
