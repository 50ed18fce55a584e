internal import Synchronization

/// A count of bytes that several threads may add to.
final class DroppedByteCounter: Sendable {
  private let count = Atomic<Int>(0)

  /// The count so far.
  var value: Int { count.load(ordering: .relaxed) }

  /// Adds to the count.
  func add(_ more: Int) { count.add(more, ordering: .relaxed) }
}
