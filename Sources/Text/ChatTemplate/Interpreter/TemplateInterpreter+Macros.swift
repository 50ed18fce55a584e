/// Macros and `call` blocks.
extension TemplateInterpreter {
  /// A macro with the variables around its definition.
  mutating func macro(
    _ macro: TemplateMacro, line: Int
  ) throws(ChatTemplateError) -> TemplateValue {
    // It stays until rendering ends, so it costs about as many steps as it uses words of memory.
    try budget.take(steps: 16, line: line)
    macros.append((macro, scope))
    return .macro(macros.count - 1)
  }

  /// Runs a macro and returns what it writes.
  mutating func callMacro(
    _ number: Int, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    let (macro, outer) = macros[number]
    let inner = TemplateScope(inside: outer)
    try bind(call, to: macro, in: inner)
    return .text(
      try captured { (self) throws(ChatTemplateError) in
        try self.inside(inner) { (self) throws(ChatTemplateError) in
          // Parameters that are not given are undefined while values for them are computed.
          let missing = macro.parameters.filter { inner[own: $0.variable] == nil }
          for parameter in missing {
            inner[parameter.variable] = .undefined(name: parameter.name)
          }
          for parameter in missing {
            guard let initial = parameter.initial else { continue }
            inner[parameter.variable] = try self.evaluate(initial)
          }
          _ = try self.run(macro.body)
        }
      })
  }

  /// Sets the parameters that are given, and the variables for the arguments beyond them.
  private mutating func bind(
    _ call: TemplateCall, to macro: TemplateMacro, in inner: TemplateScope
  ) throws(ChatTemplateError) {
    let line = call.line
    let work = macro.parameters.count * (1 + call.named.count) + call.positional.count
    try budget.take(steps: work, line: line)
    for (parameter, value) in zip(macro.parameters, call.positional) {
      inner[parameter.variable] = value
    }
    let rest = Array(call.positional.dropFirst(macro.parameters.count))
    if let varargs = macro.varargs {
      inner[varargs] = .list(try list(rest, kind: .tuple, line: line))
    } else if !rest.isEmpty {
      throw .evaluation(
        line: line,
        problem: "\(call.callee) takes no more than \(macro.parameters.count) arguments")
    }
    var others = TemplateMap()
    if let caller = macro.caller { inner[caller] = .undefined(name: "caller") }
    for (name, value) in call.named {
      if name == "caller", let caller = macro.caller {
        inner[caller] = value
      } else if let parameter = macro.parameters.first(where: { $0.name == name }) {
        guard inner[own: parameter.variable] == nil else {
          throw .evaluation(line: line, problem: "\(call.callee) is given '\(name)' twice")
        }
        inner[parameter.variable] = value
      } else if macro.kwargs != nil {
        others.set(.text(name), TemplateKey(TemplateText(name)), to: value)
      } else {
        throw .evaluation(line: line, problem: "\(call.callee) takes no argument '\(name)'")
      }
    }
    if let kwargs = macro.kwargs { inner[kwargs] = .map(others) }
  }
}
