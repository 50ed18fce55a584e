internal import DuetRuntime

/// A value whose computation needs damping, and the damping that was enough.
struct Damped<Value: ~Copyable>: ~Copyable {
  /// The value.
  let value: Value
  /// The first damping tried that was enough.
  let damping: Double

  /// The largest number of times that the damping is doubled.
  private static var doublings: Int { 10 }

  /// Calls `body` with a damping that is doubled, to 1e-6 at least, until it succeeds.
  ///
  /// - Parameters:
  ///   - first: The damping to begin with.
  ///   - name: The linear layer, for messages.
  ///   - body: Computes the value, and throws when the damping is too small.
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
        // A larger damping may be enough.
      }
    }
    throw .notPositiveDefinite(tensor: name, damping: damping)
  }
}
