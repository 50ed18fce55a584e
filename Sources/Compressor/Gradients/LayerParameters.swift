package import DuetRuntime
package import DuetSystem

/// The places of the parameters of a decoder layer in one buffer.
///
/// The order is that of `LayerTensors`: the matrices, their biases, the gains of the norms.
package struct LayerParameterLayout: Sendable {
  /// The elements of one tensor, row after row.
  package struct Place: Sendable, Hashable {
    /// The first element.
    package let offset: Int
    /// The rows of a matrix; 1 for a bias and for gains.
    package let rowCount: Int
    /// The columns of a matrix, the size of a bias or of gains.
    package let columnCount: Int

    /// The number of elements.
    package var count: Int { rowCount * columnCount }
    /// The elements.
    package var range: Range<Int> { offset..<offset + count }
  }

  /// The matrices, in the order of `LayerTensors.matrices`, (outputSize, inputSize) each.
  package private(set) var matrices: [Place] = []
  /// The biases of the matrices; nil where a matrix has none.
  package private(set) var biases: [Place?] = []
  /// The gains, in the order of `LayerTensors.norms`.
  package private(set) var norms: [Place] = []
  /// The number of all elements.
  package private(set) var count = 0

  /// The layout of a configuration's layers.
  package init(_ configuration: Configuration) {
    for row in LayerTensors.matrices {
      matrices.append(
        place(row.outputSize(configuration), row.inputSize(configuration)))
    }
    for row in LayerTensors.matrices {
      biases.append(row.hasBias(configuration) ? place(1, row.outputSize(configuration)) : nil)
    }
    for norm in LayerTensors.norms { norms.append(place(1, norm.input.size(configuration))) }
  }

  private mutating func place(_ rows: Int, _ columns: Int) -> Place {
    defer { count += rows * columns }
    return Place(offset: count, rowCount: rows, columnCount: columns)
  }

  /// The index in `matrices` and `biases` of a matrix, "down_proj".
  static func index(of shortName: String) -> Int {
    guard let index = LayerTensors.matrices.firstIndex(where: { $0.shortName == shortName }) else {
      preconditionFailure("no matrix \(shortName) in a layer")
    }
    return index
  }
}

/// The parameters of a decoder layer, or the derivatives of a loss by them, in one buffer.
package struct LayerParameters<Element: BLASElement>: ~Copyable {
  /// Where each tensor is.
  package let layout: LayerParameterLayout
  /// All elements.
  package var elements: Buffer<Element>

  /// Zeros.
  package init(_ layout: LayerParameterLayout) {
    self.layout = layout
    elements = Buffer(count: layout.count)
  }

  /// The parameters of a layer of a checkpoint with dense weights.
  ///
  /// - Throws: `CheckpointError` when a tensor is missing or has another shape or type.
  package init(
    _ checkpoint: borrowing Checkpoint, layer: Int, _ layout: LayerParameterLayout
  ) throws(CheckpointError) {
    self.init(layout)
    for (index, row) in LayerTensors.matrices.enumerated() {
      let (name, place) = (row.name(inLayer: layer), layout.matrices[index])
      let tensor = try checkpoint.tensor(
        named: "\(name).weight", shape: [place.rowCount, place.columnCount],
        elementTypes: [.f32, .bf16, .f16])
      let weight = Matrix(
        widening: tensor, rowCount: place.rowCount, columnCount: place.columnCount)
      set(place, weight.elements)
      if let bias = layout.biases[index] {
        set(bias, try checkpoint.vector(named: "\(name).bias", count: bias.count))
      }
    }
    for (norm, place) in zip(LayerTensors.norms, layout.norms) {
      set(place, try checkpoint.vector(named: norm.name(inLayer: layer), count: place.count))
    }
  }

  /// Sets the elements of a tensor.
  package mutating func set(_ place: LayerParameterLayout.Place, _ numbers: borrowing Buffer<Float>)
  {
    precondition(numbers.count == place.count, "\(numbers.count) numbers for \(place.count)")
    for index in 0..<place.count { elements[place.offset + index] = Element(numbers[index]) }
  }

  /// Sets the elements of a tensor.
  package mutating func set(_ place: LayerParameterLayout.Place, _ numbers: [Float]) {
    precondition(numbers.count == place.count, "\(numbers.count) numbers for \(place.count)")
    for (index, number) in numbers.enumerated() {
      elements[place.offset + index] = Element(number)
    }
  }

  /// The address of a tensor, valid while this value lives.
  @unsafe
  func pointer(_ place: LayerParameterLayout.Place) -> UnsafeMutablePointer<Element> {
    unsafe elements.pointer + place.offset
  }
}
