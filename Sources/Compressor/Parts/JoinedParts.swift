internal import DuetRuntime

/// All parts of a model.
struct JoinedParts {
  /// The parts, in their order.
  let parts: [StoredPart]
  private let path: String
  private let layerCount: Int

  /// Reads all parts that there are beside an output.
  ///
  /// - Parameters:
  ///   - output: The output that the parts were made for.
  ///   - run: The fingerprint of the whole run.
  ///   - layerCount: The number of layers of the model.
  ///   - names: The names of all matrices of a part.
  /// - Throws: `PartError`, and what `names` throws.
  init(
    of output: String, run: Fingerprint, layerCount: Int, names: (ModelPart) throws -> [String]
  ) throws {
    let folders = try PartFolders(of: output)
    path = folders.path
    self.layerCount = layerCount
    parts = try PartNumber.all(folders.count()).map {
      try StoredPart($0, in: folders, of: run, names: names)
    }
  }

  /// The matrices of all parts by their names.
  ///
  /// - Throws: `PartError.incomplete`, which names every part that lacks something, `.gap`.
  func matrices() throws(PartError) -> [String: JournalPart] {
    var problems: [PartError.Problem] = []
    var result: [String: JournalPart] = [:]
    var next = 0
    var gap: Int?
    for part in parts {
      switch part.contents {
      case .incomplete(let state): problems.append(.init(number: part.number, state: state))
      case .complete(let layers, let found):
        if layers.lowerBound != next { gap = gap ?? next }
        next = layers.upperBound
        result.merge(found) { first, _ in first }
      }
    }
    guard problems.isEmpty else { throw .incomplete(path: path, problems) }
    if next != layerCount { gap = gap ?? next }
    if let gap { throw .gap(path: path, layer: gap) }
    return result
  }
}
