import DuetRuntime
import DuetSystem
import DuetText
import Foundation
import TestSupport
import Testing

@Suite("Safetensors files")
struct SafeTensorsTests {
  private func open(_ bytes: [UInt8]) throws -> SafeTensorsFile {
    try SafeTensorsFile(MappedFile(bytes, path: "a"))
  }

  private func open(_ header: String, dataBytes: Int = 0) throws -> SafeTensorsFile {
    try open(safeTensorsBytes(header: header, dataBytes: dataBytes))
  }

  /// The error a header is refused with.
  private func refusal(_ header: String, dataBytes: Int = 0) -> SafeTensorsError? {
    do {
      _ = try open(header, dataBytes: dataBytes)
      return nil
    } catch {
      return error as? SafeTensorsError
    }
  }

  private func entry(
    _ name: String, _ type: String, _ shape: String, _ begin: String, _ end: String
  ) -> String {
    #""\#(name)":{"dtype":"\#(type)","shape":\#(shape),"data_offsets":[\#(begin),\#(end)]}"#
  }

  // MARK: - Accepted

  @Test("tensors are read in the order of their data")
  func readsTensorsInTheOrderOfTheirData() throws {
    let header =
      "{" + entry("b", "F32", "[2,1]", "2", "10") + ","
      + #""__metadata__":{"format":"pt","":"x"},"# + entry("a", "BF16", "[1]", "0", "2") + ","
      + entry("scalar", "U8", "[]", "10", "11") + "," + entry("none", "I64", "[3,0]", "2", "2")
      + ", \"z\":{\"data_offsets\":[11,19],\"shape\":[1],\"extra\":[],\"dtype\":\"F64\"}}   \n"
    let file = try open(header, dataBytes: 19)
    #expect(file.tensors.map(\.name) == ["a", "none", "b", "scalar", "z"])
    #expect(file.tensors.map(\.elementType) == [.bf16, .i64, .f32, .u8, .f64])
    #expect(file.tensors.map(\.shape) == [[1], [3, 0], [2, 1], [], [1]])
    let start = 8 + header.utf8.count
    #expect(
      file.tensors.map { $0.byteRange.lowerBound - start } == [0, 2, 2, 10, 11])
    #expect(file.tensors.map(\.byteRange.count) == [2, 0, 8, 1, 8])
    #expect(file.metadata.map(\.key) == ["format", ""])
    #expect(file.metadata.map(\.value) == ["pt", "x"])
    for tensor in file.tensors { #expect(file.tensor(named: tensor.name) == tensor) }
    for name in ["", "aa", "c", "zz", "__metadata__"] { #expect(file.tensor(named: name) == nil) }
  }

  /// Names of which one begins with another, of bytes beyond ASCII, and none at all.
  @Test("names are ordered and found by their bytes")
  func ordersNamesByTheirBytes() throws {
    let names = ["b", "ab", "", "e\u{301}", "\u{E9}", "a", "\u{1F999}", "abc", "z", "ab\u{0}"]
    let entries = names.enumerated().map { index, name in
      entry(
        name.replacingOccurrences(of: "\u{0}", with: "\\u0000"), "U8", "[1]", "\(index)",
        "\(index + 1)")
    }
    let file = try open("{" + entries.joined(separator: ",") + "}", dataBytes: names.count)
    let expected = names.map { Array($0.utf8) }.sorted { $0.lexicographicallyPrecedes($1) }
    #expect(file.tensorsByName.map { Array($0.name.utf8) } == expected)
    for (index, name) in names.enumerated() {
      #expect(
        file.tensor(named: name)?.byteRange.lowerBound == file.file.count - names.count + index)
    }
    for name in ["ac", "abcd", "a\u{0}", "\u{1F998}"] { #expect(file.tensor(named: name) == nil) }
  }

  @Test(
    "a file without tensors is accepted",
    arguments: ["{}", "  {}", "{}      ", #"{"__metadata__":{}}"#, #"{"__metadata__":null}"#])
  func acceptsNoTensors(header: String) throws {
    #expect(try open(header).tensors.isEmpty)
  }

  @Test("every element type is known", arguments: ElementType.allCases)
  func knowsEveryElementType(type: ElementType) throws {
    let file = try open(
      "{" + entry("a", type.rawValue, "[8]", "0", "\(type.bitCount)") + "}",
      dataBytes: type.bitCount)
    #expect(file.tensors.first?.elementType == type)
  }

  @Test("names that Unicode calls equal stay apart")
  func keepsCanonicallyEqualNamesDistinct() throws {
    let file = try open(
      "{" + entry("\u{e9}", "U8", "[1]", "0", "1") + ","
        + entry("e\u{301}", "U8", "[2]", "1", "3") + "}", dataBytes: 3)
    #expect(file.tensor(named: "\u{e9}")?.shape == [1])
    #expect(file.tensor(named: "e\u{301}")?.shape == [2])
  }

  // MARK: - Refused, in the order of spec section 1.3

  @Test("files without a header are refused", arguments: 0..<8)
  func aRefusesFilesWithoutHeader(byteCount: Int) {
    #expect(throws: SafeTensorsError.noHeader(path: "a", byteCount: byteCount)) {
      try open([UInt8](repeating: 0, count: byteCount))
    }
  }

  @Test("huge headers are refused")
  func bRefusesHugeHeaders() {
    // 100,000,001 = 0x5F5E101.
    #expect(throws: SafeTensorsError.headerTooLarge(path: "a", headerBytes: 100_000_001)) {
      try open([0x01, 0xE1, 0xF5, 0x05, 0, 0, 0, 0])
    }
    // Four bytes of 0xFF would begin a stream of Arrow, 0xFE and 0xFF a text in UTF-16.
    #expect(throws: SafeTensorsError.headerTooLarge(path: "a", headerBytes: .max - 0x0101)) {
      try open([0xFE, 0xFE] + [UInt8](repeating: 0xFF, count: 6))
    }
  }

  @Test("headers that end beyond the file are refused")
  func cRefusesHeadersBeyondTheFile() {
    #expect(
      throws: SafeTensorsError.headerBeyondFile(path: "a", headerBytes: 3, fileBytes: 10)
    ) { try open([3, 0, 0, 0, 0, 0, 0, 0, 0x7B, 0x7D]) }
    #expect(
      throws: SafeTensorsError.headerBeyondFile(path: "a", headerBytes: 100_000_000, fileBytes: 8)
    ) { try open([0x00, 0xE1, 0xF5, 0x05, 0, 0, 0, 0]) }
  }

  @Test("headers that are not UTF-8 are refused")
  func dRefusesHeadersThatAreNotUTF8() {
    #expect(throws: SafeTensorsError.headerNotUTF8(path: "a", offset: 10)) {
      try open([4, 0, 0, 0, 0, 0, 0, 0, 0x7B, 0x22, 0xFF, 0x7D])
    }
  }

  @Test(
    "headers that are not JSON are refused", arguments: ["", "{", "{}x", #"{"a":}"#, "{} \u{0}"])
  func eRefusesHeadersThatAreNotJSON(header: String) {
    guard case .headerNotJSON(.malformed) = refusal(header) else {
      Issue.record("\(header) gave \(String(describing: refusal(header)))")
      return
    }
  }

  @Test(
    "headers with values of a wrong type are refused",
    arguments: [
      ("[]", ""), ("7", ""), ("null", ""), (#"{"a":1}"#, "a"), (#"{"a":{}}"#, "a"),
      (#"{"a":{"dtype":"U8","shape":[1]}}"#, "a"),
      (#"{"a":{"dtype":"U8","data_offsets":[0,1]}}"#, "a"),
      (#"{"a":{"shape":[1],"data_offsets":[0,1]}}"#, "a"),
      (#"{"a":{"dtype":1,"shape":[1],"data_offsets":[0,1]}}"#, "a"),
      (#"{"a":{"dtype":"U8","shape":1,"data_offsets":[0,1]}}"#, "a"),
      (#"{"a":{"dtype":"U8","shape":["1"],"data_offsets":[0,1]}}"#, "a"),
      (#"{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}"#, "a"),
      (#"{"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}}"#, "a"),
      (#"{"a":{"dtype":"U8","shape":[1e0],"data_offsets":[0,1]}}"#, "a"),
      (#"{"a":{"dtype":"U8","shape":[null],"data_offsets":[0,1]}}"#, "a"),
      (#"{"a":{"dtype":"U8","shape":[18446744073709551616],"data_offsets":[0,1]}}"#, "a"),
      (#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}}"#, "a"),
      (#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}}"#, "a"),
      (#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1.0]}}"#, "a"),
      (#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[-0,1]}}"#, "a"),
      (#"{"a":{"dtype":"U8","shape":[1],"data_offsets":{"begin":0,"end":1}}}"#, "a"),
      (#"{"__metadata__":[]}"#, "__metadata__"), (#"{"__metadata__":{"a":1}}"#, "__metadata__"),
      (#"{"__metadata__":{"a":null}}"#, "__metadata__"),
    ])
  func eRefusesWrongTypes(header: String, name: String) {
    guard case .malformedEntry("a", name, _) = refusal(header, dataBytes: 1) else {
      Issue.record("\(header) gave \(String(describing: refusal(header, dataBytes: 1)))")
      return
    }
  }

  @Test("unknown element types are refused", arguments: ["F33", "f32", "", "float32", "F32 "])
  func eRefusesUnknownElementTypes(type: String) {
    #expect(
      refusal("{" + entry("a", type, "[1]", "0", "4") + "}", dataBytes: 4)
        == .unknownElementType(path: "a", tensor: "a", name: type))
  }

  @Test("duplicate names are refused")
  func refusesDuplicateNames() {
    let a = entry("a", "U8", "[1]", "0", "1")
    #expect(
      refusal("{\(a),\(a)}", dataBytes: 1)
        == .headerNotJSON(.duplicateKey(path: "a", offset: 2 + a.utf8.count, key: "a")))
  }

  @Test("holes and overlaps are refused")
  func fRefusesHolesAndOverlaps() {
    let a = entry("a", "U8", "[2]", "0", "2")
    #expect(
      refusal("{\(a)," + entry("b", "U8", "[1]", "3", "4") + "}", dataBytes: 4)
        == .notContiguous(path: "a", tensor: "b", begin: 3, previousEnd: 2))
    #expect(
      refusal("{\(a)," + entry("b", "U8", "[3]", "1", "4") + "}", dataBytes: 4)
        == .notContiguous(path: "a", tensor: "b", begin: 1, previousEnd: 2))
    #expect(
      refusal("{\(a)," + entry("b", "U8", "[2]", "0", "2") + "}", dataBytes: 2)
        == .notContiguous(path: "a", tensor: "b", begin: 0, previousEnd: 2))
  }

  @Test("reversed offsets are refused")
  func fRefusesReversedOffsets() {
    #expect(
      refusal(
        "{" + entry("a", "U8", "[2]", "0", "2") + "," + entry("b", "U8", "[1]", "2", "1") + "}",
        dataBytes: 2) == .reversedOffsets(path: "a", tensor: "b", begin: 2, end: 1))
  }

  @Test("a gap at the start is refused")
  func gRefusesAGapAtTheStart() {
    #expect(
      refusal("{" + entry("a", "U8", "[1]", "1", "2") + "}", dataBytes: 2)
        == .gapAtStart(path: "a", tensor: "a", begin: 1))
  }

  @Test(
    "sizes that overflow are refused",
    arguments: [
      ("U8", "[9223372036854775807,3]"), ("U8", "[18446744073709551615]"),
      ("U8", "[4294967296,4294967296]"), ("F32", "[4611686018427387904]"),
      ("U8", "[9223372036854775807,2,0]"), ("F64", "[288230376151711744]"),
    ])
  func hRefusesOverflow(type: String, shape: String) {
    #expect(
      refusal("{" + entry("a", type, shape, "0", "0") + "}")
        == .sizeOverflow(path: "a", tensor: "a"))
  }

  @Test(
    "sizes other than that of the shape are refused",
    arguments: [
      ("U8", "[1]", "0", 1, 0), ("F32", "[2,3]", "23", 24, 23), ("BF16", "[]", "4", 2, 4),
    ]
      as [(String, String, String, UInt64, UInt64)])
  func iRefusesSizesUnlikeTheShape(
    type: String, shape: String, end: String, expected: UInt64, actual: UInt64
  ) {
    #expect(
      refusal("{" + entry("a", type, shape, "0", end) + "}", dataBytes: Int(actual))
        == .sizeMismatch(path: "a", tensor: "a", expectedBytes: expected, actualBytes: actual))
  }

  @Test("files of another size are refused", arguments: [0, 3, 5, 100])
  func jRefusesOtherFileSizes(dataBytes: Int) {
    let header = "{" + entry("a", "U8", "[4]", "0", "4") + "}"
    let size = 8 + header.utf8.count
    #expect(
      refusal(header, dataBytes: dataBytes)
        == .fileSizeMismatch(
          path: "a", expectedBytes: UInt64(size + 4), actualBytes: size + dataBytes))
  }

  @Test("bytes behind a header without tensors are refused")
  func jRefusesTrailingBytesWithoutTensors() {
    #expect(
      refusal("{}", dataBytes: 1)
        == .fileSizeMismatch(path: "a", expectedBytes: 10, actualBytes: 11))
  }

  @Test("sizes beyond all files are refused")
  func jRefusesSizesBeyondAllFiles() {
    // A zero-sized tensor at the very end of 64 bits; nothing may overflow on the way.
    let end: UInt64 = 1_152_921_504_606_846_975
    let header = "{" + entry("a", "U8", "[\(end)]", "0", "\(end)") + "}"
    let size = 8 + header.utf8.count
    #expect(
      refusal(header)
        == .fileSizeMismatch(path: "a", expectedBytes: end + UInt64(size), actualBytes: size))
  }

  @Test(
    "tensors that end within a byte are refused",
    arguments: [("F4", "[3]", "2"), ("F6_E2M3", "[2]", "2"), ("F6_E3M2", "[]", "1")])
  func kRefusesPartialBytes(type: String, shape: String, end: String) {
    #expect(
      refusal("{" + entry("a", type, shape, "0", end) + "}", dataBytes: 2)
        == .partialByte(path: "a", tensor: "a"))
  }

  @Test("messages name the tensor and the file")
  func namesTheTensorAndTheFile() {
    let error = SafeTensorsError.sizeMismatch(
      path: "m\n.safetensors", tensor: "a\u{1b}", expectedBytes: 4, actualBytes: 2)
    #expect(
      error.description == "m\\u{a}.safetensors: tensor \"a\\u{1b}\" needs 4 bytes for its shape "
        + "and type but spans 2")
    #expect(error.category == .refusedData)
  }

  // MARK: - Writing

  private func tensor(_ name: String, _ type: ElementType, _ shape: [Int]) throws -> StoredTensor {
    let byteCount = shape.reduce(type.bitCount, *) / 8
    let bytes = (0..<byteCount).map { UInt8(truncatingIfNeeded: $0 * 7 + name.utf8.count) }
    return StoredTensor(
      name: name, elementType: type, shape: shape, file: try MappedFile(bytes), byteOffset: 0)
  }

  private func bytes(_ tensor: StoredTensor) -> [UInt8] {
    tensor.file.copyBytes(tensor.byteOffset..<(tensor.byteOffset + tensor.byteCount))
  }

  @Test("what is written is read back")
  func writesWhatItReads() throws {
    let folder = try TemporaryFolder()
    let tensors = [
      try tensor("u", .u8, [3]), try tensor("b", .bf16, [2, 3]), try tensor("a", .bf16, [1]),
      try tensor("f\"\\\u{1}\u{e9}", .f32, [1, 1]), try tensor("none", .i64, [0]),
      try tensor("scalar", .f64, []),
    ]
    let path = try folder.write("model.safetensors", "old")
    try SafeTensorsWriter.write(
      tensors, metadata: [("format", "pt"), ("a\"", "b\n")], to: path)
    let file = try SafeTensorsFile(contentsOf: path)
    #expect(file.tensors.map(\.name) == ["none", "scalar", "f\"\\\u{1}\u{e9}", "a", "b", "u"])
    #expect(try #require(file.tensors.first).byteRange.lowerBound % 64 == 0)
    #expect(file.metadata.map(\.key) == ["format", "a\""])
    #expect(file.metadata.map(\.value) == ["pt", "b\n"])
    for tensor in tensors {
      let info = try #require(file.tensor(named: tensor.name))
      #expect(info.elementType == tensor.elementType)
      #expect(info.shape == tensor.shape)
      #expect(file.file.copyBytes(info.byteRange) == bytes(tensor))
    }
  }

  @Test("an old file stays for those who have it mapped")
  func keepsTheOldFileForWhoeverHasItMapped() throws {
    let folder = try TemporaryFolder()
    let path = "\(folder.path)/a"
    try SafeTensorsWriter.write([tensor("a", .u8, [100])], to: path)
    let old = try SafeTensorsFile(contentsOf: path)
    let before = old.file.copyBytes(0..<old.file.count)
    try SafeTensorsWriter.write([tensor("abc", .u8, [100])], to: path)
    #expect(old.file.copyBytes(0..<old.file.count) == before)
    #expect(try SafeTensorsFile(contentsOf: path).tensors.map(\.name) == ["abc"])
  }

  @Test("a write that fails leaves nothing behind")
  func writesNothingWhenItCannot() throws {
    #expect(throws: SafeTensorsError.self) {
      try SafeTensorsWriter.write([], to: "/nowhere/at/all")
    }
    let folder = try TemporaryFolder()
    // A folder cannot be replaced by a file, which is found out only at the end.
    try folder.write("x", "x")
    #expect(throws: SafeTensorsError.self) { try SafeTensorsWriter.write([], to: folder.path) }
    #expect(throws: FileError.self) {
      try readFile("\(folder.path).\(ProcessInfo.processInfo.processIdentifier).partial", limit: 10)
    }
  }

  // MARK: - Mutations

  /// No header traps, and the tensors of an accepted one lie inside the file.
  @Test("mutated headers do no harm, and accepted tensors lie inside the file", arguments: 0..<20)
  func survivesMutations(seed: Int) throws {
    var generator = RandomGenerator(seed: UInt64(seed))
    let header =
      "{" + entry("a", "F32", "[2,3]", "0", "24") + "," + entry("b", "BF16", "[4]", "24", "32")
      + #","__metadata__":{"format":"pt"},"# + entry("c", "F4", "[0,18,2]", "32", "32") + "}"
    for _ in 0..<300 {
      let text = mutated(Array(header.utf8), using: &generator)
      var bytes = safeTensorsBytes(header: header, dataBytes: 32)
      bytes.replaceSubrange(8..<(8 + header.utf8.count), with: text)
      if Bool.random(using: &generator) {
        bytes[0] = UInt8(truncatingIfNeeded: text.count)
        bytes[1] = UInt8(truncatingIfNeeded: text.count >> 8)
      }
      guard let file = try? open(bytes) else { continue }
      for info in file.tensors {
        #expect(info.byteRange.upperBound <= bytes.count)
        guard info.byteRange.lowerBound % info.elementType.alignment == 0 else { continue }
        let tensor = StoredTensor(
          name: info.name, elementType: info.elementType, shape: info.shape, file: file.file,
          byteOffset: info.byteRange.lowerBound)
        #expect(tensor.byteCount == info.byteRange.count)
      }
    }
  }
}
