public import DuetRuntime

/// How Q is stored, and how its values are found.
public struct QuantizationOptions: Sendable, Hashable {
  /// How Q is stored.
  public var format = WeightFormat.e8p
  /// How many columns of Q share a scale.
  public var groupSize = GroupSize.row
  /// Whether the values of Q have offsets.
  public var gridKind = GridKind.symmetric
  /// How the scales of Q are found.
  public var scaleFit = ScaleFit.search

  /// Two bits per weight as points of the E8 lattice, with a scale for each row.
  public init() {}

  /// The values that the weights of Q can have.
  package var grid: any RoundingGrid {
    switch (format.coding, gridKind) {
    case (.lattice, _): LatticeGrid()
    case (.trellis, _): TrellisGrid(format)
    case (.integers, .asymmetric): AsymmetricGrid(format, fit: scaleFit)
    case (.integers, .symmetric): IntegerGrid(format, fit: scaleFit)
    }
  }

  /// The layout of Q for a matrix (outputSize, inputSize).
  public func layout(outputSize: Int, inputSize: Int) -> PackedLayout {
    PackedLayout(format, groupSize: groupSize, outputSize: outputSize, inputSize: inputSize)
  }

  /// A matrix of zeros on the grid of Q.
  public func zeros(outputSize: Int, inputSize: Int) -> QuantizedMatrix {
    QuantizedMatrix(layout(outputSize: outputSize, inputSize: inputSize), grid: gridKind)
  }
}
