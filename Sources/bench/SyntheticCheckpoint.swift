import DuetRuntime
import DuetSystem

/// A checkpoint with random weights of a published shape, for measuring speed without the model.
enum SyntheticCheckpoint {
  /// Makes a checkpoint of `configuration` in memory.
  ///
  /// Elements of matrices have random signs and magnitudes between 2^-7 and 2^-6; norms are ones.
  static func inMemory(
    _ configuration: Configuration, elementType: ElementType
  ) throws(FileError) -> Checkpoint {
    let tensors = try tensors(of: tensorShapes(configuration), elementType: elementType)
    return Checkpoint(configuration: configuration, tensors: tensors)
  }

  /// Makes tensors of `shapes` in one block of memory: matrices of random numbers, vectors of ones.
  static func tensors(
    of shapes: [(name: String, sizes: [Int])], elementType: ElementType
  ) throws(FileError) -> [StoredTensor] {
    var offsets: [Int] = []
    var size = 0
    for shape in shapes {
      offsets.append(size)
      let byteCount = shape.sizes.reduce(elementType.byteCount, *)
      size += (byteCount + 63) / 64 * 64
    }
    let file = try MappedFile(anonymousByteCount: size, path: "random weights") { bytes in
      fill(&bytes, elementType)
      for (shape, offset) in zip(shapes, offsets) where shape.sizes.count == 1 {
        for index in 0..<shape.sizes[0] { storeOne(&bytes, offset, index, elementType) }
      }
    }
    return zip(shapes, offsets).map { shape, offset in
      StoredTensor(
        name: shape.name, elementType: elementType, shape: shape.sizes, file: file,
        byteOffset: offset)
    }
  }

  /// The memory that the tensors of `inMemory` take.
  static func memory(_ configuration: Configuration, _ elementType: ElementType) -> ShapeMemory {
    func byteCount(layerCount: Int) -> Int {
      var configuration = configuration
      configuration.layerCount = layerCount
      let counts = tensorShapes(configuration).map { $0.sizes.reduce(1, *) }
      return counts.reduce(0, +) * elementType.byteCount
    }
    let other = byteCount(layerCount: 0)
    return ShapeMemory(
      layerByteCount: byteCount(layerCount: 1) - other, otherByteCount: other,
      layerCount: configuration.layerCount)
  }

  /// The name and shape of every tensor of a model, as in Hugging Face checkpoints.
  static func tensorShapes(_ configuration: Configuration) -> [(name: String, sizes: [Int])] {
    let hidden = configuration.hiddenSize
    var result = [("model.embed_tokens.weight", [configuration.vocabularySize, hidden])]
    for layer in 0..<configuration.layerCount {
      for input in LinearInput.allCases {
        if let norm = input.norm { result.append((norm.name(inLayer: layer), [hidden])) }
        result += input.matrices.map { row in
          (
            row.name(inLayer: layer) + ".weight",
            [row.outputSize(configuration), row.inputSize(configuration)]
          )
        }
      }
    }
    result.append(("model.norm.weight", [hidden]))
    if !configuration.tiesEmbeddings {
      result.append(("lm_head.weight", [configuration.vocabularySize, hidden]))
    }
    return result.map { (name: $0.0, sizes: $0.1) }
  }

  /// Fills memory with numbers of random sign and fraction and the fixed exponent 2^-7.
  ///
  /// The biased exponent is 120 for F32 and BF16, and 8 for F16.
  private static func fill(_ bytes: inout MutableRawSpan, _ elementType: ElementType) {
    let (kept, exponent): (UInt64, UInt64) =
      switch elementType {
      case .bf16: (0x807F_807F_807F_807F, 0x3C00_3C00_3C00_3C00)
      case .f16: (0x83FF_83FF_83FF_83FF, 0x2000_2000_2000_2000)
      default: (0x807F_FFFF_807F_FFFF, 0x3C00_0000_3C00_0000)
      }
    var generator = RandomGenerator(seed: 1)
    for offset in stride(from: 0, to: bytes.byteCount, by: 8) {
      bytes.storeBytes(
        of: generator.next() & kept | exponent, toByteOffset: offset, as: UInt64.self)
    }
  }

  private static func storeOne(
    _ bytes: inout MutableRawSpan, _ offset: Int, _ index: Int, _ elementType: ElementType
  ) {
    let place = offset + index * elementType.byteCount
    switch elementType {
    case .bf16: bytes.storeBytes(of: 0x3F80, toByteOffset: place, as: UInt16.self)
    case .f16: bytes.storeBytes(of: 0x3C00, toByteOffset: place, as: UInt16.self)
    default: bytes.storeBytes(of: 1, toByteOffset: place, as: Float.self)
    }
  }
}
