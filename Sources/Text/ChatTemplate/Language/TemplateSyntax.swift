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
    case set(TemplateTarget, to: TemplateExpression)
    /// `{% set x %}...{% endset %}` with the filters after the name.
    case setBlock(TemplateTarget, filters: [TemplateSuffix], body: [TemplateStatement])
    case choose([(test: TemplateExpression, body: [TemplateStatement])], else: [TemplateStatement])
    case repeatFor(TemplateLoop)
    case leaveLoop
    case nextPass
    case define(TemplateMacro)
    /// `{% call f() %}...{% endcall %}`: a call whose callee gets the body as its `caller`.
    case callWith(TemplateExpression, caller: TemplateMacro)
    /// `{% filter f %}...{% endfilter %}`.
    case filterBlock([TemplateSuffix], body: [TemplateStatement])
    /// `{% with x = 1 %}...{% endwith %}`: a body with variables of its own.
    case scope([(target: TemplateTarget, value: TemplateExpression)], body: [TemplateStatement])
    /// What Duet does not do; it fails when it is reached.
    case unsupported(String)
  }
}

/// A place that takes a value: a variable, an attribute of a namespace, or several of them.
indirect enum TemplateTarget: Sendable {
  case variable(Int)
  case attribute(String, of: Int)
  case tuple([TemplateTarget])
}

/// A `for` block.
struct TemplateLoop: Sendable {
  /// What takes each element.
  var target: TemplateTarget
  var elements: TemplateExpression
  /// The condition after the elements, if any: elements that fail it are left out and not counted.
  var filter: TemplateExpression?
  /// Whether `loop(elements)` in the body runs the loop again for other elements.
  var isRecursive = false
  var body: [TemplateStatement]
  /// Runs when there was no element.
  var otherwise: [TemplateStatement]
}

/// A macro, or the body of a `call` block.
struct TemplateMacro: Sendable {
  var name: String
  /// The variable that holds the macro, or nil for the body of a `call` block.
  var variable: Int?
  var parameters: [(variable: Int, name: String, initial: TemplateExpression?)]
  /// The variables of the arguments beyond the parameters, if the body uses them.
  var caller: Int?
  var varargs: Int?
  var kwargs: Int?
  var body: [TemplateStatement]
}

/// An expression of a template.
struct TemplateExpression: Sendable {
  var line: Int
  var node: Node

  indirect enum Node: Sendable {
    case literal(TemplateValue)
    case variable(Int)
    case list([TemplateExpression])
    case tuple([TemplateExpression])
    case map([(key: TemplateExpression, value: TemplateExpression)])
    /// Operators of one precedence, from left to right.
    case arithmetic(TemplateExpression, [(ArithmeticOperator, TemplateExpression)])
    /// `a ~ b ~ c`: the operands as strings, joined.
    case concatenation([TemplateExpression])
    case comparison(TemplateExpression, [(ComparisonOperator, TemplateExpression)])
    case all([TemplateExpression])
    case any([TemplateExpression])
    case not(TemplateExpression)
    case negative(TemplateExpression)
    case positive(TemplateExpression)
    case conditional(
      TemplateExpression, if: TemplateExpression, else: TemplateExpression?)
    case applied(TemplateExpression, [TemplateSuffix])
  }

  enum ArithmeticOperator: String, Sendable {
    case add = "+"
    case subtract = "-"
    case multiply = "*"
    case divide = "/"
    case floorDivide = "//"
    case remainder = "%"
    case power = "**"
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
    case slice(from: TemplateExpression?, to: TemplateExpression?, by: TemplateExpression?)
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
  /// The list after `*`, whose elements follow the positional arguments.
  var unpackedList: TemplateExpression?
  /// The mapping after `**`, whose entries follow the named arguments.
  var unpackedMap: TemplateExpression?
}
