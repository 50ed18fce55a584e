internal import DuetRuntime

/// Something that needed damping, and the damping that was enough.
struct Damped<Value: ~Copyable>: ~Copyable {
  /// What came of it.
  let value: Value
  /// The least damping of those tried that was enough.
  let damping: Double

  /// The largest number of times that the damping is doubled.
  private static var doublings: Int { 10 }

  /// Calls `body` with a damping that is doubled, to 1e-6 at least, until it succeeds.
  ///
  /// - Parameters:
  ///   - first: The damping to begin with.
  ///   - name: The linear layer, for messages.
  ///   - body: What fails without enough damping.
  /// - Throws: `CompressionDataError.notPositiveDefinite` with the last damping when ten doublings are too few.
  init(
    from first: Double, _ name: String, _ body: (Double) throws(LinearAlgebraError) -> Value
  ) throws(CompressionDataError) {
    var damping = first
    for attempt in 0...Self.doublings {
      if attempt > 0 { damping = max(2 * damping, 1e-6) }
      do throws(LinearAlgebraError) {
        value = try body(damping)
        self.damping = damping
        return
      } catch {
        // A larger one may do.
      }
    }
    throw .notPositiveDefinite(tensor: name, damping: damping)
  }
}
