package import DuetRuntime

/// The second moment of a linear layer's inputs, H = E[x x^T]: the Hessian of its squared error, up to
/// the constant 2.
///
/// Neither centred nor damped.
package struct Hessian: ~Copyable, Sendable {
  /// (size, size), symmetric, both triangles filled.
  package var matrix: Matrix<Double>
  /// The tokens that the mean was taken over.
  package let tokenCount: Int

  /// The number of inputs.
  package var size: Int { matrix.rowCount }

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

  /// None.
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

  /// Hands out the Hessian of `input` with its memory, or nil when there is none.
  package mutating func take(_ input: LinearInput) -> Hessian? {
    switch input {
    case .attention: attention.take()
    case .attentionOutput: attentionOutput.take()
    case .feedForward: feedForward.take()
    case .down: down.take()
    }
  }

  /// Keeps a Hessian of `input`.
  package mutating func put(_ hessian: consuming Hessian, _ input: LinearInput) {
    switch input {
    case .attention: attention = consume hessian
    case .attentionOutput: attentionOutput = consume hessian
    case .feedForward: feedForward = consume hessian
    case .down: down = consume hessian
    }
  }
}
