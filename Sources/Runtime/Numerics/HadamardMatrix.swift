/// A square matrix of ones and minus ones with orthogonal rows: H H^T = order * I.
///
/// Made by Paley's two constructions over a finite field of q elements, chi its quadratic character
/// and Q(i, j) = chi(i - j):
/// - I, for q = 3 modulo 4: order q + 1, H = I + S with S = (0 1; -1 Q);
/// - II, for q = 1 modulo 4: order 2 (q + 1), C = (0 1; 1 Q) with every entry c replaced by
///   c * (1 1; 1 -1), and on the diagonal, where c = 0, by (1 -1; -1 -1).
///
/// Orders 1 and 2 are Sylvester's matrices. Matrices are not doubled here to reach further orders: the
/// fast transform does that, for sizes that are an order times a power of two.
///
/// Source: Paley, "On orthogonal matrices", Journal of Mathematics and Physics 12 (1933), 311-320.
package struct HadamardMatrix: Sendable {
  /// The number of rows and columns.
  package let order: Int
  /// (order, order), row major.
  package let entries: [Float]

  /// The matrix of `order`, or nil when neither construction has one.
  ///
  /// The matrix depends on the order alone. When both constructions apply, a prime q is preferred to
  /// other powers, then I to II.
  ///
  /// - Complexity: O(order^2).
  package init?(order: Int) {
    guard let construction = Self.construction(order: order) else { return nil }
    self.order = order
    entries =
      switch construction {
      case .sylvester: order == 1 ? [1] : [1, 1, 1, -1]
      case .first(let field): Self.first(field)
      case .second(let field): Self.second(field)
      }
  }

  /// Whether there is a matrix of `order`.
  package static func exists(order: Int) -> Bool { construction(order: order) != nil }

  private enum Construction {
    case sylvester
    case first(FiniteField)
    case second(FiniteField)
  }

  private static func construction(order: Int) -> Construction? {
    if order == 1 || order == 2 { return .sylvester }
    guard order > 0, order % 4 == 0 else { return nil }
    // order is a multiple of 4, so order - 1 is 3 modulo 4.
    let first = FiniteField(size: order - 1)
    let second = (order / 2 - 1) % 4 == 1 ? FiniteField(size: order / 2 - 1) : nil
    if let first, first.degree == 1 { return .first(first) }
    if let second, second.degree == 1 { return .second(second) }
    return first.map { .first($0) } ?? second.map { .second($0) }
  }

  private static func first(_ field: FiniteField) -> [Float] {
    let order = field.size + 1
    var entries = [Float](repeating: 1, count: order * order)
    forEachCharacter(field) { i, j, character in
      entries[(i + 1) * order + j + 1] = i == j ? 1 : Float(character)
    }
    for row in 1..<order { entries[row * order] = -1 }
    return entries
  }

  private static func second(_ field: FiniteField) -> [Float] {
    let half = field.size + 1
    var bordered = [Float](repeating: 1, count: half * half)
    bordered[0] = 0
    forEachCharacter(field) { i, j, character in
      bordered[(i + 1) * half + j + 1] = Float(character)
    }
    var entries = [Float](repeating: 0, count: 4 * half * half)
    for i in 0..<half {
      for j in 0..<half {
        let c = bordered[i * half + j]
        let block = i == j ? [1, -1, -1, -1] : [c, c, c, -c]
        for (place, entry) in block.enumerated() {
          entries[(2 * i + place / 2) * 2 * half + 2 * j + place % 2] = entry
        }
      }
    }
    return entries
  }

  /// Calls `body(i, j, chi(i - j))` for all elements i and j.
  private static func forEachCharacter(
    _ field: FiniteField, _ body: (_ i: Int, _ j: Int, _ character: Int) -> Void
  ) {
    let characters = field.quadraticCharacters()
    for i in 0..<field.size {
      for j in 0..<field.size { body(i, j, characters[field.difference(i, j)]) }
    }
  }
}
