public import DuetRuntime

/// A forecast of what a compression will cost: bytes on disk, memory and time.
///
/// The bytes are exact: they count every tensor of the result, with padding. They do not count the headers of
/// the files, a few hundred bytes for each tensor. Memory and time are estimates, see
/// `memory(hiddenStatesLimit:threadCount:)` and `seconds(rate:)`.
public struct CompressionForecast: Sendable, Equatable {
  /// A tensor of the source.
  public struct Tensor: Sendable, Hashable {
    /// The name, with ".weight".
    public let name: String
    /// The number of its elements.
    public let elementCount: Int
    /// The size in the source, in bytes.
    public let byteCount: Int

    /// A tensor of the source.
    public init(name: String, elementCount: Int, byteCount: Int) {
      self.name = name
      self.elementCount = elementCount
      self.byteCount = byteCount
    }
  }

  /// A weight matrix that will be compressed.
  public struct Matrix: Sendable, Hashable {
    /// The name of the linear layer, without ".weight".
    public let name: String
    /// The decoder layer, from 0.
    public let layer: Int
    /// The number of rows.
    public let outputSize: Int
    /// The number of columns.
    public let inputSize: Int
    /// The rank of L R, 0 for none.
    public let rank: Int
    /// The bytes of Q: codes, scales and, on an asymmetric grid, offsets.
    public let quantizedByteCount: Int
    /// The bytes of L and R.
    public let factorByteCount: Int
    /// The bytes of the columns of outlier channels and of their indices.
    public let columnByteCount: Int

    /// The number of weights.
    public var weightCount: Int { outputSize * inputSize }
    /// The bytes of all tensors of the matrix, without rotations, which matrices share.
    public var byteCount: Int { quantizedByteCount + factorByteCount + columnByteCount }
  }

  /// The shape of the model.
  public let configuration: Configuration
  /// How it will be compressed.
  public let plan: CompressionPlan
  /// The matrices to compress, in the order of the layers.
  public let matrices: [Matrix]
  /// The bytes of the signs and dense factors of all rotations.
  public let rotationByteCount: Int
  /// The bytes of the output head, 0 when it is the embedding or copied.
  public let headByteCount: Int
  /// The bytes of the head in the source, 0 when it is the embedding or copied.
  public let headSourceByteCount: Int
  /// The bytes of the embedding, 0 when it is copied.
  public let embeddingByteCount: Int
  /// The bytes of the tensors that are not compressed; those that a rescaling changes are stored in F32.
  public let copiedByteCount: Int
  /// The number of elements of the tensors that are not compressed.
  public let copiedElementCount: Int
  /// The bytes of the tensors of the source.
  public let sourceByteCount: Int
  /// The number of elements of the source's tensors.
  public let sourceElementCount: Int

  /// The forecast for a model.
  ///
  /// - Parameters:
  ///   - configuration: The shape of the model.
  ///   - tensors: The tensors of the source. Linear layers, the head and the embedding are replaced where the
  ///     plan compresses them, all others copied; a tied head is the embedding.
  ///   - plan: How it will be compressed.
  /// - Throws: `IncoherenceError` when there is no rotation for a size of the model,
  ///   `CompressionDataError.budget` when the plan's bits per weight cannot be met.
  public init(
    configuration: Configuration, tensors: [Tensor], plan: CompressionPlan
  ) throws {
    let plan = try Self.uniform(plan.choosingEmbedding(for: configuration), configuration)
    self.configuration = configuration
    self.plan = plan
    let matrices = Self.matrices(configuration, plan)
    self.matrices = matrices
    rotationByteCount = try Self.rotationByteCount(matrices, plan.incoherence)
    let headTensor = "\(CompressedFormat.headName).weight"
    let compressesHead =
      !configuration.tiesEmbeddings && !plan.keeps(CompressedFormat.headName)
    headByteCount = compressesHead ? Self.headByteCount(configuration, plan.headFormat) : 0
    let embeddingTensor = "\(CompressedFormat.embeddingName).weight"
    let source =
      tensors.first { $0.name == embeddingTensor }
      ?? (configuration.tiesEmbeddings ? tensors.first { $0.name == headTensor } : nil)
    let embeddingByteCount = Self.embeddingByteCount(configuration, plan, source: source)
    self.embeddingByteCount = embeddingByteCount
    var replaced = Set(matrices.map { Array("\($0.name).weight".utf8) })
    if embeddingByteCount > 0 { replaced.insert(Array(embeddingTensor.utf8)) }
    // A tied model may store the embedding as the head, instead or in addition.
    if compressesHead || (configuration.tiesEmbeddings && embeddingByteCount > 0) {
      replaced.insert(Array(headTensor.utf8))
    }
    headSourceByteCount =
      compressesHead ? tensors.first { $0.name == headTensor }?.byteCount ?? 0 : 0
    let copied = tensors.filter { !replaced.contains(Array($0.name.utf8)) }
    let widened = Self.widenedNames(configuration, plan)
    copiedByteCount = copied.reduce(0) {
      $0 + (widened.contains($1.name) ? 4 * $1.elementCount : $1.byteCount)
    }
    copiedElementCount = copied.reduce(0) { $0 + $1.elementCount }
    sourceByteCount = tensors.reduce(0) { $0 + $1.byteCount }
    sourceElementCount = tensors.reduce(0) { $0 + $1.elementCount }
  }

  /// The forecast for the model of a checkpoint, whose tensors are not read.
  ///
  /// - Throws: `CheckpointError` when there is no memory for the copy of a misaligned tensor,
  ///   `IncoherenceError`, `CompressionDataError.budget`.
  public init(_ checkpoint: Checkpoint, plan: CompressionPlan) throws {
    var tensors: [Tensor] = []
    for name in checkpoint.names {
      guard let tensor = try checkpoint.tensor(named: name) else { continue }
      tensors.append(
        Tensor(name: name, elementCount: tensor.elementCount, byteCount: tensor.byteCount))
    }
    try self.init(configuration: checkpoint.configuration, tensors: tensors, plan: plan)
  }

  // MARK: - Sums

  /// The number of weights to compress.
  public var weightCount: Int { matrices.reduce(0) { $0 + $1.weightCount } }

  /// The bytes of the compressed weights: Q, L R, outlier columns and rotations.
  public var compressedByteCount: Int {
    matrices.reduce(rotationByteCount) { $0 + $1.byteCount }
  }

  /// The bytes of all tensors of the result.
  public var byteCount: Int {
    compressedByteCount + headByteCount + embeddingByteCount + copiedByteCount
  }

  /// The stored bits of the compressed linear layers, divided by the number of their weights.
  public var bitsPerWeight: Double {
    weightCount > 0 ? Double(compressedByteCount) * 8 / Double(weightCount) : 0
  }

  /// The bits of all tensors of the result, divided by the number of elements of the source.
  public var bitsPerElement: Double {
    sourceElementCount > 0 ? Double(byteCount) * 8 / Double(sourceElementCount) : 0
  }
}
