import DuetRuntime
import DuetSystem
import TestSupport
import Testing

/// Matrices that Scripts/golden/packed.py packed bit by bit, from the text of `PackedFormats.h` alone.
@Suite("Golden packed matrices")
struct PackedGoldenTests {
  static let cases: [(String, WeightFormat, GroupSize)] = [
    ("int2", .int2, .columns32), ("int2-offsets", .int2, .columns64),
    ("int3", .int3, .row), ("int3-offsets", .int3, .columns32), ("int4", .int4, .columns64),
    ("int8", .int8, .columns128), ("int8-offsets", .int8, .row), ("e8p", .e8p, .row),
    ("e8p-groups", .e8p, .columns32), ("trellis2", .trellis2, .row),
    ("trellis2.5", .trellis2_5, .row), ("trellis3", .trellis3, .row),
  ]

  @Test("packed matrices equal the golden ones byte for byte", arguments: cases)
  func isEqualByteForByte(name: String, format: WeightFormat, group: GroupSize) throws {
    let golden = try Golden(SharedData.project("Tests/Golden/packed/\(name).safetensors"))
    let isTrellis = format.coding == .trellis
    let layout = PackedLayout(
      format, groupSize: group, outputSize: isTrellis ? 83 : 17, inputSize: isTrellis ? 139 : 71)
    let scales: [Float] = try golden.numbers("scales")
    let packed: PackedMatrix
    if format == .e8p {
      let codes: [UInt16] = try golden.numbers("codes")
      packed = try PackedMatrix(packing: codes.span, layout: layout, scales: scales.span)
      #expect(firstDifference(packed.unpackedLatticeCodes(), codes) == nil)
    } else if isTrellis {
      let bits: [UInt8] = try golden.numbers("codes")
      packed = try PackedMatrix(packingTrellis: bits.span, layout: layout, scales: scales.span)
      #expect(firstDifference(packed.unpackedTrellisBits(), bits) == nil)
    } else {
      let codes: [UInt8] = try golden.numbers("codes")
      if golden.contains("offsets") {
        let offsets: [Float] = try golden.numbers("offsets")
        packed = try PackedMatrix(
          packing: codes.span, layout: layout, scales: scales.span, offsets: offsets.span)
      } else {
        packed = try PackedMatrix(packing: codes.span, layout: layout, scales: scales.span)
      }
      #expect(firstDifference(packed.unpackedCodes(), codes) == nil)
    }
    for tensor in packed.storedTensors(named: "packed") {
      let expected = try golden.tensor(tensor.name)
      #expect(tensor.shape == expected.shape)
      #expect(tensor.elementType == expected.elementType)
      #expect(firstDifference(tensor.byteArray, expected.byteArray) == nil, "\(tensor.name)")
    }
    let dense: [Float] = try golden.numbers("dense")
    #expect(firstDifference(packed.dense(), dense) == nil)
    let opened = try PackedMatrix(
      golden.checkpoint, "packed", layout: layout,
      grid: golden.contains("offsets") ? .asymmetric : .symmetric)
    #expect(opened.hasOffsets == golden.contains("offsets"))
    #expect(firstDifference(opened.dense(), dense) == nil)
  }

  /// The tensors of a golden file.
  private struct Golden {
    let checkpoint: Checkpoint

    init(_ path: String) throws {
      let file = try SafeTensorsFile(contentsOf: path)
      let tensors = file.tensors.map { info in
        StoredTensor(
          name: info.name, elementType: info.elementType, shape: info.shape, file: file.file,
          byteOffset: info.byteRange.lowerBound)
      }
      checkpoint = Checkpoint(configuration: .smallest, tensors: tensors)
    }

    func contains(_ name: String) -> Bool { checkpoint.contains(name) }

    func tensor(_ name: String) throws -> StoredTensor {
      try #require(try checkpoint.tensor(named: name), "no tensor \(name)")
    }

    func numbers<Element: BitwiseCopyable>(_ name: String) throws -> [Element] {
      let tensor = try tensor(name)
      let size = MemoryLayout<Element>.size
      #expect(tensor.elementType.byteCount == size)
      let bytes = tensor.bytes
      return (0..<tensor.elementCount).map {
        unsafe bytes.unsafeLoad(fromByteOffset: size * $0, as: Element.self)
      }
    }
  }
}

extension Configuration {
  /// A model of no interest, for checkpoints whose tensors are asked for by name.
  static var smallest: Configuration {
    Configuration(
      hiddenSize: 1, intermediateSize: 1, layerCount: 1, headCount: 1, vocabularySize: 1)
  }
}

extension StoredTensor {
  /// A copy of the bytes.
  var byteArray: [UInt8] { file.copyBytes(byteOffset..<byteOffset + byteCount) }
}
