package import DuetRuntime
package import DuetSystem

/// The forward pass of a decoder layer over one sequence, and the derivatives of a loss by everything in it.
///
/// With x (n, h) the residual stream before the layer, as rows of tokens:
///
///     u = norm(x, g1)      q, k, v = u W^T + b       a = attention(rope(q), rope(k), v)
///     y = x + a Wo^T + bo
///     w = norm(y, g2)      z = silu(w Wg^T + bg) * (w Wu^T + bu)
///     out = y + z Wd^T + bd
///
/// `backward` goes through these lines from the last to the first. A product y = u W^T has the derivatives
/// du = dy W and dW = dy^T u; for a norm see `NormGradient`, and dg = sum over tokens of du r x.
///
/// Matrices are dense. The results do not depend on the number of threads.
package struct LayerGradient<Element: GradientElement>: ~Copyable {
  /// The sizes of the layer.
  package let configuration: Configuration
  /// n, the tokens of a sequence.
  package let tokenCount: Int
  /// The residual stream after the layer, (n, hiddenSize); set by `forward`.
  package private(set) var output: Buffer<Element>

  /// The mean of the squared derivatives by the outputs of each matrix for each token, (matrices, n), in the order
  /// of `LayerTensors.matrices`; set by `backward`.
  package let outputSquares: Buffer<Element>

  private let algebra: LinearAlgebra
  private let layout: LayerParameterLayout
  private let norms: NormGradient<Element>
  private var attention: AttentionGradient<Element>
  /// x and y, (n, hiddenSize), and r of both norms, (n).
  private var input: Buffer<Element>
  private var middle: Buffer<Element>
  private let inputScale: Buffer<Element>
  private let middleScale: Buffer<Element>
  /// u and w, (n, hiddenSize).
  private let attentionInput: Buffer<Element>
  private let feedForwardInput: Buffer<Element>
  /// The two products of the feed-forward part and z, (n, intermediateSize).
  private let gate: Buffer<Element>
  private let up: Buffer<Element>
  private let gated: Buffer<Element>
  /// Derivatives of the same shapes.
  private let gateGradient: Buffer<Element>
  private let upGradient: Buffer<Element>
  private var streamGradient: Buffer<Element>
  private let normGradient: Buffer<Element>

  /// A layer with these sizes.
  ///
  /// - Parameters:
  ///   - configuration: The sizes.
  ///   - tokenCount: n, the tokens of a sequence, at least 1.
  ///   - algebra: The threads to compute with.
  package init(_ configuration: Configuration, tokenCount: Int, _ algebra: LinearAlgebra) {
    precondition(tokenCount > 0, "a sequence of \(tokenCount) tokens")
    let (h, f) = (configuration.hiddenSize, configuration.intermediateSize)
    self.configuration = configuration
    self.tokenCount = tokenCount
    self.algebra = algebra
    layout = LayerParameterLayout(configuration)
    norms = NormGradient(width: h, epsilon: Element(configuration.normEpsilon))
    attention = AttentionGradient(configuration, tokenCount: tokenCount, algebra)
    output = Buffer(count: tokenCount * h)
    outputSquares = Buffer(count: layout.matrices.count * tokenCount)
    input = Buffer(count: tokenCount * h)
    middle = Buffer(count: tokenCount * h)
    inputScale = Buffer(count: tokenCount)
    middleScale = Buffer(count: tokenCount)
    attentionInput = Buffer(count: tokenCount * h)
    feedForwardInput = Buffer(count: tokenCount * h)
    gate = Buffer(count: tokenCount * f)
    up = Buffer(count: tokenCount * f)
    gated = Buffer(count: tokenCount * f)
    gateGradient = Buffer(count: tokenCount * f)
    upGradient = Buffer(count: tokenCount * f)
    streamGradient = Buffer(count: tokenCount * h)
    normGradient = Buffer(count: tokenCount * h)
  }

  // MARK: - Forward

  /// Runs the layer over a sequence, and keeps what `backward` needs.
  ///
  /// - Parameters:
  ///   - x: The residual stream before the layer, (n, hiddenSize).
  ///   - parameters: The layer.
  /// - Complexity: Two operations for each weight and token, and the attention.
  package mutating func forward(
    _ x: borrowing Buffer<Element>, _ parameters: borrowing LayerParameters<Element>
  ) {
    precondition(x.count == input.count, "\(x.count) numbers for \(input.count)")
    for index in 0..<x.count { input[index] = x[index] }
    normalize(input, parameters, 0, scale: inputScale, into: attentionInput)
    multiply(attentionInput, parameters, "q_proj", into: attention.queries)
    multiply(attentionInput, parameters, "k_proj", into: attention.keys)
    multiply(attentionInput, parameters, "v_proj", into: attention.values)
    attention.forward()
    multiply(attention.output, parameters, "o_proj", into: middle, plus: input)
    normalize(middle, parameters, 1, scale: middleScale, into: feedForwardInput)
    multiply(feedForwardInput, parameters, "gate_proj", into: gate)
    multiply(feedForwardInput, parameters, "up_proj", into: up)
    let (g, u, z) = unsafe (gate.pointer, up.pointer, gated.pointer)
    algebra.forEachChunk(gated.count) { range in
      for index in range {
        unsafe z[index] = unsafe g[index] / (1 + Element.exponential(-g[index])) * u[index]
      }
    }
    multiply(gated, parameters, "down_proj", into: output, plus: middle)
  }

  /// r and u of a norm.
  private func normalize(
    _ x: borrowing Buffer<Element>, _ parameters: borrowing LayerParameters<Element>, _ norm: Int,
    scale: borrowing Buffer<Element>, into result: borrowing Buffer<Element>
  ) {
    let (h, norms) = (configuration.hiddenSize, norms)
    let (source, scales, target) = unsafe (x.pointer, scale.pointer, result.pointer)
    let gains = unsafe parameters.pointer(layout.norms[norm])
    algebra.pool.run(tokenCount) { token, _ in
      unsafe scales[token] = unsafe norms.forward(
        source + token * h, gains, into: target + token * h)
    }
  }

  /// result = rest + x W^T + b, with rest zero where it is not given.
  private func multiply(
    _ x: borrowing Buffer<Element>, _ parameters: borrowing LayerParameters<Element>,
    _ name: String, into result: borrowing Buffer<Element>
  ) {
    let index = LayerParameterLayout.index(of: name)
    let place = layout.matrices[index]
    unsafe algebra.multiply(
      tokenCount, place.rowCount, place.columnCount, x.pointer, place.columnCount, false,
      parameters.pointer(place), place.columnCount, true, result.pointer, place.rowCount)
    guard let bias = layout.biases[index] else { return }
    let (target, numbers, m) = unsafe (result.pointer, parameters.pointer(bias), place.rowCount)
    algebra.pool.run(tokenCount) { token, _ in
      for row in 0..<m { unsafe target[token * m + row] += numbers[row] }
    }
  }

  private func multiply(
    _ x: borrowing Buffer<Element>, _ parameters: borrowing LayerParameters<Element>,
    _ name: String, into result: borrowing Buffer<Element>, plus rest: borrowing Buffer<Element>
  ) {
    multiply(x, parameters, name, into: result)
    let (target, source) = unsafe (result.pointer, rest.pointer)
    algebra.forEachChunk(result.count) { range in
      for index in range { unsafe target[index] += source[index] }
    }
  }

  // MARK: - Backward

  /// Adds the derivatives of a loss by all parameters to `gradients`, and computes those by the input.
  ///
  /// - Parameters:
  ///   - gradient: The derivatives by `output`, (n, hiddenSize).
  ///   - parameters: The layer that `forward` ran through last.
  ///   - gradients: Where the derivatives by the parameters are added.
  ///   - inputGradient: The derivatives by the residual stream before the layer, (n, hiddenSize), overwritten.
  /// - Complexity: Twice that of `forward`.
  package mutating func backward(
    _ gradient: borrowing Buffer<Element>, _ parameters: borrowing LayerParameters<Element>,
    into gradients: inout LayerParameters<Element>, inputGradient: inout Buffer<Element>
  ) {
    precondition(
      gradient.count == output.count && inputGradient.count == output.count,
      "\(gradient.count) and \(inputGradient.count) numbers for \(output.count)")
    // The gradient by the stream between attention and feed-forward begins as that by the output.
    for index in 0..<gradient.count { streamGradient[index] = gradient[index] }
    // The derivatives by z are in `upGradient` first, so that one buffer less is needed.
    backward(
      streamGradient, through: "down_proj", of: gated, parameters, &gradients, into: upGradient)
    let (g, u) = unsafe (gate.pointer, up.pointer)
    let (dg, du) = unsafe (gateGradient.pointer, upGradient.pointer)
    algebra.forEachChunk(gated.count) { range in
      for index in range {
        // silu(g) = g s, its derivative s (1 + g (1 - s)), s = 1 / (1 + e^-g).
        let s = unsafe 1 / (1 + Element.exponential(-g[index]))
        let dz = unsafe du[index]
        unsafe dg[index] = unsafe dz * u[index] * s * (1 + g[index] * (1 - s))
        unsafe du[index] = unsafe dz * g[index] * s
      }
    }
    backward(
      gateGradient, through: "gate_proj", of: feedForwardInput, parameters, &gradients,
      into: normGradient)
    backward(
      upGradient, through: "up_proj", of: feedForwardInput, parameters, &gradients,
      into: normGradient, old: 1)
    backward(normGradient, throughNorm: 1, of: middle, middleScale, parameters, &gradients)
    backward(
      streamGradient, through: "o_proj", of: attention.output, parameters, &gradients,
      into: attention.outputGradient)
    attention.backward()
    backward(
      attention.queryGradient, through: "q_proj", of: attentionInput, parameters, &gradients,
      into: normGradient)
    backward(
      attention.keyGradient, through: "k_proj", of: attentionInput, parameters, &gradients,
      into: normGradient, old: 1)
    backward(
      attention.valueGradient, through: "v_proj", of: attentionInput, parameters, &gradients,
      into: normGradient, old: 1)
    backward(normGradient, throughNorm: 0, of: input, inputScale, parameters, &gradients)
    for index in 0..<inputGradient.count { inputGradient[index] = streamGradient[index] }
  }

  /// The derivatives of a product y = x W^T + b: by W and b they are added, dx = old dx + dy W.
  private func backward(
    _ dy: borrowing Buffer<Element>, through name: String, of x: borrowing Buffer<Element>,
    _ parameters: borrowing LayerParameters<Element>,
    _ gradients: inout LayerParameters<Element>, into dx: borrowing Buffer<Element>,
    old: Element = 0
  ) {
    let index = LayerParameterLayout.index(of: name)
    let place = layout.matrices[index]
    let (m, n) = (place.rowCount, place.columnCount)
    unsafe algebra.multiply(
      m, n, tokenCount, dy.pointer, m, true, x.pointer, n, false, old: 1,
      gradients.pointer(place), n)
    unsafe algebra.multiply(
      tokenCount, n, m, dy.pointer, m, false, parameters.pointer(place), n, false, old: old,
      dx.pointer, n)
    let (source, count) = unsafe (dy.pointer, tokenCount)
    let squares = unsafe outputSquares.pointer + index * count
    algebra.pool.run(count) { token, _ in
      var sum = Element.zero
      for row in 0..<m { sum += unsafe source[token * m + row] * source[token * m + row] }
      unsafe squares[token] = sum / Element(m)
    }
    guard let bias = layout.biases[index] else { return }
    let target = unsafe gradients.pointer(bias)
    algebra.pool.run((m + 63) / 64) { part, _ in
      for token in 0..<count {
        for row in part * 64..<min(part * 64 + 64, m) {
          unsafe target[row] += source[token * m + row]
        }
      }
    }
  }

  /// The derivatives of a norm: by its gains they are added, those by its input are added to `streamGradient`.
  private func backward(
    _ du: borrowing Buffer<Element>, throughNorm norm: Int, of x: borrowing Buffer<Element>,
    _ scale: borrowing Buffer<Element>, _ parameters: borrowing LayerParameters<Element>,
    _ gradients: inout LayerParameters<Element>
  ) {
    let (h, count) = (configuration.hiddenSize, tokenCount)
    let place = layout.norms[norm]
    let (derivative, source, scales) = unsafe (du.pointer, x.pointer, scale.pointer)
    let gains = unsafe parameters.pointer(place)
    let stream = unsafe streamGradient.pointer
    unsafe norms.addGainGradient(
      derivative, source, scales: scales, count: count, into: gradients.pointer(place), algebra)
    let norms = norms
    algebra.pool.run(count) { token, _ in
      unsafe norms.backward(
        derivative + token * h, source + token * h, scale: scales[token], gains,
        into: stream + token * h, old: 1)
    }
  }
}
