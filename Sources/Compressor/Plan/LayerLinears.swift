internal import DuetRuntime

/// The matrices of a decoder layer that a plan compresses.
struct LayerLinears {
  /// A matrix that is to be compressed.
  struct Linear {
    /// The entry of the matrix in `LayerTensors.matrices`.
    let row: LayerMatrix
    /// The index of its layer.
    let layer: Int
    /// The name without ".weight".
    let name: String
    /// The number of rows.
    let outputSize: Int
    /// The number of columns.
    let inputSize: Int

    /// The input that it multiplies.
    var input: LinearInput { row.input }
  }

  /// The index of the layer.
  let index: Int
  /// The matrices, in the order of the model.
  let all: [Linear]

  /// The matrices of the layer of index `layer` that `plan` does not keep.
  init(_ configuration: Configuration, layer: Int, _ plan: CompressionPlan) {
    index = layer
    all = LayerTensors.matrices.compactMap { row in
      let name = row.name(inLayer: layer)
      if plan.keeps(name) { return nil }
      return Linear(
        row: row, layer: layer, name: name, outputSize: row.outputSize(configuration),
        inputSize: row.inputSize(configuration))
    }
  }

  /// The matrices that multiply `input`.
  func sharing(_ input: LinearInput) -> [Linear] { all.filter { $0.input == input } }
}
