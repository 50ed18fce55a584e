internal import DuetSystem

/// Consecutive rows of a batch at consecutive positions of a sequence.
struct TokenRun: Sendable, Equatable {
  /// The rows.
  let rows: Range<Int>
  /// The position of the first row in its sequence, in tokens.
  let position: Int
}

/// The rows of a sequence in a batch, with continuations that do not see each other.
struct PackedSequence: Sendable, Equatable {
  /// The rows, in the order in which they are computed.
  ///
  /// A row attends to itself, to the rows before it in its run and, at each position before the run, to
  /// the latest row at that position. So runs that begin at the same position are alternative
  /// continuations of the same tokens.
  var runs: [TokenRun]
}

/// Memory for the keys and values of one sequence and one head, for each worker.
///
/// Attention over packed sequences needs no more, because heads and sequences do not see each other.
struct PackedKeys: ~Copyable {
  /// The most positions of a sequence.
  let capacity: Int
  let headSize: Int
  /// For each worker the keys, rotated, then the values, in the order of `kernels_head`.
  private let numbers: Buffer<Float>
  /// The number of workers.
  let threadCount: Int

  /// Memory for `threadCount` workers.
  init(_ configuration: Configuration, capacity: Int, threadCount: Int) {
    self.capacity = capacity
    self.threadCount = threadCount
    headSize = configuration.headSize
    let padded = unsafe KeyValueHead.paddedCapacity(capacity)
    numbers = unsafe Buffer(
      count: threadCount * 2 * padded * configuration.headSize + KeyValueHead.paddingCount)
  }

  /// The memory of the workers as if they were the heads of a layer.
  @unsafe
  var heads: KeyValueHeads {
    let count = unsafe KeyValueHead.paddedCapacity(capacity) * headSize
    return unsafe KeyValueHeads(
      first: KeyValueHead(
        keys: numbers.pointer, values: numbers.pointer + count, keyScales: nil, valueScales: nil,
        headSize: headSize, type: .f32),
      byteStride: 2 * count * MemoryLayout<Float>.stride)
  }
}

extension ForwardPass {
  /// Runs `layer` over the rows of `sequences`, which together are the first rows of `hidden`.
  ///
  /// - Parameters:
  ///   - layer: The weights.
  ///   - hidden: The residual stream, (rows, hiddenSize), changed in place.
  ///   - sequences: The sequences, with at most `tokenLimit` rows in all.
  ///   - keys: Memory for the longest sequence.
  /// - Complexity: One pass over the weights of the layer.
  mutating func run(
    _ layer: DecoderLayer, _ hidden: inout Buffer<Float>, sequences: [PackedSequence],
    keys: inout PackedKeys
  ) {
    let configuration = configuration
    let runs = sequences.flatMap(\.runs)
    prepareAngles(runs)
    run(
      layer, &hidden, tokenCount: runs.map(\.rows.upperBound).max() ?? 0,
      observe: { _, _, _, _ in }
    ) { context, activations in
      context.attend(
        &activations.projected, activations.angles, within: sequences, keys: keys,
        configuration, into: &activations.attended)
    }
  }
}
