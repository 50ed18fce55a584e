package import DuetRuntime
package import DuetSystem

/// How much an error at each token counts, for each input of each layer.
///
/// The weight of token t at an input is the mean of (dl / dy_j)^2 over all outputs y_j of the matrices on this input,
/// l the loss of the original model, divided by its mean over all tokens. Hessians and cross moments with these
/// weights measure an error by what it does to the loss, to second order with the Fisher approximation.
///
/// Source: Kim et al., GuidedQuant, arXiv:2505.07004, with one group of rows.
package final class TokenWeights: Sendable {
  /// The number of tokens of all samples.
  package let tokenCount: Int
  /// The tokens of a sample.
  package let contextLength: Int
  /// (layers, inputs, tokens), in the order of `LinearInput.allCases`.
  private let weights: Buffer<Float>

  /// The weights of all samples by the loss of the original model.
  ///
  /// - Parameters:
  ///   - checkpoint: The tensors of the model.
  ///   - model: The original model.
  ///   - samples: The samples.
  ///   - algebra: The threads to compute with.
  ///   - control: How the caller follows and stops the run.
  /// - Throws: `CheckpointError`, `GenerationError`, `LayerCalibrationError.cancelled`.
  /// - Complexity: Four passes of all samples through the model.
  package init(
    _ checkpoint: Checkpoint, _ model: Model, _ samples: CalibrationSamples,
    _ algebra: LinearAlgebra, control: LayerCalibration.Control
  ) throws {
    let configuration = model.configuration
    let (length, total) = (
      samples.contextLength, samples.sampleCount * samples.contextLength
    )
    tokenCount = total
    contextLength = length
    weights = Buffer(count: configuration.layerCount * LinearInput.allCases.count * total)
    algebra.clock.begin(.lossGradient)
    defer { algebra.clock.end() }
    var gradient = try LossGradient<Float>(checkpoint, model, tokenCount: length, algebra)
    let target = unsafe weights.pointer
    for sample in 0..<samples.sampleCount {
      if control.isCancelled() { throw LayerCalibrationError.cancelled }
      _ = try gradient.run(samples.tokens(of: sample)) { layer, squares, _ in
        for (position, input) in LinearInput.allCases.enumerated() {
          let row = (layer * LinearInput.allCases.count + position) * total + sample * length
          let rows = input.matrices.reduce(0) { $0 + $1.outputSize(configuration) }
          for (index, matrix) in LayerTensors.matrices.enumerated() where matrix.input == input {
            let share = Float(matrix.outputSize(configuration)) / Float(rows)
            for token in 0..<length {
              unsafe target[row + token] += share * squares[index * length + token]
            }
          }
        }
      }
      control.progress((sample + 1) * length)
    }
    for row in 0..<configuration.layerCount * LinearInput.allCases.count {
      normalize(row * total..<(row + 1) * total)
    }
  }

  /// Makes the mean of some weights 1; where all are zero, every token counts the same.
  private func normalize(_ range: Range<Int>) {
    let numbers = unsafe weights.pointer
    let mean = range.reduce(0.0) { $0 + Double(weights[$1]) } / Double(range.count)
    for index in range {
      unsafe numbers[index] = mean > 0 ? Float(Double(numbers[index]) / mean) : 1
    }
  }

  /// Multiplies the rows of a sample's tokens by the roots of their weights.
  ///
  /// - Parameters:
  ///   - rows: (contextLength, width), changed.
  ///   - width: The numbers of a row.
  ///   - input: The input of the layer.
  ///   - layer: The index of the layer.
  ///   - sample: The index of the sample.
  ///   - algebra: The threads to compute with.
  package func scale(
    _ rows: borrowing Buffer<Float>, width: Int, _ input: LinearInput, layer: Int, sample: Int,
    _ algebra: LinearAlgebra
  ) {
    precondition(
      rows.count >= contextLength * width, "\(rows.count) numbers in rows of \(width)")
    let inputs = LinearInput.allCases
    let position = inputs.firstIndex(of: input) ?? 0
    let row = (layer * inputs.count + position) * tokenCount + sample * contextLength
    let (numbers, target) = unsafe (weights.pointer + row, rows.pointer)
    algebra.pool.run(contextLength) { token, _ in
      let root = unsafe numbers[token].squareRoot()
      for index in token * width..<(token + 1) * width { unsafe target[index] *= root }
    }
  }
}
