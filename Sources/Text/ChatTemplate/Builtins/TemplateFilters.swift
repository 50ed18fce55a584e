internal import DuetSystem

/// The filters of Jinja2.
enum TemplateFilters {
  /// A filter: what it makes of a value and arguments.
  typealias Filter =
    @Sendable (inout TemplateInterpreter, TemplateValue, TemplateCall)
    throws(ChatTemplateError) -> TemplateValue

  /// All filters by name.
  static let table: [String: Filter] =
    TextFilters.table
    .merging(ListFilters.table) { first, _ in first }
    .merging(SelectionFilters.table) { first, _ in first }
    .merging(NumberFilters.table) { first, _ in first }
    .merging(general) { first, _ in first }

  private static let general: [String: Filter] = [
    "attr": attr, "d": initial, "default": initial, "items": items, "tojson": json,
  ]

  private static func initial(
    _ run: inout TemplateInterpreter, _ value: TemplateValue, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    let arguments = try call.bound(["default_value", "boolean"])
    let isReplaced = value.isUndefined || (arguments.flag(1) && !value.isTrue)
    return isReplaced ? arguments[0] ?? .text("") : value
  }

  private static func items(
    _ run: inout TemplateInterpreter, _ value: TemplateValue, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    _ = try call.bound()
    switch value {
    case .map(let map):
      let items = try run.items(of: map, kind: .list, line: call.line)
      return try run.iterator(items.elements, line: call.line)
    case .undefined: return try run.iterator([], line: call.line)
    default: throw .evaluation(line: call.line, problem: "\(value.kindName) has no items")
    }
  }

  private static func attr(
    _ run: inout TemplateInterpreter, _ value: TemplateValue, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    let name = try call.bound(["name"], required: 1).text(0)
    try run.budget.take(text: name.cost, weight: 4, line: call.line)
    return try run.part(name, of: value, line: call.line) ?? .undefined(name: name.excerpt)
  }

  private static func json(
    _ run: inout TemplateInterpreter, _ value: TemplateValue, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    .text(try run.json(of: value, call))
  }
}

extension TemplateInterpreter {
  mutating func filter(
    _ value: TemplateValue, by name: String, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    guard let filter = TemplateFilters.table[name] else {
      throw .unsupported(line: call.line, construct: call.callee)
    }
    return try filter(&self, value, call)
  }
}
