public import DuetSystem

/// A reason to refuse an incoherence transform.
public enum IncoherenceError: DuetError, Equatable {
  /// The size of the vectors is zero or negative.
  case notPositive(size: Int)
  /// The size is an odd number too large for a dense factor, times a power of two.
  case oddPartTooLarge(size: Int, oddPart: Int, largest: Int)
  /// The number of signs differs from the size of the vectors.
  case wrongSignCount(size: Int, count: Int)
  /// A sign is neither 1 nor -1.
  case notASign(index: Int, value: Int8)

  /// The kind of trouble, for the exit code.
  public var category: FailureCategory { .refusedData }

  /// One sentence that says what is wrong.
  public var description: String {
    switch self {
    case .notPositive(let size):
      "an incoherence transform of \(size) numbers: the size must be positive"
    case .oddPartTooLarge(let size, let oddPart, let largest):
      "no incoherence transform of \(size) numbers: of their odd part \(oddPart) no multiple up to "
        + "\(largest) by a power of two has a Hadamard matrix, and random matrices end at \(largest)"
    case .wrongSignCount(let size, let count):
      "an incoherence transform of \(size) numbers needs as many signs, not \(count)"
    case .notASign(let index, let value):
      "sign \(index) of an incoherence transform is \(value), allowed are 1 and -1"
    }
  }
}
