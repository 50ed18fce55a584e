internal import DuetRuntime
package import DuetSystem

/// The divergence of one model's predictions from another's, by the residual stream behind the first model's last
/// layer, and its derivatives.
///
/// With the logits z of the model and z' of the reference, p = softmax(z) and p' = softmax(z'), the divergence of a
/// sequence of n tokens is
///
///     KL = sum over t of sum over v of p'_tv (log p'_tv - log p_tv)
///     dz_tv = p_tv - p'_tv
///
/// summed over the tokens. The gains of the norm before the model's head can be changed between calls.
package final class HeadDivergence<Element: GradientElement> {
  private let algebra: LinearAlgebra
  private let head: OutputHead<Element>
  private let reference: OutputHead<Element>
  /// The logits of a block of both, (blockTokens, vocabularySize).
  private let logits: Buffer<Element>
  private let referenceLogits: Buffer<Element>
  /// dg, (hiddenSize), summed over the calls of `divergence` with `gradient` since `clearGainGradient`.
  package private(set) var gainGradient: Buffer<Element>

  /// The heads of two models of one vocabulary.
  package init(
    _ head: OutputHead<Element>, reference: OutputHead<Element>, _ algebra: LinearAlgebra
  ) {
    precondition(
      head.vocabularySize == reference.vocabularySize,
      "vocabularies of \(head.vocabularySize) and \(reference.vocabularySize)")
    self.algebra = algebra
    self.head = head
    self.reference = reference
    let size = OutputHead<Element>.blockTokens * head.vocabularySize
    logits = Buffer(count: size)
    referenceLogits = Buffer(count: size)
    gainGradient = Buffer(count: head.hiddenSize)
  }

  /// The gains of the norm before the model's head, (hiddenSize).
  package func setGains(_ gains: [Element]) {
    precondition(gains.count == head.hiddenSize, "\(gains.count) gains")
    for (index, gain) in gains.enumerated() { head.gains[index] = gain }
  }

  /// Sets `gainGradient` to zero.
  package func clearGainGradient() {
    for index in 0..<gainGradient.count { gainGradient[index] = 0 }
  }

  /// The divergence of a sequence, in nats, summed over its tokens.
  ///
  /// - Parameters:
  ///   - x: The residual stream behind the model's last layer, (n, hiddenSize).
  ///   - referenceStream: The same of the reference, (n, hiddenSize) of its own hidden size.
  /// - Returns: The divergence, in nats.
  package func divergence(
    _ x: borrowing Buffer<Element>, from referenceStream: borrowing Buffer<Element>
  )
    -> Double
  {
    unsafe divergence(x, from: referenceStream, gradient: nil)
  }

  /// The divergence of a sequence, and its derivatives.
  ///
  /// - Parameters:
  ///   - x: The residual stream behind the model's last layer, (n, hiddenSize).
  ///   - referenceStream: The same of the reference.
  ///   - gradient: The derivatives by x, (n, hiddenSize), overwritten. Those by the gains are added to
  ///     `gainGradient`.
  /// - Returns: The divergence, in nats, summed over the tokens.
  /// - Complexity: Six operations for each token and element of the head.
  package func divergence(
    _ x: borrowing Buffer<Element>, from referenceStream: borrowing Buffer<Element>,
    gradient: inout Buffer<Element>
  ) -> Double {
    precondition(gradient.count == x.count, "\(gradient.count) numbers for \(x.count)")
    return unsafe divergence(x, from: referenceStream, gradient: gradient.pointer)
  }

  private func divergence(
    _ x: borrowing Buffer<Element>, from referenceStream: borrowing Buffer<Element>,
    gradient: UnsafeMutablePointer<Element>?
  ) -> Double {
    let (h, width, v) = (head.hiddenSize, reference.hiddenSize, head.vocabularySize)
    let n = x.count / h
    precondition(
      x.count == n * h && referenceStream.count == n * width,
      "\(x.count) and \(referenceStream.count) numbers")
    let sums = Buffer<Double>(count: n)
    let (source, other) = unsafe (x.pointer, referenceStream.pointer)
    let (z, w) = unsafe (logits.pointer, referenceLogits.pointer)
    let wantsGradient = unsafe gradient != nil
    for first in stride(from: 0, to: n, by: OutputHead<Element>.blockTokens) {
      let count = min(OutputHead<Element>.blockTokens, n - first)
      unsafe head.forward(source + first * h, count: count, into: z)
      unsafe reference.forward(other + first * width, count: count, into: w)
      algebra.pool.run(count) { token, _ in
        let (row, target) = unsafe (z + token * v, w + token * v)
        unsafe sums.pointer[first + token] = Self.divergence(row, from: target, count: v)
        guard wantsGradient else { return }
        for index in 0..<v { unsafe row[index] -= target[index] }
      }
      if let gradient = unsafe gradient {
        unsafe head.backward(
          z, source + first * h, count: count, into: gradient + first * h,
          gainGradient: gainGradient.pointer)
      }
    }
    return (0..<n).reduce(0) { $0 + sums[$1] }
  }

  /// The divergence of one token; replaces both rows of logits by their softmax.
  private static func divergence(
    _ row: UnsafeMutablePointer<Element>, from target: UnsafeMutablePointer<Element>, count: Int
  ) -> Double {
    // sum of p' (z' - z), with the largest logit taken from both, in the order of the vocabulary.
    var (largest, largestTarget) = (-Element.infinity, -Element.infinity)
    for index in 0..<count {
      largest = unsafe max(largest, row[index])
      largestTarget = unsafe max(largestTarget, target[index])
    }
    // In Double: a vocabulary has up to some hundred thousand terms.
    var (sum, targetSum, product) = (0.0, 0.0, 0.0)
    for index in 0..<count {
      let (z, w) = unsafe (row[index] - largest, target[index] - largestTarget)
      let (p, q) = (Element.exponential(z), Element.exponential(w))
      sum += Double(p)
      targetSum += Double(q)
      product += Double(q) * (Double(w) - Double(z))
      unsafe row[index] = p
      unsafe target[index] = q
    }
    let (share, targetShare) = (Element(1 / sum), Element(1 / targetSum))
    for index in 0..<count {
      unsafe row[index] *= share
      unsafe target[index] *= targetShare
    }
    return product / targetSum + Double.logarithm(sum) - Double.logarithm(targetSum)
  }
}
