internal import DuetRuntime

/// The rescaled inputs of a decoder layer: what is multiplied into its weights, and what they take into
/// account elsewhere.
///
/// Nothing is multiplied when the model runs: the inverse of an input's factors goes into what makes the
/// input, the gains of the norm before q, k, v and before gate and up, the rows of v_proj before o_proj,
/// and the rows of up_proj before down_proj. Where that is not possible, because a matrix that takes
/// part stays as it is, or because several query heads share the values of one, inputs are not rescaled.
struct LayerScaling {
  /// The factors of the inputs that are rescaled.
  private var factors: [LinearInput: [Float]] = [:]
  /// The exponents that gave them.
  private var exponents: [LinearInput: Double] = [:]

  /// Whether nothing is rescaled.
  var isEmpty: Bool { factors.isEmpty }

  /// Takes over the factors of an input.
  mutating func add(_ input: LinearInput, exponent: Double, _ values: [Float]) {
    factors[input] = values
    exponents[input] = exponent
  }

  /// The exponent for the inputs of a matrix, or nil when they are not rescaled.
  func exponent(_ input: LinearInput) -> Double? { exponents[input] }

  /// H <- diag(s)^-1 H diag(s)^-1.
  func apply(to hessian: inout Matrix<Double>, _ input: LinearInput, _ algebra: LinearAlgebra) {
    guard let factors = factors[input] else { return }
    let (n, target) = unsafe (hessian.rowCount, hessian.pointer)
    algebra.pool.run(n) { row, _ in
      for column in 0..<n {
        unsafe target[row * n + column] /= Double(factors[row]) * Double(factors[column])
      }
    }
  }

  /// W <- diag(t)^-1 W diag(s): s of its own inputs, t of those that its outputs become.
  func apply(
    to weight: inout Matrix<Float>, of linear: LayerLinears.Linear, _ algebra: LinearAlgebra
  ) {
    if let factors = factors[linear.input] { algebra.scaleColumns(&weight, by: factors) }
    if let factors = outputFactors(linear) {
      algebra.scaleRows(&weight, by: factors.map { 1 / $0 })
    }
  }

  /// The factors of the input that the outputs of a matrix become.
  private func outputFactors(_ linear: LayerLinears.Linear) -> [Float]? {
    linear.row.scaledInput.flatMap { factors[$0] }
  }

  /// The tensors of the source that a matrix brings along changed: the norm before q and before gate, and
  /// the bias of v and up; in F32.
  ///
  /// - Parameters:
  ///   - linear: The matrix.
  ///   - checkpoint: The source.
  /// - Returns: The tensors, none where nothing is rescaled.
  /// - Throws: `CheckpointError`, `FileError`.
  func replacements(
    _ linear: LayerLinears.Linear, _ checkpoint: Checkpoint
  ) throws -> [StoredTensor] {
    var changed: [(String, [Float])] = []
    // The first of the matrices that share an input brings the norm.
    if linear.input.matrices.first?.name == linear.row.name, let norm = linear.input.norm,
      let factors = factors[linear.input]
    {
      changed.append((norm.name(inLayer: linear.layer), factors))
    }
    if let factors = outputFactors(linear), checkpoint.contains("\(linear.name).bias") {
      changed.append(("\(linear.name).bias", factors))
    }
    return try changed.map { name, factors in
      let tensor = try checkpoint.tensor(named: name, shape: [factors.count])
      var numbers = Matrix<Float>(widening: tensor, rowCount: 1, columnCount: factors.count)
      for (index, factor) in factors.enumerated() { numbers[0, index] /= factor }
      let stored = try numbers.storedTensor(named: name)
      return StoredTensor(
        name: name, elementType: .f32, shape: [factors.count], file: stored.file, byteOffset: 0)
    }
  }

  /// The inputs of a layer that can be rescaled.
  ///
  /// All matrices that multiply the input are compressed. The inverse goes into its norm, or into a
  /// compressed matrix whose outputs are as many as its channels.
  static func inputs(
    _ layer: LayerLinears, _ configuration: Configuration
  ) -> [LinearInput] {
    LinearInput.allCases.filter { input in
      guard layer.sharing(input).count == input.matrices.count else { return false }
      if input.norm != nil { return true }
      return layer.all.contains {
        $0.row.scaledInput == input && $0.outputSize == input.size(configuration)
      }
    }
  }

  /// The names of the tensors that a layer's matrices bring along, as far as they are in the source.
  static func replacedNames(
    _ layer: LayerLinears, _ configuration: Configuration, index: Int
  ) -> [String] {
    inputs(layer, configuration).compactMap { input in
      input.norm?.name(inLayer: index)
        ?? input.scalingMatrix.map { "\($0.name(inLayer: index)).bias" }
    }
  }
}

extension CompressedLinear {
  /// The tensors of the source that come with the matrix, changed.
  func replacements(in checkpoint: Checkpoint) -> [StoredTensor] {
    tensors.filter { checkpoint.contains($0.name) }
  }
}
