internal import DuetSystem

/// Equality, order and membership.
extension TemplateInterpreter {
  mutating func evaluateComparison(
    _ first: TemplateExpression,
    _ rest: [(TemplateExpression.ComparisonOperator, TemplateExpression)]
  ) throws(ChatTemplateError) -> TemplateValue {
    var left = try evaluate(first)
    for (comparison, operand) in rest {
      let right = try evaluate(operand)
      guard try holds(left, comparison, right, line: operand.line) else { return .bool(false) }
      left = right
    }
    return .bool(true)
  }

  mutating func holds(
    _ left: TemplateValue, _ comparison: TemplateExpression.ComparisonOperator,
    _ right: TemplateValue, line: Int
  ) throws(ChatTemplateError) -> Bool {
    switch comparison {
    case .equal: try areEqual(left, right, line: line)
    case .notEqual: try !areEqual(left, right, line: line)
    case .isIn: try contains(right, left, line: line)
    case .isNotIn: try !contains(right, left, line: line)
    case .less: try order(left, right, "<", line: line) == .before
    case .lessOrEqual: try [.before, .same].contains(order(left, right, "<=", line: line))
    case .greater: try order(left, right, ">", line: line) == .after
    case .greaterOrEqual: try [.after, .same].contains(order(left, right, ">=", line: line))
    }
  }

  /// Python's `==`.
  mutating func areEqual(
    _ a: TemplateValue, _ b: TemplateValue, line: Int
  ) throws(ChatTemplateError) -> Bool {
    try budget.take(steps: 1, line: line)
    switch (a, b) {
    case (.undefined, .undefined), (.none, .none): return true
    case (.text(let a), .text(let b)):
      try budget.take(text: min(a.bytes.count, b.bytes.count), line: line)
      return a.hasSameText(as: b)
    case (.list(let a), .list(let b)):
      guard a.kind == b.kind, a.elements.count == b.elements.count else { return false }
      if a.isIterator { return true }
      for (first, second) in zip(a.elements, b.elements) {
        guard try areEqual(first, second, line: line) else { return false }
      }
      return true
    case (.map(let a), .map(let b)):
      guard a.entries.count == b.entries.count else { return false }
      for (key, value) in a.entries {
        guard let other = b[try self.key(key, line: line)],
          try areEqual(value, other, line: line)
        else { return false }
      }
      return true
    case (.namespace(let a), .namespace(let b)): return a == b
    case (.loop(let a), .loop(let b)): return a == b
    case (.macro(let a), .macro(let b)): return a == b
    case (.helper(let a), .helper(let b)): return a == b
    case (.function(let a), .function(let b)): return a == b
    default:
      if let a = integer(a), let b = integer(b) { return a == b }
      guard let a = number(a), let b = number(b) else { return false }
      return a == b
    }
  }

  /// Python's `element in container`.
  mutating func contains(
    _ container: TemplateValue, _ element: TemplateValue, line: Int
  ) throws(ChatTemplateError) -> Bool {
    switch (container, element) {
    case (.undefined, _): return false
    case (.text(let text), .text(let part)):
      // The search looks at each byte of both a few times.
      try budget.take(text: text.cost, weight: 4, line: line)
      try budget.take(text: part.cost, weight: 4, line: line)
      return text.contains(part)
    case (.list, _):
      for candidate in try elements(of: container, line: line) {
        if try areEqual(candidate, element, line: line) { return true }
      }
      return false
    case (.map(let map), _):
      if element.isUndefined { return false }
      return map[try key(element, line: line)] != nil
    default: throw unsuitable(element, "in", container, line: line)
    }
  }

  /// How two values are ordered.
  enum Order {
    case before
    case same
    case after
    /// Neither holds, as between a number and NaN.
    case none
  }

  /// The order of two numbers by size, two strings by code points, or two lists by their elements.
  mutating func order(
    _ a: TemplateValue, _ b: TemplateValue, _ operation: String = "<", line: Int
  ) throws(ChatTemplateError) -> Order {
    try budget.take(steps: 1, line: line)
    if let a = integer(a), let b = integer(b) { return a < b ? .before : a > b ? .after : .same }
    if let a = number(a), let b = number(b) {
      return a < b ? .before : a > b ? .after : a == b ? .same : .none
    }
    switch (a, b) {
    case (.text(let a), .text(let b)):
      try budget.take(text: min(a.bytes.count, b.bytes.count), weight: 8, line: line)
      // UTF-8 bytes and code points have the same order.
      if a.hasSameText(as: b) { return .same }
      return a.bytes.lexicographicallyPrecedes(b.bytes) ? .before : .after
    case (.list(let first), .list(let second))
    where first.kind == second.kind && (first.kind == .list || first.kind == .tuple):
      for (a, b) in zip(first.elements, second.elements) {
        if try areEqual(a, b, line: line) { continue }
        return try order(a, b, operation, line: line)
      }
      let (a, b) = (first.elements.count, second.elements.count)
      return a < b ? .before : a > b ? .after : .same
    default:
      throw unsuitable(a, operation, b, line: line)
    }
  }

  /// The positions of values in ascending order; equal ones keep theirs, in reverse as well.
  ///
  /// A merge sort, because comparisons are counted and may fail.
  mutating func sortedPositions(
    of values: [TemplateValue], descending: Bool, line: Int
  ) throws(ChatTemplateError) -> [Int] {
    var positions = Array(values.indices)
    var width = 1
    while width < positions.count {
      var merged: [Int] = []
      merged.reserveCapacity(positions.count)
      for start in stride(from: 0, to: positions.count, by: 2 * width) {
        let middle = min(start + width, positions.count)
        let end = min(start + 2 * width, positions.count)
        var (left, right) = (start, middle)
        while left < middle, right < end {
          let order = try order(values[positions[left]], values[positions[right]], line: line)
          let takesRight = descending ? order == .before : order == .after
          merged.append(positions[takesRight ? right : left])
          if takesRight { right += 1 } else { left += 1 }
        }
        merged += positions[left..<middle]
        merged += positions[right..<end]
      }
      positions = merged
      width *= 2
    }
    return positions
  }
}
