package import DuetRuntime
package import DuetSystem

/// The loss of a model by the residual stream behind its last layer, and the derivatives of that loss.
///
/// With u = norm(x, g) and z = u W^T for a head W (vocabulary, h), the loss is the mean cross-entropy of the next
/// tokens y of a sequence of n tokens:
///
///     loss = sum over t < n - 1 of (log sum over v of e^(z_tv) - z_t,y) / (n - 1)
///     dz_tv = (softmax(z_t)_v - [v = y]) / (n - 1)
///
/// Logits are computed for some tokens at a time, so that they need little memory.
package struct HeadGradient<Element: GradientElement>: ~Copyable {
  private let hiddenSize: Int
  private let vocabularySize: Int
  private let norm: NormGradient<Element>
  private let algebra: LinearAlgebra
  /// g, (hiddenSize).
  private let gains: Buffer<Element>
  /// W, (vocabularySize, hiddenSize).
  private let head: Buffer<Element>
  /// The logits of a block, (blockTokens, vocabularySize).
  private let logits: Buffer<Element>
  /// u and its derivatives for a block, (blockTokens, hiddenSize).
  private let normalized: Buffer<Element>
  private let normGradient: Buffer<Element>

  /// The tokens whose logits are computed together.
  private static var blockTokens: Int { 128 }

  /// The head of a model with dense weights.
  ///
  /// - Throws: `CheckpointError` when a tensor is missing or has another shape or type.
  package init(
    _ checkpoint: borrowing Checkpoint, _ algebra: LinearAlgebra
  ) throws(CheckpointError) {
    let configuration = checkpoint.configuration
    let (h, v) = (configuration.hiddenSize, configuration.vocabularySize)
    let numbers = try checkpoint.vector(named: "model.norm.weight", count: h)
    let name =
      configuration.tiesEmbeddings ? CompressedFormat.embeddingName : CompressedFormat.headName
    let tensor = try checkpoint.tensor(named: "\(name).weight", shape: [v, h])
    let weight = Matrix(widening: tensor, rowCount: v, columnCount: h)
    self.algebra = algebra
    hiddenSize = h
    vocabularySize = v
    self.norm = NormGradient(width: h, epsilon: Element(configuration.normEpsilon))
    var gains = Buffer<Element>(count: h)
    for index in 0..<h { gains[index] = Element(numbers[index]) }
    self.gains = gains
    let head = Buffer<Element>(count: v * h)
    let (source, target) = unsafe (weight.pointer, head.pointer)
    algebra.forEachChunk(v * h) { range in
      for index in range { unsafe target[index] = Element(source[index]) }
    }
    self.head = head
    logits = Buffer(count: Self.blockTokens * v)
    normalized = Buffer(count: Self.blockTokens * h)
    normGradient = Buffer(count: Self.blockTokens * h)
  }

  /// The loss of a sequence, and its derivatives by the residual stream.
  ///
  /// - Parameters:
  ///   - x: The residual stream behind the last layer, (n, hiddenSize).
  ///   - tokens: The n tokens, at least two, all in the vocabulary.
  ///   - gradient: The derivatives by x, (n, hiddenSize), overwritten.
  /// - Returns: The mean cross-entropy of the tokens from the second on, in nats.
  /// - Complexity: Six operations for each token and element of the head.
  package func loss(
    _ x: borrowing Buffer<Element>, tokens: ArraySlice<Int>, gradient: inout Buffer<Element>
  ) -> Double {
    let (h, v, n) = (hiddenSize, vocabularySize, tokens.count)
    precondition(
      n > 1 && x.count == n * h && gradient.count == n * h,
      "\(x.count) and \(gradient.count) numbers of \(n) tokens")
    let losses = Buffer<Double>(count: n)
    let (source, out) = unsafe (x.pointer, gradient.pointer)
    let (u, du, z, g) = unsafe (
      normalized.pointer, normGradient.pointer, logits.pointer, gains.pointer
    )
    let (norm, share) = (norm, 1 / Element(n - 1))
    // The last token has no next one.
    for index in (n - 1) * h..<n * h { gradient[index] = 0 }
    for first in stride(from: 0, to: n - 1, by: Self.blockTokens) {
      let count = min(Self.blockTokens, n - 1 - first)
      algebra.pool.run(count) { token, _ in
        _ = unsafe norm.forward(source + (first + token) * h, g, into: u + token * h)
      }
      unsafe algebra.multiply(count, v, h, u, h, false, head.pointer, h, true, z, v)
      algebra.pool.run(count) { token, _ in
        let row = unsafe z + token * v
        let next = tokens[tokens.startIndex + first + token + 1]
        var largest = -Element.infinity
        for index in 0..<v { largest = unsafe max(largest, row[index]) }
        let chosen = unsafe row[next] - largest
        var sum = Element.zero
        for index in 0..<v {
          let value = unsafe Element.exponential(row[index] - largest)
          unsafe row[index] = value
          sum += value
        }
        unsafe losses.pointer[first + token] = Double(Element.logarithm(sum) - chosen)
        let factor = share / sum
        for index in 0..<v { unsafe row[index] *= factor }
        unsafe row[next] -= share
      }
      unsafe algebra.multiply(count, h, v, z, v, false, head.pointer, h, false, du, h)
      algebra.pool.run(count) { token, _ in
        let row = unsafe source + (first + token) * h
        unsafe norm.backward(
          du + token * h, row, scale: norm.scale(row), g, into: out + (first + token) * h, old: 0)
      }
    }
    return (0..<n - 1).reduce(0) { $0 + losses[$1] } / Double(n - 1)
  }
}
