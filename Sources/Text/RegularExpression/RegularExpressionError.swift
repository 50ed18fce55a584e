/// A reason to refuse a regular expression.
package enum RegularExpressionError: Error, Equatable {
  /// The expression breaks the grammar, or is one of the few forms that have no meaning.
  case malformed(String)
  /// The expression uses a construct that is not implemented.
  case unsupported(String)

  /// What is wrong, as the end of a sentence about the expression.
  package var problem: String {
    switch self {
    case .malformed(let problem): problem
    case .unsupported(let construct): "uses \(construct), which is not supported"
    }
  }
}
