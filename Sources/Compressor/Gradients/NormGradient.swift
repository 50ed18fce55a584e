internal import DuetRuntime

/// The norm of one token, and the derivatives of a loss by its input.
///
///     u = r x g,   r = (mean(x^2) + epsilon)^(-1/2)
///     dx = r (p - x r^2 mean(p x)),   p = du g
struct NormGradient<Element: GradientElement>: Sendable {
  /// h, the numbers of a token.
  let width: Int
  /// The number that is added to the mean square.
  let epsilon: Element

  /// r of a token.
  @unsafe
  func scale(_ x: UnsafePointer<Element>) -> Element {
    var sum = Element.zero
    for index in 0..<width { sum += unsafe x[index] * x[index] }
    return 1 / (sum / Element(width) + epsilon).squareRoot()
  }

  /// Computes u, and returns r.
  @unsafe
  func forward(
    _ x: UnsafePointer<Element>, _ gains: UnsafePointer<Element>,
    into u: UnsafeMutablePointer<Element>
  ) -> Element {
    let r = unsafe scale(x)
    for index in 0..<width { unsafe u[index] = unsafe r * x[index] * gains[index] }
    return r
  }

  /// Computes dx + old * rest from du, with rest what was in `dx`; `old` is 0 or 1.
  @unsafe
  func backward(
    _ du: UnsafePointer<Element>, _ x: UnsafePointer<Element>, scale r: Element,
    _ gains: UnsafePointer<Element>, into dx: UnsafeMutablePointer<Element>, old: Element
  ) {
    var sum = Element.zero
    for index in 0..<width { sum += unsafe du[index] * gains[index] * x[index] }
    let factor = r * r * sum / Element(width)
    for index in 0..<width {
      let value = unsafe r * (du[index] * gains[index] - x[index] * factor)
      unsafe dx[index] = unsafe old * dx[index] + value
    }
  }

  /// Adds dg = sum over tokens of du r x.
  ///
  /// - Parameters:
  ///   - du: (count, width).
  ///   - x: (count, width).
  ///   - scales: r of the tokens, (count).
  ///   - count: The tokens.
  ///   - result: dg, (width).
  ///   - algebra: The threads to compute with; each sums some channels over all tokens.
  @unsafe
  func addGainGradient(
    _ du: UnsafePointer<Element>, _ x: UnsafePointer<Element>, scales: UnsafePointer<Element>,
    count: Int, into result: UnsafeMutablePointer<Element>, _ algebra: LinearAlgebra
  ) {
    let width = width
    algebra.pool.run((width + 63) / 64) { part, _ in
      for token in 0..<count {
        for index in part * 64..<min(part * 64 + 64, width) {
          let element = token * width + index
          unsafe result[index] += unsafe du[element] * scales[token] * x[element]
        }
      }
    }
  }
}
