internal import DuetSystem

/// The filters that choose elements of a sequence or map them.
enum SelectionFilters {
  static let table: [String: TemplateFilters.Filter] = [
    "map": map,
    "reject": { (run, value, call) throws(ChatTemplateError) in
      try select(&run, value, call, byAttribute: false, keeps: false)
    },
    "rejectattr": { (run, value, call) throws(ChatTemplateError) in
      try select(&run, value, call, byAttribute: true, keeps: false)
    },
    "select": { (run, value, call) throws(ChatTemplateError) in
      try select(&run, value, call, byAttribute: false, keeps: true)
    },
    "selectattr": { (run, value, call) throws(ChatTemplateError) in
      try select(&run, value, call, byAttribute: true, keeps: true)
    },
  ]

  /// The elements that pass a test (when `keeps`) or fail it; none of a false value.
  ///
  /// With `byAttribute` the test is of an attribute of each element. Without a test, the value must
  /// be true.
  private static func select(
    _ run: inout TemplateInterpreter, _ value: TemplateValue, _ call: TemplateCall,
    byAttribute: Bool, keeps: Bool
  ) throws(ChatTemplateError) -> TemplateValue {
    let line = call.line
    guard value.isTrue else { return try run.iterator([], line: line) }
    var arguments = call.positional[...]
    let path = byAttribute ? arguments.popFirst() : nil
    guard !byAttribute || path != nil else {
      throw .evaluation(line: line, problem: "\(call.callee) is given no attribute")
    }
    let elements = try run.elements(of: value, line: line)
    let subjects = byAttribute ? try run.attributes(path, of: elements, line: line) : elements
    let name = try name(arguments.popFirst(), of: "a test", call)
    var testCall = TemplateCall(callee: "the test '\(name ?? "")'", line: line)
    testCall.positional = Array(arguments)
    testCall.named = call.named
    var kept: [TemplateValue] = []
    for (element, subject) in zip(elements, subjects) {
      try run.budget.take(steps: 1, line: line)
      let passes = if let name { try run.test(subject, name, testCall) } else { subject.isTrue }
      if passes == keeps { kept.append(element) }
    }
    return try run.iterator(kept, line: line)
  }

  private static func name(
    _ value: TemplateValue?, of kind: String, _ call: TemplateCall
  ) throws(ChatTemplateError) -> String? {
    guard let value else { return nil }
    guard case .text(let text) = value else {
      throw .evaluation(line: call.line, problem: "\(call.callee) is given no name of \(kind)")
    }
    return text.excerpt
  }

  /// Applies a filter to each element, or takes an attribute of each; nothing of a false value.
  private static func map(
    _ run: inout TemplateInterpreter, _ value: TemplateValue, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    let line = call.line
    guard value.isTrue else { return try run.iterator([], line: line) }
    let elements = try run.elements(of: value, line: line)
    if call.positional.isEmpty, let path = call.named.first(where: { $0.name == "attribute" }) {
      let initial = call.named.first { $0.name == "default" }?.value
      guard call.named.allSatisfy({ ["attribute", "default"].contains($0.name) }) else {
        throw .evaluation(line: line, problem: "\(call.callee) is given an unknown argument")
      }
      let values = try run.attributes(path.value, of: elements, initial: initial, line: line)
      return try run.iterator(values, line: line)
    }
    guard let name = try name(call.positional.first, of: "a filter", call) else {
      throw .evaluation(line: line, problem: "\(call.callee) is given no filter")
    }
    var filterCall = TemplateCall(callee: "the filter '\(name)'", line: line)
    filterCall.positional = Array(call.positional.dropFirst())
    filterCall.named = call.named
    var results: [TemplateValue] = []
    for element in elements {
      try run.budget.take(steps: 1, line: line)
      let result = try run.deeper(line: line) { (run) throws(ChatTemplateError) in
        try run.filter(element, by: name, filterCall)
      }
      results.append(result)
    }
    return try run.iterator(results, line: line)
  }
}
