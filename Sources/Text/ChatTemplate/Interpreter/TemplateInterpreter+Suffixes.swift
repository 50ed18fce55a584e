internal import DuetSystem

/// The suffixes of values: parts, calls, filters and tests.
extension TemplateInterpreter {
  mutating func apply(
    _ suffixes: [TemplateSuffix], to value: TemplateValue
  ) throws(ChatTemplateError) -> TemplateValue {
    var value = value
    for suffix in suffixes {
      try budget.take(steps: 1, line: suffix.line)
      value = try apply(suffix, to: value, caller: nil)
    }
    return value
  }

  /// Evaluates a call whose callee gets a macro as its argument `caller`.
  mutating func evaluate(
    _ expression: TemplateExpression, caller: TemplateValue
  ) throws(ChatTemplateError) -> TemplateValue {
    guard case .applied(let base, let suffixes) = expression.node, let last = suffixes.last else {
      return try evaluate(expression)
    }
    let callee = try apply(Array(suffixes.dropLast()), to: try evaluate(base))
    try budget.take(steps: 1, line: last.line)
    return try apply(last, to: callee, caller: caller)
  }

  private mutating func apply(
    _ suffix: TemplateSuffix, to value: TemplateValue, caller: TemplateValue?
  ) throws(ChatTemplateError) -> TemplateValue {
    let line = suffix.line
    switch suffix.kind {
    case .attribute(let name):
      return try attribute(TemplateText(name), of: value, line: line)
    case .element(let key):
      return try element(try evaluate(key), of: value, line: line)
    case .slice(let first, let last, let step):
      let (first, last, step) = (try bound(first), try bound(last), try bound(step))
      return try slice(value, from: first, to: last, by: step ?? 1, line: line)
    case .call(let arguments):
      return try call(
        value, try evaluate(arguments, of: callee(value), caller: caller, line: line))
    case .method(let name, let arguments):
      let method = try attribute(TemplateText(name), of: value, line: line)
      let call = try evaluate(
        arguments, of: "the method '\(name)'", caller: caller, line: line)
      guard case .undefined = method else { return try self.call(method, call) }
      throw .evaluation(
        line: line, problem: "\(value.kindName) does not have \(call.callee)")
    case .filter(let name, let arguments):
      let call = try evaluate(arguments, of: "the filter '\(name)'", line: line)
      return try filter(value, by: name, call)
    case .test(let name, let arguments, let isNegated):
      let call = try evaluate(arguments, of: "the test '\(name)'", line: line)
      return .bool(try test(value, name, call) != isNegated)
    }
  }

  private func callee(_ value: TemplateValue) -> String {
    switch value {
    case .function(let function): "the function '\(function.rawValue)'"
    case .macro(let number): "the macro '\(macros[number].macro.name)'"
    case .method(let name, _): "the method '\(name)'"
    default: value.kindName
    }
  }

  private mutating func evaluate(
    _ arguments: TemplateArguments, of callee: String, caller: TemplateValue? = nil, line: Int
  ) throws(ChatTemplateError) -> TemplateCall {
    var call = TemplateCall(callee: callee, line: line)
    for argument in arguments.positional { call.positional.append(try evaluate(argument)) }
    if let rest = arguments.unpackedList {
      let elements = try elements(of: try evaluate(rest), line: line)
      try budget.take(steps: elements.count, line: line)
      call.positional += elements
    }
    for (name, argument) in arguments.named { call.named.append((name, try evaluate(argument))) }
    if let rest = arguments.unpackedMap {
      guard case .map(let map) = try evaluate(rest) else {
        throw .evaluation(line: line, problem: "what follows '**' is no mapping")
      }
      try budget.take(steps: map.entries.count, line: line)
      for (key, value) in map.entries {
        guard case .text(let name) = key else {
          throw .evaluation(line: line, problem: "the name of an argument is no string")
        }
        try budget.take(text: name.cost, weight: 8, line: line)
        call.named.append((name.string, value))
      }
    }
    if let caller { call.named.append(("caller", caller)) }
    return call
  }

  /// Calls a value.
  mutating func call(
    _ value: TemplateValue, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    switch value {
    case .function(let function):
      return try self.call(function, call)
    case .macro(let number):
      return try deeper(line: call.line) { (self) throws(ChatTemplateError) in
        try self.callMacro(number, call)
      }
    case .method(let name, let receiver):
      return try callMethod(name, of: receiver, call)
    case .loop(let number):
      return try deeper(line: call.line) { (self) throws(ChatTemplateError) in
        try self.recur(number, call)
      }
    case .helper(let number):
      return try callHelper(number, call)
    case .undefined(let name):
      throw .unsupported(line: call.line, construct: "the function '\(name)'")
    default:
      throw .evaluation(line: call.line, problem: "\(value.kindName) is called")
    }
  }

  // MARK: - Parts

  /// `value.name`: a method if there is one, else the part with the name, else undefined.
  mutating func attribute(
    _ name: TemplateText, of value: TemplateValue, line: Int
  ) throws(ChatTemplateError) -> TemplateValue {
    try part(name, of: value, line: line)
      ?? keyed(name, of: value, line: line) ?? .undefined(name: name.excerpt)
  }

  /// `value[key]`; undefined when there is no such part.
  mutating func element(
    _ key: TemplateValue, of value: TemplateValue, line: Int
  ) throws(ChatTemplateError) -> TemplateValue {
    let index = integer(key)
    switch (value, key) {
    case (.undefined(let base), _):
      throw .evaluation(line: line, problem: "'\(base)' is undefined and has no parts")
    case (.map(let map), _):
      if let found = map[try self.key(key, line: line)] { return found }
    case (.list(let list), _) where index != nil && list.isIndexed:
      let position = position(index, count: list.elements.count)
      return position.map { list.elements[$0] } ?? .undefined(name: "element \(index ?? 0)")
    case (.text(let text), _) where index != nil:
      try budget.take(text: text.cost, weight: 2, line: line)
      return position(index, count: text.scalarCount).map {
        .text(text.scalarSlice($0..<$0 + 1))
      } ?? .undefined(name: "character \(index ?? 0)")
    default: break
    }
    guard case .text(let name) = key else { return .undefined(name: "part of \(value.kindName)") }
    try budget.take(text: name.cost, line: line)
    return try part(name, of: value, line: line) ?? .undefined(name: name.excerpt)
  }

  /// The position of an element whose number may count from the end.
  private func position(_ index: Int?, count: Int) -> Int? {
    guard let index else { return nil }
    let position = index < 0 ? index + count : index
    return (0..<count).contains(position) ? position : nil
  }

  private func keyed(
    _ name: TemplateText, of value: TemplateValue, line: Int
  ) -> TemplateValue? {
    if case .map(let map) = value { map[name] } else { nil }
  }

  /// What Python calls an attribute: a method, or a part of an object that is no container.
  mutating func part(
    _ name: TemplateText, of value: TemplateValue, line: Int
  ) throws(ChatTemplateError) -> TemplateValue? {
    switch value {
    case .namespace(let number):
      return namespaces[number][name.string]
    case .loop(let number):
      return try loopPart(name.string, of: number)
    case .helper(let number):
      return helpers[number].part(name.string, number: number)
    case .list(let list) where list.kind == .group:
      if let index = ["grouper", "list"].firstIndex(of: name.string) {
        return list.elements[index]
      }
    case .macro(let number):
      if name.string == "name" { return .text(macros[number].macro.name) }
    case .undefined(let base):
      throw .evaluation(
        line: line, problem: "'\(base)' is undefined and has no part '\(name.excerpt)'")
    default: break
    }
    let string = name.excerpt
    return TemplateMethods.has(string, value) ? .method(string, of: value) : nil
  }

  // MARK: - Slices

  private mutating func bound(
    _ expression: TemplateExpression?
  ) throws(ChatTemplateError) -> Int? {
    guard let expression else { return nil }
    let value = try evaluate(expression)
    if case .none = value { return nil }
    guard let number = integer(value) else {
      throw .evaluation(
        line: expression.line, problem: "\(value.kindName) is used as the end of a slice")
    }
    return number
  }

  private mutating func slice(
    _ value: TemplateValue, from first: Int?, to last: Int?, by step: Int, line: Int
  ) throws(ChatTemplateError) -> TemplateValue {
    guard step != 0 else { throw .evaluation(line: line, problem: "a slice with step zero") }
    switch value {
    case .list(let list) where list.isIndexed:
      let numbers = Self.positions(from: first, to: last, by: step, count: list.elements.count)
      try budget.take(steps: numbers.count, line: line)
      let kind = list.kind == .range ? .list : list.kind
      return .list(try self.list(numbers.map { list.elements[$0] }, kind: kind, line: line))
    case .text(let text):
      try budget.take(text: text.cost, weight: 2, line: line)
      let count = text.scalarCount
      let numbers = Self.positions(from: first, to: last, by: step, count: count)
      guard step != 1 else {
        let start = numbers.first ?? 0
        return .text(text.scalarSlice(start..<start + numbers.count))
      }
      try budget.take(steps: count, line: line)
      let scalars = text.scalars
      return .text(TemplateText().joining(numbers.map { scalars[$0] }))
    default:
      throw .evaluation(line: line, problem: "a slice of \(value.kindName) is wanted")
    }
  }

  /// The positions of Python's slice: ends count from the end when negative, and are clamped.
  private static func positions(
    from first: Int?, to last: Int?, by step: Int, count: Int
  ) -> [Int] {
    let lowest = step > 0 ? 0 : -1
    let highest = step > 0 ? count : count - 1
    func clamp(_ bound: Int) -> Int {
      max(lowest, min(bound < 0 ? bound + count : bound, highest))
    }
    let start = first.map(clamp) ?? (step > 0 ? 0 : count - 1)
    let end = last.map(clamp) ?? (step > 0 ? count : -1)
    return Array(stride(from: start, to: end, by: step))
  }
}
