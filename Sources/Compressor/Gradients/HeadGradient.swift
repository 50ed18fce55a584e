package import DuetRuntime
package import DuetSystem

/// The cross-entropy of a model by the residual stream behind its last layer, and its derivatives.
///
/// With the logits z of `OutputHead`, the loss is the mean cross-entropy of the next tokens y of a sequence of n
/// tokens:
///
///     loss = sum over t < n - 1 of (log sum over v of e^(z_tv) - z_t,y) / (n - 1)
///     dz_tv = (softmax(z_t)_v - [v = y]) / (n - 1)
package final class HeadGradient<Element: GradientElement> {
  private let algebra: LinearAlgebra
  private let head: OutputHead<Element>
  /// The logits of a block, (blockTokens, vocabularySize).
  private let logits: Buffer<Element>

  /// The head of a model with dense weights.
  ///
  /// - Throws: `CheckpointError` when a tensor is missing or has another shape or type.
  package init(
    _ checkpoint: borrowing Checkpoint, _ algebra: LinearAlgebra
  ) throws(CheckpointError) {
    self.algebra = algebra
    head = try OutputHead(checkpoint, algebra)
    logits = Buffer(count: OutputHead<Element>.blockTokens * head.vocabularySize)
  }

  /// The loss of a sequence, and its derivatives by the residual stream.
  ///
  /// - Parameters:
  ///   - x: The residual stream behind the last layer, (n, hiddenSize).
  ///   - tokens: The n tokens, at least two, all in the vocabulary.
  ///   - gradient: The derivatives by x, (n, hiddenSize), overwritten.
  /// - Returns: The mean cross-entropy of the tokens from the second on, in nats.
  /// - Complexity: Four operations for each token and element of the head.
  package func loss(
    _ x: borrowing Buffer<Element>, tokens: ArraySlice<Int>, gradient: inout Buffer<Element>
  ) -> Double {
    let (h, v, n) = (head.hiddenSize, head.vocabularySize, tokens.count)
    precondition(
      n > 1 && x.count == n * h && gradient.count == n * h,
      "\(x.count) and \(gradient.count) numbers of \(n) tokens")
    let losses = Buffer<Double>(count: n)
    let (source, out, z) = unsafe (x.pointer, gradient.pointer, logits.pointer)
    let share = 1 / Element(n - 1)
    // The last token has no next one.
    for index in (n - 1) * h..<n * h { gradient[index] = 0 }
    for first in stride(from: 0, to: n - 1, by: OutputHead<Element>.blockTokens) {
      let count = min(OutputHead<Element>.blockTokens, n - 1 - first)
      unsafe head.forward(source + first * h, count: count, into: z)
      algebra.pool.run(count) { token, _ in
        let row = unsafe z + token * v
        let next = tokens[tokens.startIndex + first + token + 1]
        let chosen = unsafe row[next]
        let (largest, sum) = unsafe Element.exponentials(row, count: v)
        unsafe losses.pointer[first + token] = Double(Element.logarithm(sum) - (chosen - largest))
        let factor = share / sum
        for index in 0..<v { unsafe row[index] *= factor }
        unsafe row[next] -= share
      }
      unsafe head.backward(z, source + first * h, count: count, into: out + first * h)
    }
    return (0..<n - 1).reduce(0) { $0 + losses[$1] } / Double(n - 1)
  }
}

extension OutputHead {
  /// The head of a model; a packed one is unpacked.
  ///
  /// - Throws: `CheckpointError` when a tensor is missing or has another shape or type.
  convenience init(
    _ checkpoint: borrowing Checkpoint, _ algebra: LinearAlgebra
  ) throws(CheckpointError) {
    let configuration = checkpoint.configuration
    let (h, v) = (configuration.hiddenSize, configuration.vocabularySize)
    let gains = try checkpoint.vector(named: "model.norm.weight", count: h)
    let name =
      configuration.tiesEmbeddings
      ? Model.storedEmbeddingName(checkpoint) : CompressedFormat.headName
    let layout =
      checkpoint.contains("\(name).weight")
      ? nil
      : configuration.compression?.vocabularyLayout(of: name, vocabularySize: v, hiddenSize: h)
    let weight: Matrix<Float>
    if let layout {
      weight = algebra.unpacked(try PackedMatrix(checkpoint, name, layout: layout))
    } else {
      let tensor = try checkpoint.tensor(named: "\(name).weight", shape: [v, h])
      weight = Matrix(widening: tensor, rowCount: v, columnCount: h)
    }
    self.init(gains: gains, weight: weight, epsilon: configuration.normEpsilon, algebra)
  }
}

extension GradientElement {
  /// Replaces numbers z by e^(z - max z).
  ///
  /// - Returns: max z, and the sum of the results.
  @unsafe
  static func exponentials(
    _ row: UnsafeMutablePointer<Self>, count: Int
  ) -> (largest: Self, sum: Self) {
    var largest = -Self.infinity
    for index in 0..<count { largest = unsafe max(largest, row[index]) }
    var sum = Self.zero
    for index in 0..<count {
      let value = unsafe exponential(row[index] - largest)
      unsafe row[index] = value
      sum += value
    }
    return (largest, sum)
  }
}
