internal import DuetSystem

/// Rows of a batch that stand next to each other in a sequence.
struct TokenRun: Sendable, Equatable {
  /// The rows.
  let rows: Range<Int>
  /// The position of the first in its sequence, in tokens.
  let position: Int
}

/// A sequence with several ends, none of which sees another, as rows of a batch.
struct PackedSequence: Sendable, Equatable {
  /// The rows in the order in which they attend.
  ///
  /// Each run sees itself and what was last at the positions before it. So runs at the same position
  /// continue the same beginning.
  var runs: [TokenRun]
}

/// Room for the keys and values of one sequence and one head, once for each worker.
///
/// All that attention over packed sequences has to remember: heads and sequences do not see each other.
struct PackedKeys: ~Copyable {
  /// The most positions of a sequence.
  let capacity: Int
  let headSize: Int
  /// (worker, 2, capacity, headSize): keys, rotated, then values.
  var numbers: Buffer<Float>

  /// Room for `threadCount` workers.
  init(_ configuration: Configuration, capacity: Int, threadCount: Int) {
    self.capacity = capacity
    headSize = configuration.headSize
    numbers = Buffer(count: threadCount * 2 * capacity * configuration.headSize)
  }

  /// The numbers of one worker.
  var countPerWorker: Int { 2 * capacity * headSize }
}

extension ForwardPass {
  /// Runs `layer` over the rows of `sequences`, which make up all rows from 0 on.
  ///
  /// - Parameters:
  ///   - layer: The weights.
  ///   - hidden: The residual stream, (rows, hiddenSize), changed in place.
  ///   - sequences: Where the rows belong, at most `tokenLimit` in all.
  ///   - keys: Room for the longest of them.
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
        &activations.projected, activations.angles, within: sequences, keys: &keys,
        configuration, into: &activations.attended)
    }
  }
}
