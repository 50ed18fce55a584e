internal import DuetRuntime
internal import DuetSystem
public import DuetText

/// The token sequences that a model is calibrated with.
///
/// Every document is tokenized by itself, with the tokens that the tokenizer's files put around a text,
/// such as the one that begins a sequence. The ids of all documents are joined in order and cut into
/// windows of `contextLength`; an incomplete last window is left out. `sampleCount` windows are drawn at
/// random from the seed, all equally likely and none twice, and kept in the order of the text. So samples
/// do not overlap, may begin inside a document, and are the same for the same texts, tokenizer and numbers.
public struct CalibrationSamples: Sendable, Equatable {
  /// The number of samples.
  public let sampleCount: Int
  /// The number of tokens of each sample.
  public let contextLength: Int
  /// The seed that the windows were drawn with.
  public let seed: UInt64
  /// The number of tokens of all documents together.
  public let availableTokenCount: Int
  /// For each sample, the index of its window in the text.
  public let windows: [Int]
  /// Where the texts come from, with the digests of their files.
  public let sources: [Source]
  /// The SHA-256 digest of the ids of all samples, each as four bytes, little-endian.
  public let digest: String

  /// The ids of all samples, (sampleCount, contextLength).
  private let tokens: [Int]

  /// A file that samples were drawn from.
  public struct Source: Sendable, Hashable {
    /// The file.
    public let path: String
    /// The SHA-256 digest of its bytes.
    public let digest: String

    /// A file and its digest.
    public init(path: String, digest: String) {
      self.path = path
      self.digest = digest
    }
  }

  /// Draws samples from texts.
  ///
  /// - Parameters:
  ///   - texts: The documents, in the order in which they are joined.
  ///   - tokenizer: The tokenizer of the model.
  ///   - sampleCount: The number of samples.
  ///   - contextLength: The number of tokens of each sample.
  ///   - seed: Decides which windows are drawn.
  ///   - allowsFewer: Whether to draw fewer samples when the texts are too short for all.
  /// - Throws: `CompressionDataError.calibrationTooShort` when there are fewer windows than samples.
  /// - Precondition: `sampleCount` and `contextLength` are positive.
  /// - Complexity: O(length of the texts).
  public init(
    _ texts: [CalibrationText], tokenizer: Tokenizer, sampleCount: Int, contextLength: Int,
    seed: UInt64, allowsFewer: Bool = false
  ) throws(CompressionDataError) {
    var ids: [Int] = []
    for document in texts.lazy.flatMap(\.documents) where !document.isEmpty {
      ids += tokenizer.encode(document)
    }
    try self.init(
      tokens: ids, sources: texts.map { Source(path: $0.path, digest: $0.digest) },
      sampleCount: allowsFewer
        ? min(sampleCount, max(1, ids.count / max(1, contextLength))) : sampleCount,
      contextLength: contextLength, seed: seed)
  }

  /// Draws samples from the tokens of all documents.
  ///
  /// - Throws: `CompressionDataError.calibrationTooShort`.
  package init(
    tokens ids: [Int], sources: [Source], sampleCount: Int, contextLength: Int, seed: UInt64
  ) throws(CompressionDataError) {
    precondition(
      sampleCount > 0 && contextLength > 0, "\(sampleCount) samples of \(contextLength) tokens")
    let windowCount = ids.count / contextLength
    guard windowCount >= sampleCount else {
      let (needed, overflow) = sampleCount.multipliedReportingOverflow(by: contextLength)
      throw .calibrationTooShort(tokenCount: ids.count, needed: overflow ? Int.max : needed)
    }
    self.sampleCount = sampleCount
    self.contextLength = contextLength
    self.seed = seed
    self.sources = sources
    availableTokenCount = ids.count
    let windows = Self.draw(sampleCount, from: windowCount, seed: seed)
    let tokens = windows.flatMap { ids[$0 * contextLength..<($0 + 1) * contextLength] }
    self.windows = windows
    self.tokens = tokens
    digest = SHA256.hexadecimalDigest(
      of: tokens.flatMap { id in (0..<4).map { UInt8(truncatingIfNeeded: id >> (8 * $0)) } })
  }

  /// The ids of a sample, (contextLength).
  ///
  /// - Precondition: `sample` is in `0 ..< sampleCount`.
  public func tokens(of sample: Int) -> ArraySlice<Int> {
    precondition(sample >= 0 && sample < sampleCount, "sample \(sample) of \(sampleCount)")
    return tokens[sample * contextLength..<(sample + 1) * contextLength]
  }

  /// Draws `count` of the numbers `0 ..< total`, in rising order.
  ///
  /// Takes the first `count` steps of a Fisher-Yates shuffle. The shuffle of the standard library is not used
  /// because it may change from one version to the next, and samples must not.
  private static func draw(_ count: Int, from total: Int, seed: UInt64) -> [Int] {
    var generator = RandomGenerator(seed: seed)
    var numbers = Array(0..<total)
    for index in 0..<count {
      // Below total - index: nextUnit() is at most 1 - 2^-53, and there are fewer than 2^52 numbers.
      let offset = Int(generator.nextUnit() * Double(total - index))
      numbers.swapAt(index, index + offset)
    }
    return numbers[..<count].sorted()
  }
}
