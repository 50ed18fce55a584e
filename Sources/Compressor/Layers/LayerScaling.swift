internal import DuetRuntime

/// The factors that rescale the inputs of a decoder layer, and their effect on its weights.
///
/// The running model needs no extra multiplication: the factors of an input are multiplied into the matrices
/// that take the input, and their inverses into the gains of the norm before q, k, v and before gate and up,
/// into the rows of v_proj before o_proj, and into the rows of up_proj before down_proj. An input is not
/// rescaled when one of these matrices is not compressed, or when several query heads share one value head.
struct LayerScaling {
  /// The factors of the inputs that are rescaled.
  private var factors: [LinearInput: [Float]] = [:]
  /// The exponents that the factors were computed with.
  private var exponents: [LinearInput: Double] = [:]

  /// Whether nothing is rescaled.
  var isEmpty: Bool { factors.isEmpty }

  /// Sets the factors of an input.
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

  /// W <- diag(t)^-1 W diag(s), with s the factors of its input and t those of the input that its outputs
  /// become.
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

  /// The tensors of the source that change with a matrix, in F32: the norm with q and with gate, the bias
  /// with v and with up.
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
    // The norm is stored with the first of the matrices that share an input.
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
  /// All matrices that multiply such an input are compressed. It is the output of a norm, or comes from a
  /// compressed matrix that has as many outputs as the input has channels.
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

  /// The names of the tensors that change with a layer's matrices; the source need not have all of them.
  static func replacedNames(
    _ layer: LayerLinears, _ configuration: Configuration, index: Int
  ) -> [String] {
    inputs(layer, configuration).compactMap { input in
      input.norm?.name(inLayer: index)
        ?? input.scalingMatrix.map { "\($0.name(inLayer: index)).bias" }
    }
  }
}
