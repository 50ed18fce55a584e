package import DuetRuntime

/// The second moment of a linear layer's inputs, H = E[x x^T], neither centred nor damped.
///
/// Up to the factor 2 it is the Hessian of the layer's squared error.
package struct Hessian: ~Copyable, Sendable {
  /// (size, size), symmetric, both triangles filled.
  package var matrix: Matrix<Double>
  /// The number of tokens that the mean was taken over.
  package let tokenCount: Int

  /// The number of inputs.
  package var size: Int { matrix.rowCount }

  /// Whether all inputs were zero on all tokens.
  package var isZero: Bool { (0..<size).allSatisfy { matrix[$0, $0] == 0 } }

  /// Sets a Hessian that is zero to the identity, so that all weights count the same.
  ///
  /// - Returns: Whether it was zero.
  package mutating func replaceZero() -> Bool {
    guard isZero else { return false }
    for index in 0..<size { matrix[index, index] = 1 }
    return true
  }

  /// A second moment.
  ///
  /// - Precondition: `matrix` is square.
  package init(matrix: consuming Matrix<Double>, tokenCount: Int) {
    precondition(
      matrix.rowCount == matrix.columnCount,
      "a Hessian of (\(matrix.rowCount), \(matrix.columnCount))")
    self.matrix = matrix
    self.tokenCount = tokenCount
  }
}

/// The Hessians of a decoder layer's inputs, or of some of them.
package struct LayerHessians: ~Copyable, Sendable {
  private var attention: Hessian?
  private var attentionOutput: Hessian?
  private var feedForward: Hessian?
  private var down: Hessian?

  /// No Hessians.
  init() {}

  /// The Hessians of all four inputs.
  package init(
    attention: consuming Hessian, attentionOutput: consuming Hessian,
    feedForward: consuming Hessian, down: consuming Hessian
  ) {
    self.attention = consume attention
    self.attentionOutput = consume attentionOutput
    self.feedForward = consume feedForward
    self.down = consume down
  }

  /// Removes and returns the Hessian of `input`, or returns nil if there is none.
  package mutating func take(_ input: LinearInput) -> Hessian? {
    switch input {
    case .attention: attention.take()
    case .attentionOutput: attentionOutput.take()
    case .feedForward: feedForward.take()
    case .down: down.take()
    }
  }

  /// Stores the Hessian of `input`.
  package mutating func put(_ hessian: consuming Hessian, _ input: LinearInput) {
    switch input {
    case .attention: attention = consume hessian
    case .attentionOutput: attentionOutput = consume hessian
    case .feedForward: feedForward = consume hessian
    case .down: down = consume hessian
    }
  }
}
