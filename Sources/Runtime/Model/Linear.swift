/// One or more weight matrices that share their input, multiplied as one job: y = x W^T + b.
///
/// The rows of the parts follow each other in the output: the queries, keys and values of a token
/// stand side by side, and so do gate and up.
public struct Linear: Sendable {
  /// The matrices, in the order of their rows in the output.
  let parts: [DenseMatrix]
  /// (outputSize) numbers to add, or nil when no part has a bias.
  let bias: [Float]?

  /// The number of columns of every part.
  public let inputSize: Int
  /// The number of rows of all parts.
  public let outputSize: Int

  /// The linear layer of the stored tensors `<name>.weight` and, if it has biases, `<name>.bias`.
  ///
  /// - Parameters:
  ///   - checkpoint: Where the tensors are.
  ///   - parts: For each part its name without ".weight" and its number of rows.
  ///   - inputSize: The columns of every part.
  ///   - hasBias: Whether every part has a bias.
  /// - Throws: `CheckpointError` when a tensor is missing or not what is expected.
  init(
    _ checkpoint: borrowing Checkpoint, _ parts: [(name: String, outputSize: Int)], inputSize: Int,
    hasBias: Bool = false
  ) throws(CheckpointError) {
    var matrices: [DenseMatrix] = []
    var bias: [Float] = []
    for (name, outputSize) in parts {
      matrices.append(
        try DenseMatrix(
          checkpoint, "\(name).weight", outputSize: outputSize, inputSize: inputSize))
      if hasBias {
        bias += try checkpoint.vector(named: "\(name).bias", count: outputSize)
      }
    }
    self.parts = matrices
    self.bias = hasBias ? bias : nil
    self.inputSize = inputSize
    self.outputSize = matrices.reduce(0) { $0 + $1.outputSize }
  }

  /// The element type of the weights, as checkpoints name it.
  public var elementTypeName: String { parts.first?.elementType.rawValue ?? "" }

  /// The shapes of the parts, (outputSize, inputSize) each.
  public var shapes: [(outputSize: Int, inputSize: Int)] {
    parts.map { ($0.outputSize, $0.inputSize) }
  }

  /// The bytes of all weights, which one token reads once.
  public var byteCount: Int { parts.reduce(0) { $0 + $1.byteCount } }
}
