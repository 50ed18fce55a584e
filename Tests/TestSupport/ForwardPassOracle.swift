internal import DuetRuntime
import Foundation

/// The forward pass written out in Double, one token and one number at a time: the oracle of `Session`.
package struct ForwardPassOracle {
  private let checkpoint: TinyCheckpoint

  /// The rows of one sequence that a layer's matrices multiply, (tokens, inputs) each.
  package struct LayerInputs {
    /// The input of the query, key and value matrices.
    package var attention: [[Double]] = []
    /// The input of the attention output matrix.
    package var attentionOutput: [[Double]] = []
    /// The input of the gate and up matrices.
    package var feedForward: [[Double]] = []
    /// The input of the down matrix.
    package var down: [[Double]] = []

    /// Inputs without rows.
    package init() {}
  }

  /// The oracle of a model with these weights.
  package init(checkpoint: TinyCheckpoint) { self.checkpoint = checkpoint }

  private var configuration: Configuration { checkpoint.configuration }

  /// The logits after each token, (tokens.count, vocabularySize).
  package func logits(_ tokens: [Int]) -> [[Double]] {
    var stream = embeddings(tokens)
    for layer in 0..<configuration.layerCount { advance(&stream, through: layer) }
    let head = configuration.tiesEmbeddings ? "model.embed_tokens" : "lm_head"
    return stream.map { linear(norm($0, "model.norm"), head) }
  }

  /// The residual stream before the first layer, (tokens.count, hiddenSize).
  package func embeddings(_ tokens: [Int]) -> [[Double]] {
    tokens.map { row($0, of: "model.embed_tokens.weight") }
  }

  /// Replaces the residual stream before a layer by the one after it, and returns the matrices'
  /// inputs.
  @discardableResult
  package func advance(_ stream: inout [[Double]], through layer: Int) -> LayerInputs {
    let prefix = "model.layers.\(layer)"
    var inputs = LayerInputs()
    inputs.attention = stream.map { norm($0, "\(prefix).input_layernorm") }
    inputs.attentionOutput = attend(inputs.attention, "\(prefix).self_attn")
    for token in stream.indices {
      let attended = linear(inputs.attentionOutput[token], "\(prefix).self_attn.o_proj")
      stream[token] = sum(stream[token], attended)
      let input = norm(stream[token], "\(prefix).post_attention_layernorm")
      let gate = linear(input, "\(prefix).mlp.gate_proj")
      let up = linear(input, "\(prefix).mlp.up_proj")
      let product = zip(gate, up).map { $0 / (1 + exp(-$0)) * $1 }
      stream[token] = sum(stream[token], linear(product, "\(prefix).mlp.down_proj"))
      inputs.feedForward.append(input)
      inputs.down.append(product)
    }
    return inputs
  }

  private func attend(_ inputs: [[Double]], _ prefix: String) -> [[Double]] {
    let size = configuration.headSize
    let queries = inputs.enumerated().map { rotated(linear($1, "\(prefix).q_proj"), at: $0) }
    let keys = inputs.enumerated().map { rotated(linear($1, "\(prefix).k_proj"), at: $0) }
    let values = inputs.map { linear($0, "\(prefix).v_proj") }
    return queries.indices.map { position in
      (0..<configuration.headCount).flatMap { head -> [Double] in
        let group = head / (configuration.headCount / configuration.keyValueHeadCount)
        let first = configuration.slidingWindow.map { max(0, position - $0 + 1) } ?? 0
        let query = queries[position][head * size..<(head + 1) * size]
        let scores = (first...position).map { key in
          zip(query, keys[key][group * size..<(group + 1) * size]).reduce(0) { $0 + $1.0 * $1.1 }
            / Double(size).squareRoot()
        }
        let weights = scores.map { exp($0 - (scores.max() ?? 0)) }
        let total = weights.reduce(0, +)
        return (0..<size).map { d in
          weights.indices.reduce(0) {
            $0 + weights[$1] / total * values[first + $1][group * size + d]
          }
        }
      }
    }
  }

  private func rotated(_ heads: [Double], at position: Int) -> [Double] {
    let size = configuration.headSize
    var result = heads
    for start in stride(from: 0, to: heads.count, by: size) {
      for pair in 0..<size / 2 {
        var frequency = pow(configuration.rotaryBase, -2 * Double(pair) / Double(size))
        if case .linear(let factor) = configuration.rotaryScaling { frequency /= factor }
        // Of YaRN only the factor of sines and cosines; its frequencies have a test of their own.
        var magnitude = 1.0
        if case .yarn(let factor, let attentionFactor, _, _, _, _) = configuration.rotaryScaling {
          precondition(factor == 1, "the oracle has no frequencies of YaRN")
          magnitude = attentionFactor
        }
        let angle = Double(position) * frequency
        let a = heads[start + pair]
        let b = heads[start + pair + size / 2]
        result[start + pair] = magnitude * (a * cos(angle) - b * sin(angle))
        result[start + pair + size / 2] = magnitude * (b * cos(angle) + a * sin(angle))
      }
    }
    return result
  }

  private func norm(_ x: [Double], _ name: String) -> [Double] {
    let meanSquare = x.reduce(0) { $0 + $1 * $1 } / Double(x.count)
    let scale = 1 / (meanSquare + configuration.normEpsilon).squareRoot()
    return zip(x, numbers("\(name).weight")).map { $0 * scale * Double($1) }
  }

  private func linear(_ x: [Double], _ name: String) -> [Double] {
    let weights = numbers("\(name).weight")
    let bias = checkpoint.tensors["\(name).bias"]?.values
    return (0..<weights.count / x.count).map { output in
      var sum = bias.map { Double($0[output]) } ?? 0
      for (input, value) in x.enumerated() {
        sum += value * Double(weights[output * x.count + input])
      }
      return sum
    }
  }

  private func row(_ index: Int, of name: String) -> [Double] {
    let width = configuration.hiddenSize
    return numbers(name)[index * width..<(index + 1) * width].map(Double.init)
  }

  private func numbers(_ name: String) -> [Float] { checkpoint.tensors[name]?.values ?? [] }

  private func sum(_ a: [Double], _ b: [Double]) -> [Double] { zip(a, b).map(+) }
}
