/// A part of a model that is compressed without the others: successive layers, with the embedding in the first
/// part and the output head in the last.
public struct ModelPart: Sendable, Hashable {
  /// Which part it is.
  public let number: PartNumber
  /// The decoder layers, from 0; at least one.
  public let layers: Range<Int>

  /// A part with the given layers.
  ///
  /// - Precondition: There is a layer.
  public init(number: PartNumber, layers: Range<Int>) {
    precondition(!layers.isEmpty, "part \(number) without layers")
    self.number = number
    self.layers = layers
  }

  /// The part that the embedding belongs to.
  var hasEmbedding: Bool { number.index == 1 }
  /// The part that the output head belongs to.
  var hasHead: Bool { number.index == number.count }
}
