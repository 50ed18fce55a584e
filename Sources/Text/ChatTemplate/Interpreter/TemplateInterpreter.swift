internal import DuetSystem

/// An interpreter of parsed templates: the state and the statements here, the rest in extensions.
///
/// The depth of recursion is bounded by `depthLimit`, and that over a value by `list(_:line:)`.
struct TemplateInterpreter {
  /// The deepest nesting of statements and expressions while they run, macros included.
  static let depthLimit = 320

  /// What a body does when it ends.
  enum Flow {
    case next
    case leaveLoop
    case nextPass
  }

  private let program: TemplateProgram
  let loopVariable: Int?
  /// The time that `strftime_now` returns.
  let date: CalendarDate
  var budget = TemplateBudget()
  var scope = TemplateScope(inside: nil)
  private var depth = 0
  private var output = TemplateText()
  var namespaces: [[String: TemplateValue]] = []
  var macros: [(macro: TemplateMacro, scope: TemplateScope)] = []
  var loops: [TemplateLoopState] = []
  var helpers: [TemplateHelper] = []
  /// For each iterator the number of elements that were read.
  var iteratorPositions: [Int] = []

  /// Renders a template with the given variables.
  static func render(
    _ program: TemplateProgram, variables: [String: TemplateValue], date: CalendarDate
  ) throws(ChatTemplateError) -> TemplateText {
    var interpreter = TemplateInterpreter(program, variables: variables, date: date)
    _ = try interpreter.run(program.body)
    return interpreter.output
  }

  private init(
    _ program: TemplateProgram, variables: [String: TemplateValue], date: CalendarDate
  ) {
    self.program = program
    self.date = date
    loopVariable = program.names.firstIndex(of: "loop")
    for (number, name) in program.names.enumerated() {
      if let value = variables[name] { scope[number] = value }
    }
  }

  /// The value of a variable; the name of a function is a variable that holds the function.
  func value(of variable: Int) -> TemplateValue {
    if let value = scope[variable] { return value }
    let name = program.names[variable]
    return TemplateFunction(rawValue: name).map { .function($0) } ?? .undefined(name: name)
  }

  // MARK: - Nesting

  /// Runs `body` one level deeper, unless that is too deep.
  mutating func deeper<Result>(
    line: Int, _ body: (inout Self) throws(ChatTemplateError) -> Result
  ) throws(ChatTemplateError) -> Result {
    guard depth < Self.depthLimit else {
      throw .nestedTooDeeply(line: line, limit: Self.depthLimit)
    }
    depth += 1
    defer { depth -= 1 }
    return try body(&self)
  }

  /// Runs `body` with the variables of a scope.
  mutating func inside<Result>(
    _ inner: TemplateScope, _ body: (inout Self) throws(ChatTemplateError) -> Result
  ) throws(ChatTemplateError) -> Result {
    let outer = scope
    scope = inner
    defer { scope = outer }
    return try body(&self)
  }

  /// What statements write, instead of writing it to the output.
  mutating func captured(
    _ body: (inout Self) throws(ChatTemplateError) -> Void
  ) throws(ChatTemplateError) -> TemplateText {
    let outer = output
    output = TemplateText()
    defer { output = outer }
    try body(&self)
    return output
  }

  /// What the statements of a body write, with variables of their own.
  private mutating func text(
    of body: [TemplateStatement]
  ) throws(ChatTemplateError) -> TemplateText {
    try captured { (self) throws(ChatTemplateError) in
      _ = try self.inside(TemplateScope(inside: self.scope)) { (self) throws(ChatTemplateError) in
        try self.run(body)
      }
    }
  }

  // MARK: - Statements

  mutating func run(_ body: [TemplateStatement]) throws(ChatTemplateError) -> Flow {
    for statement in body {
      try budget.take(steps: 1, line: statement.line)
      let flow = try deeper(line: statement.line) { (self) throws(ChatTemplateError) in
        try self.run(statement)
      }
      guard case .next = flow else { return flow }
    }
    return .next
  }

  private mutating func run(_ statement: TemplateStatement) throws(ChatTemplateError) -> Flow {
    let line = statement.line
    switch statement.action {
    case .text(let text):
      try write(text, line: line)
    case .output(let expression):
      try write(try text(of: try evaluate(expression), line: line), line: line)
    case .set(let target, let expression):
      try assign(try evaluate(expression), to: target, line: line)
    case .setBlock(let target, let filters, let body):
      let value = TemplateValue.text(try text(of: body))
      try assign(try apply(filters, to: value), to: target, line: line)
    case .choose(let branches, let otherwise):
      var body = otherwise
      for branch in branches where try evaluate(branch.test).isTrue {
        body = branch.body
        break
      }
      return try run(body)
    case .repeatFor(let loop):
      return try run(loop, line: line)
    case .leaveLoop:
      return .leaveLoop
    case .nextPass:
      return .nextPass
    case .define(let macro):
      let value = try self.macro(macro, line: line)
      if let variable = macro.variable { scope[variable] = value }
    case .callWith(let expression, let caller):
      let value = try evaluate(expression, caller: try macro(caller, line: line))
      try write(try text(of: value, line: line), line: line)
    case .filterBlock(let filters, let body):
      let value = try apply(filters, to: .text(try text(of: body)))
      try write(try text(of: value, line: line), line: line)
    case .scope(let values, let body):
      return try run(values, body, line: line)
    case .unsupported(let construct):
      throw .unsupported(line: line, construct: construct)
    }
    return .next
  }

  private mutating func run(
    _ values: [(target: TemplateTarget, value: TemplateExpression)], _ body: [TemplateStatement],
    line: Int
  ) throws(ChatTemplateError) -> Flow {
    let inner = TemplateScope(inside: scope)
    var evaluated: [TemplateValue] = []
    for (_, expression) in values { evaluated.append(try evaluate(expression)) }
    return try inside(inner) { (self) throws(ChatTemplateError) in
      for (entry, value) in zip(values, evaluated) {
        try self.assign(value, to: entry.target, line: line)
      }
      return try self.run(body)
    }
  }

  private mutating func write(_ text: TemplateText, line: Int) throws(ChatTemplateError) {
    try budget.take(text: text.cost, line: line)
    guard text.bytes.count <= TemplateBudget.outputLimit - output.bytes.count else {
      throw .tooMuchText(line: line, limit: TemplateBudget.outputLimit)
    }
    output.append(text)
  }

  // MARK: - Assignment

  /// Sets variables of the current scope, or attributes of namespaces.
  mutating func assign(
    _ value: TemplateValue, to target: TemplateTarget, line: Int
  ) throws(ChatTemplateError) {
    try budget.take(steps: 1, line: line)
    switch target {
    case .variable(let variable):
      scope[variable] = value
    case .attribute(let name, let variable):
      guard case .namespace(let number) = self.value(of: variable) else {
        throw .evaluation(
          line: line, problem: "'\(name)' is set on something that is not a namespace")
      }
      namespaces[number][name] = value
    case .tuple(let targets):
      let parts = try elements(of: value, line: line)
      guard parts.count == targets.count else {
        throw .evaluation(
          line: line, problem: "a value has \(parts.count) parts for \(targets.count) variables")
      }
      for (target, part) in zip(targets, parts) { try assign(part, to: target, line: line) }
    }
  }
}
