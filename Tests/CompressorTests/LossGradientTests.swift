import DuetCompressor
import DuetRuntime
import DuetSystem
import Foundation
import TestSupport
import Testing

/// The derivatives of a model's loss, against differences of the loss of an independent forward pass in Double.
@Suite("Gradient of the loss")
struct LossGradientTests {
  private static func tiny(_ change: (inout Configuration) -> Void = { _ in }) -> Configuration {
    var result = Configuration(
      hiddenSize: 24, intermediateSize: 40, layerCount: 2, headCount: 4, keyValueHeadCount: 2,
      headSize: 6, vocabularySize: 30, contextLength: 64)
    change(&result)
    return result
  }

  static let configurations: [(name: String, configuration: Configuration)] = [
    ("grouped heads", tiny()),
    ("a head for each query", tiny { $0.keyValueHeadCount = 4 }),
    (
      "one key head",
      tiny {
        $0.keyValueHeadCount = 1; $0.headSize = 10
      }
    ),
    ("a window of five tokens", tiny { $0.slidingWindow = 5 }),
    (
      "biases",
      tiny {
        $0.hasAttentionBias = true; $0.hasFeedForwardBias = true
      }
    ),
    (
      "biases of Qwen2 and a tied head",
      tiny {
        $0.architecture = .qwen2; $0.hasAttentionBias = true; $0.tiesEmbeddings = true
      }
    ),
    ("scaled rotations", tiny { $0.rotaryScaling = .linear(factor: 4) }),
  ]

  private let algebra = LinearAlgebra(WorkerPool(threadCount: 2))
  private static let tokens = (0..<13).map { ($0 * 7 + 3) % 30 }

  /// The mean cross-entropy of the tokens from the second on, by the oracle.
  private static func loss(_ checkpoint: TinyCheckpoint, _ tokens: [Int]) -> Double {
    let logits = ForwardPassOracle(checkpoint: checkpoint).logits(tokens)
    let losses = zip(logits, tokens.dropFirst()).map { row, next in
      log(row.reduce(0) { $0 + exp($1) }) - row[next]
    }
    return losses.reduce(0, +) / Double(losses.count)
  }

  /// The loss of a sequence and its derivatives.
  private struct Result<Element: GradientElement> {
    var loss = 0.0
    /// The derivatives by the parameters, by the names of the tensors.
    var byName: [String: [Element]] = [:]
    /// The mean squares of the derivatives by outputs, (matrices, tokens), by the layer.
    var squares: [Int: [Element]] = [:]

    init(_ checkpoint: TinyCheckpoint, _ tokens: [Int], _ algebra: LinearAlgebra) throws {
      let memory = try checkpoint.inMemory()
      let layout = LayerParameterLayout(checkpoint.configuration)
      var gradient = try LossGradient<Element>(
        memory, Model(memory), tokenCount: tokens.count, algebra)
      var (all, squares): ([Int: [Element]], [Int: [Element]]) = ([:], [:])
      loss = try gradient.run(tokens[...]) { layer, outputSquares, derivatives in
        all[layer] = derivatives.elements.array
        squares[layer] = outputSquares.array
      }
      self.squares = squares
      for (layer, numbers) in all {
        for (index, matrix) in LayerTensors.matrices.enumerated() {
          let name = matrix.name(inLayer: layer)
          byName["\(name).weight"] = Array(numbers[layout.matrices[index].range])
          if let bias = layout.biases[index] { byName["\(name).bias"] = Array(numbers[bias.range]) }
        }
        for (norm, place) in zip(LayerTensors.norms, layout.norms) {
          byName[norm.name(inLayer: layer)] = Array(numbers[place.range])
        }
      }
    }
  }

  @Test("derivatives equal central differences", arguments: configurations.indices)
  func equalsDifferences(index: Int) throws {
    let (name, configuration) = Self.configurations[index]
    let checkpoint = TinyCheckpoint(configuration, seed: UInt64(index + 40))
    let result = try Result<Double>(checkpoint, Self.tokens, algebra)
    // Both are in Double; angles are in Float in one of them, 2^-24 of numbers near 1, and errors grow less
    // than a hundredfold through two layers.
    #expect(abs(result.loss - Self.loss(checkpoint, Self.tokens)) < 100 * 0x1p-24, "\(name)")
    let inLayers = checkpoint.tensors.keys.filter { $0.hasPrefix("model.layers.") }.sorted()
    #expect(Set(inLayers) == Set(result.byName.keys))
    for tensor in inLayers {
      let derivatives = try #require(result.byName[tensor])
      let original = try #require(checkpoint.tensors[tensor])
      #expect(derivatives.count == original.values.count)
      // The error is relative to the largest derivative of the tensor.
      let scale = derivatives.map(abs).max() ?? 0
      for place in stride(from: 0, to: derivatives.count, by: max(1, derivatives.count / 5)) {
        // The differences of a step h and of 2 h, extrapolated to h = 0, have an error of h^4 = 2^-36 times the
        // fifth derivative.
        func difference(_ step: Float) -> Double {
          func moved(_ step: Float) -> (loss: Double, value: Double) {
            var moved = checkpoint
            moved.tensors[tensor]?.values[place] += step
            let value = moved.tensors[tensor]?.values[place] ?? 0
            return (Self.loss(moved, Self.tokens), Double(value))
          }
          let (high, low) = (moved(step), moved(-step))
          return (high.loss - low.loss) / (high.value - low.value)
        }
        let expected = (4 * difference(0x1p-9) - difference(0x1p-8)) / 3
        #expect(
          abs(derivatives[place] - expected) < 1e-5 * scale,
          "\(name), \(tensor)[\(place)]: \(derivatives[place]), expected \(expected)")
      }
    }
  }

  @Test("mean squares of the derivatives by outputs follow from those by weights")
  func squaresOfOutputs() throws {
    // With two tokens only the first has a loss, so by W the derivative is g x^T of that token.
    let checkpoint = TinyCheckpoint(Self.tiny(), seed: 77)
    let tokens = [4, 9]
    let result = try Result<Double>(checkpoint, tokens, algebra)
    let oracle = ForwardPassOracle(checkpoint: checkpoint)
    var stream = oracle.embeddings(tokens)
    for layer in 0..<checkpoint.configuration.layerCount {
      let inputs = oracle.advance(&stream, through: layer)
      for (index, matrix) in LayerTensors.matrices.enumerated() {
        let x =
          switch matrix.input {
          case .attention: inputs.attention[0]
          case .attentionOutput: inputs.attentionOutput[0]
          case .feedForward: inputs.feedForward[0]
          case .down: inputs.down[0]
          }
        let derivatives = try #require(result.byName["\(matrix.name(inLayer: layer)).weight"])
        let rows = matrix.outputSize(checkpoint.configuration)
        let expected =
          derivatives.reduce(0) { $0 + $1 * $1 } / Double(rows) / x.reduce(0) { $0 + $1 * $1 }
        let squares = try #require(result.squares[layer])
        #expect(
          abs(squares[2 * index] - expected) <= 1e-6 * expected, "\(layer), \(matrix.name)")
        #expect(squares[2 * index + 1] == 0)
      }
    }
  }

  @Test(
    "derivatives in Float are near those in Double, with the same bits for any number of threads")
  func isAccurateInFloat() throws {
    for (name, configuration) in Self.configurations {
      let checkpoint = TinyCheckpoint(configuration, seed: 91)
      // More tokens than a block of attention or of logits has.
      let tokens = (0..<300).map { ($0 * 11 + $0 / 7) % 30 }
      let exact = try Result<Double>(checkpoint, tokens, algebra)
      let float = try Result<Float>(checkpoint, tokens, algebra)
      let one = try Result<Float>(
        checkpoint, tokens, LinearAlgebra(WorkerPool(threadCount: 1)))
      #expect(float.byName == one.byName && float.squares == one.squares, "\(name)")
      for (tensor, derivatives) in exact.byName {
        let other = try #require(float.byName[tensor])
        let error = zip(derivatives, other).reduce(0) { $0 + pow($1.0 - Double($1.1), 2) }
        let size = derivatives.reduce(0) { $0 + $1 * $1 }
        // Sums of 300 tokens of either sign behind some 20 products and functions, each off by 2^-24 of
        // its terms: sqrt(300) * 20 * 2^-24 of the derivative, if it is not much smaller than its terms.
        #expect(
          error.squareRoot() < 300.0.squareRoot() * 20 * 0x1p-24 * size.squareRoot(),
          "\(name), \(tensor)")
      }
    }
  }
}

extension Buffer {
  /// The elements.
  fileprivate var array: [Element] { (0..<count).map { self[$0] } }
}
