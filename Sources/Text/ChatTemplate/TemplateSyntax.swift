/// A parsed template.
///
/// Chains such as `a + b + c` or `x.y | trim` are one node each, so the depth of the tree is the
/// nesting of the source, which the parser bounds.
struct TemplateProgram: Sendable {
  var body: [TemplateStatement] = []
  /// The names of all variables; statements and expressions refer to them by index.
  var names: [String] = []
}

/// A statement of a template.
struct TemplateStatement: Sendable {
  var line: Int
  var action: Action

  indirect enum Action: Sendable {
    case text(TemplateText)
    case output(TemplateExpression)
    case set(variable: Int, to: TemplateExpression)
    case setAttribute(String, of: Int, to: TemplateExpression)
    case choose([(test: TemplateExpression, body: [TemplateStatement])], else: [TemplateStatement])
    case repeatFor(TemplateLoop)
  }
}

/// A `for` block.
struct TemplateLoop: Sendable {
  /// One variable, or several that take the parts of each element.
  var targets: [Int]
  var elements: TemplateExpression
  /// The condition after the elements, if any: elements that fail it are left out and not counted.
  var filter: TemplateExpression?
  var body: [TemplateStatement]
  /// Runs when there was no element.
  var otherwise: [TemplateStatement]
}

/// An expression of a template.
struct TemplateExpression: Sendable {
  var line: Int
  var node: Node

  indirect enum Node: Sendable {
    case literal(TemplateValue)
    case variable(Int)
    case list([TemplateExpression])
    /// Sums and differences, or products and remainders, from left to right.
    case arithmetic(TemplateExpression, [(ArithmeticOperator, TemplateExpression)])
    /// `a ~ b ~ c`: the operands as strings, joined.
    case concatenation([TemplateExpression])
    case comparison(TemplateExpression, [(ComparisonOperator, TemplateExpression)])
    case all([TemplateExpression])
    case any([TemplateExpression])
    case not(TemplateExpression)
    case negative(TemplateExpression)
    case conditional(
      TemplateExpression, if: TemplateExpression, else: TemplateExpression?)
    case applied(TemplateExpression, [TemplateSuffix])
  }

  enum ArithmeticOperator: String, Sendable {
    case add = "+"
    case subtract = "-"
    case multiply = "*"
    case floorDivide = "//"
    case remainder = "%"
  }

  enum ComparisonOperator: String, Sendable {
    case equal = "=="
    case notEqual = "!="
    case less = "<"
    case lessOrEqual = "<="
    case greater = ">"
    case greaterOrEqual = ">="
    case isIn = "in"
    case isNotIn = "not in"
  }
}

/// A suffix of a value: access to a part of it, a call, a filter, or a test.
struct TemplateSuffix: Sendable {
  var line: Int
  var kind: Kind

  enum Kind: Sendable {
    case attribute(String)
    case element(TemplateExpression)
    case slice(from: TemplateExpression?, to: TemplateExpression?)
    case call(TemplateArguments)
    case method(String, TemplateArguments)
    case filter(String, TemplateArguments)
    case test(String, TemplateArguments, negated: Bool)
  }
}

/// The arguments of a call, a filter or a test.
struct TemplateArguments: Sendable {
  var positional: [TemplateExpression] = []
  var named: [(name: String, value: TemplateExpression)] = []
}
