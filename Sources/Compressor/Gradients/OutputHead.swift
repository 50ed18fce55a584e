package import DuetRuntime
internal import DuetSystem

/// The norm and the output head of a model, and the derivatives through them.
///
///     u = norm(x, g)      z = u W^T      du = dz W
///
/// Logits are computed for at most `blockTokens` tokens at a time, so that they need little memory.
package final class OutputHead<Element: GradientElement> {
  /// h, the numbers of a token.
  package let hiddenSize: Int
  /// The rows of W.
  let vocabularySize: Int
  /// g, (hiddenSize).
  var gains: Buffer<Element>

  private let algebra: LinearAlgebra
  private let norm: NormGradient<Element>
  /// W, (vocabularySize, hiddenSize).
  private let weight: Buffer<Element>
  /// u and its derivatives of a block, (blockTokens, hiddenSize), and r of the norm, (blockTokens).
  private let normalized: Buffer<Element>
  private let normGradient: Buffer<Element>
  private let scales: Buffer<Element>

  /// The most tokens of a call.
  static var blockTokens: Int { 128 }

  /// A head with these numbers.
  ///
  /// - Parameters:
  ///   - gains: g, (hiddenSize).
  ///   - weight: W, (vocabularySize, hiddenSize).
  ///   - epsilon: The number that the norm adds to the mean square.
  ///   - algebra: The threads to compute with.
  package init(
    gains: [Float], weight: borrowing Matrix<Float>, epsilon: Double, _ algebra: LinearAlgebra
  ) {
    let (v, h) = (weight.rowCount, weight.columnCount)
    precondition(gains.count == h, "\(gains.count) gains for \(h) columns")
    hiddenSize = h
    vocabularySize = v
    self.algebra = algebra
    norm = NormGradient(width: h, epsilon: Element(epsilon))
    var numbers = Buffer<Element>(count: h)
    for index in 0..<h { numbers[index] = Element(gains[index]) }
    self.gains = numbers
    let converted = Buffer<Element>(count: v * h)
    let (source, target) = unsafe (weight.pointer, converted.pointer)
    algebra.forEachChunk(v * h) { range in
      for index in range { unsafe target[index] = Element(source[index]) }
    }
    self.weight = converted
    normalized = Buffer(count: Self.blockTokens * h)
    normGradient = Buffer(count: Self.blockTokens * h)
    scales = Buffer(count: Self.blockTokens)
  }

  /// Computes the logits of a block.
  ///
  /// - Parameters:
  ///   - x: The residual stream, (count, hiddenSize).
  ///   - count: The tokens, at most `blockTokens`.
  ///   - logits: z, (count, vocabularySize), overwritten.
  @unsafe
  func forward(
    _ x: UnsafePointer<Element>, count: Int, into logits: UnsafeMutablePointer<Element>
  ) {
    precondition(count <= Self.blockTokens, "a block of \(count) tokens")
    let (h, v, norm) = (hiddenSize, vocabularySize, norm)
    let (u, r, g) = unsafe (normalized.pointer, scales.pointer, gains.pointer)
    algebra.pool.run(count) { token, _ in
      unsafe r[token] = unsafe norm.forward(x + token * h, g, into: u + token * h)
    }
    unsafe algebra.multiply(count, v, h, u, h, false, weight.pointer, h, true, logits, v)
  }

  /// Computes the derivatives by the stream of the block that `forward` ran through last.
  ///
  /// - Parameters:
  ///   - logitGradient: dz, (count, vocabularySize).
  ///   - x: The residual stream, (count, hiddenSize).
  ///   - count: The tokens of the block.
  ///   - result: dx, (count, hiddenSize), overwritten.
  ///   - gainGradient: Where dg, (hiddenSize), is added; nil when it is not wanted.
  @unsafe
  func backward(
    _ logitGradient: UnsafePointer<Element>, _ x: UnsafePointer<Element>, count: Int,
    into result: UnsafeMutablePointer<Element>,
    gainGradient: UnsafeMutablePointer<Element>? = nil
  ) {
    let (h, v, norm) = (hiddenSize, vocabularySize, norm)
    let (du, r, g) = unsafe (normGradient.pointer, scales.pointer, gains.pointer)
    unsafe algebra.multiply(
      count, h, v, logitGradient, v, false, weight.pointer, h, false, du, h)
    if let gainGradient = unsafe gainGradient {
      unsafe norm.addGainGradient(du, x, scales: r, count: count, into: gainGradient, algebra)
    }
    algebra.pool.run(count) { token, _ in
      unsafe norm.backward(
        du + token * h, x + token * h, scale: r[token], g, into: result + token * h, old: 0)
    }
  }
}
