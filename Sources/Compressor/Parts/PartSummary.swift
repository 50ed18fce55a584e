/// What there is of a part of a model.
public struct PartSummary: Sendable, Hashable {
  /// Which part.
  public let number: PartNumber
  /// Whether all of it is there.
  public let isComplete: Bool
  /// One line: "complete, 7 matrices", or what it lacks.
  public let description: String

  init(_ part: StoredPart) {
    number = part.number
    switch part.contents {
    case .complete(_, let matrices):
      isComplete = true
      description = "complete, \(matrices.count) \(matrices.count == 1 ? "matrix" : "matrices")"
    case .incomplete(let state):
      isComplete = false
      description = state.description
    }
  }
}
