/// Parts of about equal size into which rows or columns are cut, which depend on their number alone.
///
/// Equal parts keep all threads busy to the end, where a remainder would be a small part that BLAS computes
/// slowly. All parts but the last are multiples of 16.
struct EvenParts {
  private let total: Int
  private let size: Int

  /// Cuts `total` rows into parts of at most `limit`, a multiple of 16, and at least `fewest` parts where there
  /// are enough rows.
  init(_ total: Int, atMost limit: Int, fewest: Int = 1) {
    self.total = total
    let count = max(1, (total + limit - 1) / limit, min(fewest, total / 16))
    size = min(limit, ((total + count - 1) / count + 15) / 16 * 16)
  }

  /// The number of parts.
  var count: Int { total == 0 ? 0 : (total + size - 1) / size }

  /// The rows of a part.
  subscript(part: Int) -> Range<Int> { part * size..<min((part + 1) * size, total) }
}
