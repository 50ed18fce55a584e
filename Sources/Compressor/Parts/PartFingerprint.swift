/// The fingerprints of the parts of a run: that of the whole run, and what tells the parts from each other.
extension Fingerprint {
  private static let partName = "part"
  private static let layersName = "layers"
  private static let statesName = "states"

  /// The identity of a part of the run.
  func of(_ part: ModelPart) -> Fingerprint {
    of([
      Field(name: Self.partName, value: "\(part.number)"),
      Field(name: Self.layersName, value: "\(part.layers)"),
    ])
  }

  /// The identity of a share of the states before the layers `boundaries`.
  func of(statesShare number: PartNumber, boundaries: [Int]) -> Fingerprint {
    of([
      Field(name: Self.statesName, value: "\(number)"),
      Field(name: Self.layersName, value: "\(boundaries)"),
    ])
  }

  /// The layers of a part, such as 3..<5, by the fingerprint in its folder; nil when it tells none.
  var partLayers: Range<Int>? {
    guard let text = value(Self.layersName) else { return nil }
    let numbers = text.split(separator: "..<", omittingEmptySubsequences: false).map { Int($0) }
    guard numbers.count == 2, let start = numbers[0], let end = numbers[1], start < end
    else { return nil }
    return start..<end
  }
}
