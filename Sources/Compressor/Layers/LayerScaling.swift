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
    to weight: inout Matrix<Float>, _ input: LinearInput, name: String, _ algebra: LinearAlgebra
  ) {
    if let factors = factors[input] { algebra.scaleColumns(&weight, by: factors) }
    if let factors = outputFactors(name) {
      algebra.scaleRows(&weight, by: factors.map { 1 / $0 })
    }
  }

  /// The factors of the input that the outputs of a matrix become.
  private func outputFactors(_ name: String) -> [Float]? {
    if name.hasSuffix(".v_proj") { return factors[.attentionOutput] }
    if name.hasSuffix(".up_proj") { return factors[.down] }
    return nil
  }

  /// The tensors of the source that a matrix brings along changed: the norm before q and before gate, and
  /// the bias of v and up; in F32.
  ///
  /// - Parameters:
  ///   - name: The matrix, without ".weight".
  ///   - checkpoint: The source.
  /// - Returns: The tensors, none where nothing is rescaled.
  /// - Throws: `CheckpointError`, `FileError`.
  func replacements(_ name: String, _ checkpoint: Checkpoint) throws -> [StoredTensor] {
    var changed: [(String, [Float])] = []
    if let norm = Self.norm(of: name), let factors = factors[norm.input] {
      changed.append((norm.name, factors))
    }
    if let factors = outputFactors(name), checkpoint.contains("\(name).bias") {
      changed.append(("\(name).bias", factors))
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

  /// The norm whose gains a matrix brings along, the first of those that share its input.
  private static func norm(of name: String) -> (name: String, input: LinearInput)? {
    for (suffix, norm, input) in [
      ("self_attn.q_proj", "input_layernorm.weight", LinearInput.attention),
      ("mlp.gate_proj", "post_attention_layernorm.weight", .feedForward),
    ] where name.hasSuffix(suffix) {
      return ("\(name.dropLast(suffix.count))\(norm)", input)
    }
    return nil
  }

  /// The inputs of a layer that can be rescaled.
  static func inputs(
    _ layer: LayerLinears, _ configuration: Configuration
  ) -> [LinearInput] {
    let names = layer.all.map { String($0.name.split(separator: ".").last ?? "") }
    func compresses(_ needed: [String]) -> Bool { needed.allSatisfy(names.contains) }
    var result: [LinearInput] = []
    if compresses(["q_proj", "k_proj", "v_proj"]) { result.append(.attention) }
    if compresses(["v_proj", "o_proj"]), configuration.queryWidth == configuration.keyValueWidth {
      result.append(.attentionOutput)
    }
    if compresses(["gate_proj", "up_proj"]) { result.append(.feedForward) }
    if compresses(["up_proj", "down_proj"]) { result.append(.down) }
    return result
  }

  /// The names of the tensors that a layer's matrices bring along, as far as they are in the source.
  static func replacedNames(
    _ layer: LayerLinears, _ configuration: Configuration, index: Int
  ) -> [String] {
    let prefix = "model.layers.\(index)"
    return inputs(layer, configuration).map { input in
      switch input {
      case .attention: "\(prefix).input_layernorm.weight"
      case .attentionOutput: "\(prefix).self_attn.v_proj.bias"
      case .feedForward: "\(prefix).post_attention_layernorm.weight"
      case .down: "\(prefix).mlp.up_proj.bias"
      }
    }
  }
}

extension CompressedLinear {
  /// The tensors of the source that come with the matrix, changed.
  func replacements(in checkpoint: Checkpoint) -> [StoredTensor] {
    tensors.filter { checkpoint.contains($0.name) }
  }
}
