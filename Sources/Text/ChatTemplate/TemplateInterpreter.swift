internal import DuetSystem

/// An interpreter of parsed templates: the statements here, the expressions in extensions.
///
/// The depth of recursion is the nesting of the source, which the parser bounds, or of a value,
/// which `list(_:line:)` bounds.
struct TemplateInterpreter {
  private let program: TemplateProgram
  private let loopVariable: Int?
  /// The time that `strftime_now` returns.
  let date: CalendarDate
  var budget = TemplateBudget()
  /// The value of each variable by its number.
  private var values: [TemplateValue?]
  /// The values of variables before the current passes of loops changed them, oldest first.
  private var saved: [(variable: Int, value: TemplateValue?)] = []
  private var loopDepth = 0
  var namespaces: [[String: TemplateValue]] = []
  private var output = TemplateText()

  /// Renders a template with the given variables.
  static func render(
    _ program: TemplateProgram, variables: [String: TemplateValue], date: CalendarDate
  ) throws(ChatTemplateError) -> TemplateText {
    var interpreter = TemplateInterpreter(program, variables: variables, date: date)
    try interpreter.run(program.body)
    return interpreter.output
  }

  private init(
    _ program: TemplateProgram, variables: [String: TemplateValue], date: CalendarDate
  ) {
    self.program = program
    self.date = date
    values = program.names.map { variables[$0] }
    loopVariable = program.names.firstIndex(of: "loop")
  }

  // MARK: - Variables

  /// The value of a variable; the name of a function is a variable that holds the function.
  func value(of variable: Int) -> TemplateValue {
    if let value = values[variable] { return value }
    let name = program.names[variable]
    return TemplateFunction(rawValue: name).map { .function($0) } ?? .undefined(name: name)
  }

  /// Sets a variable; inside a loop only until the end of the current pass.
  private mutating func set(_ variable: Int, to value: TemplateValue) {
    if loopDepth > 0 { saved.append((variable, values[variable])) }
    values[variable] = value
  }

  private mutating func restore(to mark: Int) {
    while saved.count > mark, let last = saved.popLast() { values[last.variable] = last.value }
  }

  // MARK: - Statements

  private mutating func run(_ body: [TemplateStatement]) throws(ChatTemplateError) {
    for statement in body {
      let line = statement.line
      try budget.take(steps: 1, line: line)
      switch statement.action {
      case .text(let text):
        try write(text, line: line)
      case .output(let expression):
        try write(try text(of: try evaluate(expression), line: line), line: line)
      case .set(let variable, let expression):
        set(variable, to: try evaluate(expression))
      case .setAttribute(let name, let variable, let expression):
        let value = try evaluate(expression)
        guard case .namespace(let number) = self.value(of: variable) else {
          throw .evaluation(
            line: line, problem: "'\(name)' is set on something that is not a namespace")
        }
        namespaces[number][name] = value
      case .choose(let branches, let otherwise):
        var body = otherwise
        for branch in branches where try evaluate(branch.test).isTrue {
          body = branch.body
          break
        }
        try run(body)
      case .repeatFor(let loop):
        try run(loop, line: line)
      }
    }
  }

  private mutating func write(_ text: TemplateText, line: Int) throws(ChatTemplateError) {
    try budget.take(text: text.cost, line: line)
    guard text.bytes.count <= TemplateBudget.outputLimit - output.bytes.count else {
      throw .tooMuchText(line: line, limit: TemplateBudget.outputLimit)
    }
    output.append(text)
  }

  private mutating func run(_ loop: TemplateLoop, line: Int) throws(ChatTemplateError) {
    var elements = try self.elements(of: try evaluate(loop.elements), line: line)
    loopDepth += 1
    defer { loopDepth -= 1 }
    let mark = saved.count
    if let filter = loop.filter {
      var kept: [TemplateValue] = []
      for element in elements {
        try assign(element, to: loop.targets, line: line)
        if try evaluate(filter).isTrue { kept.append(element) }
        restore(to: mark)
      }
      elements = kept
    }
    for (index, element) in elements.enumerated() {
      try assign(element, to: loop.targets, line: line)
      if let loopVariable { set(loopVariable, to: .loop(index: index, count: elements.count)) }
      try run(loop.body)
      restore(to: mark)
    }
    if elements.isEmpty {
      try run(loop.otherwise)
      restore(to: mark)
    }
  }

  private mutating func assign(
    _ element: TemplateValue, to targets: [Int], line: Int
  ) throws(ChatTemplateError) {
    try budget.take(steps: targets.count, line: line)
    guard targets.count > 1 else {
      set(targets[0], to: element)
      return
    }
    let parts = try elements(of: element, line: line)
    guard parts.count == targets.count else {
      throw .evaluation(
        line: line, problem: "an element has \(parts.count) parts for \(targets.count) variables")
    }
    for (target, part) in zip(targets, parts) { set(target, to: part) }
  }
}
