import DuetRuntime
import DuetSystem
import Foundation
import TestSupport
import Testing

/// Ranks in config.json and channels in an index that are not those of what is stored: padding has room for
/// some more of both.
@Suite("Stored ranks")
struct StoredRankTests {
  private static let layer = "model.layers.0.self_attn.q_proj"

  /// A model of rank 5 with factors in `format`, where config.json says `rank`.
  private func folder(_ format: FactorFormat, rank: Int = 5) throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    try TinyCompressedModel(
      format: CompressedFormat(
        format: .int2, groupSize: .columns32, rank: 5, factors: FactorStorage(format),
        incoherence: .none)
    ).write(to: folder.path)
    let text = String(decoding: try folder.read("config.json"), as: UTF8.self)
    #expect(text.contains("\"rank\": 5"))
    try folder.write(
      "config.json", text.replacingOccurrences(of: "\"rank\": 5", with: "\"rank\": \(rank)"))
    return folder
  }

  /// Sets the bytes of a tensor that `places` has to zero.
  private func clear(
    _ name: String, in folder: TemporaryFolder, where places: (Int) -> Bool = { _ in true }
  ) throws {
    let path = "\(folder.path)/model.safetensors"
    let info = try #require(
      try SafeTensorsFile(contentsOf: path).tensor(named: "\(Self.layer).\(name)"))
    var bytes = try folder.read("model.safetensors")
    for (index, place) in info.byteRange.enumerated() where places(index) { bytes[place] = 0 }
    try folder.write("model.safetensors", bytes)
  }

  private static let formats: [FactorFormat] = [.int2, .int3, .int4, .int8]

  @Test("the rank that is stored is loaded", arguments: formats)
  func loadsTheRankThatIsStored(format: FactorFormat) throws {
    let folder = try folder(format)
    _ = try Model(contentsOf: folder.path)
  }

  @Test("a rank that counts padding is refused", arguments: formats)
  func refusesComponentsOfPadding(format: FactorFormat) throws {
    for rank in 6...8 {
      let folder = try folder(format, rank: rank)
      #expect(
        throws: CheckpointError.rankMismatch(
          path: folder.path, layer: Self.layer, expected: rank, actual: 5)
      ) { _ = try Model(contentsOf: folder.path) }
    }
  }

  /// Zero in R alone is a component like others: L still has it.
  @Test("a component with zeros in R is loaded", arguments: formats)
  func loadsAComponentOfZeros(format: FactorFormat) throws {
    let folder = try folder(format)
    // Scales of sixteen rows of two bytes; the fifth row is that of the last component.
    try clear("right.scales", in: folder) { $0 % 32 / 2 == 4 }
    _ = try Model(contentsOf: folder.path)
  }

  /// The factors of a matrix of zeros: nothing but zeros is stored.
  @Test("factors of zeros are loaded", arguments: formats)
  func loadsFactorsOfZeros(format: FactorFormat) throws {
    let folder = try folder(format)
    for name in ["left.codes", "left.scales", "right.codes", "right.scales"] {
      try clear(name, in: folder)
    }
    _ = try Model(contentsOf: folder.path)
  }

  /// Three columns are stored, and a block has room for four.
  @Test("columns that the index does not list are refused", arguments: [1, 2, 4])
  func refusesColumnsThatTheIndexDoesNotList(count: Int) throws {
    let folder = try TemporaryFolder()
    try TinyCompressedModel.all[0].write(to: folder.path)
    let path = "\(folder.path)/model.safetensors"
    let file = try SafeTensorsFile(contentsOf: path)
    let name = "\(Self.layer).columns"
    let tensors = try file.tensors.map { info in
      let bytes = file.file.copyBytes(info.byteRange)
      guard info.name == "\(name).index" else {
        return StoredTensor(
          name: info.name, elementType: info.elementType, shape: info.shape,
          file: try MappedFile(bytes), byteOffset: 0)
      }
      #expect(info.shape == [3])
      let channels = (bytes + [15, 0, 0, 0])[..<(4 * count)]
      return StoredTensor(
        name: info.name, elementType: info.elementType, shape: [count],
        file: try MappedFile(Array(channels)), byteOffset: 0)
    }
    _ = try SafeTensorsWriter.write(tensors, to: path)
    // A channel too many is none that ascends; too few leave columns over.
    let expected =
      count < 3
      ? CheckpointError.unlistedColumns(
        path: path, tensor: "\(name).codes", channelCount: count)
      : CheckpointError.channelsNotAscending(
        path: path, tensor: "\(name).index", inputSize: 16)
    #expect(throws: expected) { _ = try Model(contentsOf: folder.path) }
  }
}
