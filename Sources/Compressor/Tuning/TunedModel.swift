package import DuetRuntime
package import DuetSystem

/// A compressed model whose codes stay, while the real numbers beside them change.
///
/// The numbers are the scales and offsets of packed matrices, L and R in half precision, biases and the gains of
/// norms. Each is stored as a change in a unit of its own (see `TunedPackedMatrix` and `TunedVector`), so that all
/// numbers are 0 in the model as it was compressed, and 0.01 is one hundredth of a scale or of a gain. The embedding
/// and the output head stay as they are.
package final class TunedModel {
  /// The number of numbers.
  package let count: Int

  private let checkpoint: Checkpoint
  private let algebra: LinearAlgebra
  private let layout: LayerParameterLayout
  private let rotation: MatrixRotation?
  private let layers: [Layer]
  private let outputNorm: TunedVector

  /// The tensors of a decoder layer.
  private struct Layer {
    /// In the order of `LayerTensors.matrices`; nil where a matrix is stored dense.
    let matrices: [TunedMatrix?]
    /// nil where a matrix has no bias.
    let biases: [TunedVector?]
    let norms: [TunedVector]

    var vectors: [TunedVector] { biases.compactMap(\.self) + norms }
  }

  /// The numbers of a compressed model.
  ///
  /// - Parameters:
  ///   - checkpoint: The compressed model, which `Model` has loaded.
  ///   - algebra: The threads to compute with.
  /// - Throws: `CheckpointError`.
  package init(
    _ checkpoint: Checkpoint, _ algebra: LinearAlgebra
  ) throws(CheckpointError) {
    let configuration = checkpoint.configuration
    self.checkpoint = checkpoint
    self.algebra = algebra
    layout = LayerParameterLayout(configuration)
    let rotations = try ModelRotations(checkpoint).all
    rotation = rotations.isEmpty ? nil : MatrixRotation(rotations, .standard, algebra)
    var place = 0
    func vector(
      _ name: String, _ count: Int, _ unit: TunedVector.Unit
    ) throws(CheckpointError) -> TunedVector {
      let result = TunedVector(
        try checkpoint.tensor(named: name, shape: [count]), unit, start: place)
      place = result.range.upperBound
      return result
    }
    var layers: [Layer] = []
    for index in 0..<configuration.layerCount {
      var matrices: [TunedMatrix?] = []
      var biases: [TunedVector?] = []
      var norms: [TunedVector] = []
      for matrix in LayerTensors.matrices {
        let (name, rows) = (matrix.name(inLayer: index), matrix.outputSize(configuration))
        matrices.append(
          try TunedMatrix(
            checkpoint, name, outputSize: rows, inputSize: matrix.inputSize(configuration),
            start: &place))
        biases.append(
          matrix.hasBias(configuration) ? try vector("\(name).bias", rows, .tensor) : nil)
      }
      for norm in LayerTensors.norms {
        norms.append(
          try vector(norm.name(inLayer: index), norm.input.size(configuration), .value))
      }
      layers.append(Layer(matrices: matrices, biases: biases, norms: norms))
    }
    outputNorm = try vector("model.norm.weight", configuration.hiddenSize, .value)
    self.layers = layers
    count = place
  }

  /// The dense parameters of a layer.
  ///
  /// - Parameters:
  ///   - index: The layer.
  ///   - numbers: All tuned numbers.
  /// - Returns: The matrices, biases and gains.
  /// - Throws: `CheckpointError` when a matrix that is stored dense cannot be read.
  /// - Complexity: O(weights of the layer).
  package func parameters(
    ofLayer index: Int, _ numbers: borrowing Buffer<Float>
  ) throws(CheckpointError) -> LayerParameters<Float> {
    precondition(numbers.count == count, "\(numbers.count) numbers, not \(count)")
    let layer = layers[index]
    var result = LayerParameters<Float>(layout)
    for (position, row) in LayerTensors.matrices.enumerated() {
      let place = layout.matrices[position]
      if let matrix = layer.matrices[position] {
        result.set(place, matrix.weight(numbers, rotation, algebra).elements)
      } else {
        let tensor = try checkpoint.tensor(
          named: "\(row.name(inLayer: index)).weight", shape: [place.rowCount, place.columnCount])
        result.set(
          place,
          Matrix(widening: tensor, rowCount: place.rowCount, columnCount: place.columnCount)
            .elements)
      }
      if let bias = layer.biases[position], let place = layout.biases[position] {
        result.set(place, bias.values(numbers))
      }
    }
    for (norm, place) in zip(layer.norms, layout.norms) { result.set(place, norm.values(numbers)) }
    return result
  }

  /// The gains of the norm before the output head.
  func outputGains(_ numbers: borrowing Buffer<Float>) -> [Float] { outputNorm.values(numbers) }

  /// Adds the derivatives by the tuned numbers, from those by the parameters of a layer.
  package func addGradient(
    ofLayer index: Int, _ gradient: borrowing LayerParameters<Float>,
    _ numbers: borrowing Buffer<Float>, to result: borrowing Buffer<Float>
  ) {
    let layer = layers[index]
    for (position, matrix) in layer.matrices.enumerated() {
      guard let matrix else { continue }
      let place = layout.matrices[position]
      let dense = Matrix<Float>(rowCount: place.rowCount, columnCount: place.columnCount)
      unsafe dense.pointer.update(from: gradient.pointer(place), count: place.count)
      matrix.addGradient(of: dense, numbers, rotation, to: result, algebra)
    }
    for (bias, place) in zip(layer.biases, layout.biases) {
      if let bias, let place { unsafe bias.addGradient(of: gradient.pointer(place), to: result) }
    }
    for (norm, place) in zip(layer.norms, layout.norms) {
      unsafe norm.addGradient(of: gradient.pointer(place), to: result)
    }
  }

  /// Adds the derivatives by the tuned numbers, from those by the gains of the norm before the output head.
  func addGradient(
    ofOutputGains gradient: borrowing Buffer<Float>, to result: borrowing Buffer<Float>
  ) {
    unsafe outputNorm.addGradient(of: gradient.pointer, to: result)
  }

  /// The tensors that change, with the tuned numbers.
  ///
  /// - Throws: `CompressionDataError.outOfHalfRange`, `FileError` when there is no memory.
  package func storedTensors(_ numbers: borrowing Buffer<Float>) throws -> [StoredTensor] {
    var result: [StoredTensor] = []
    for layer in layers {
      for matrix in layer.matrices { result += try matrix?.storedTensors(numbers) ?? [] }
      for vector in layer.vectors {
        result.append(try vector.storedTensor(numbers, keepsHalf: false))
      }
    }
    return result + [try outputNorm.storedTensor(numbers, keepsHalf: false)]
  }
}
