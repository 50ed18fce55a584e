internal import DuetSystem

/// The methods of Python's strings, mappings and lists.
///
/// As in Jinja's sandbox, those that change a list or a mapping are not there.
enum TemplateMethods {
  /// A method of a string.
  typealias TextMethod =
    @Sendable (inout TemplateInterpreter, TemplateText, TemplateCall)
    throws(ChatTemplateError) -> TemplateValue

  /// Whether a value has a method.
  static func has(_ name: String, _ value: TemplateValue) -> Bool {
    switch value {
    case .text: text[name] != nil || unsupportedText.contains(name)
    case .map: ["get", "items", "keys", "values", "copy"].contains(name)
    case .list(let list):
      switch list.kind {
      case .list: ["index", "count", "copy"].contains(name)
      case .tuple, .group, .range: ["index", "count"].contains(name)
      case .view, .iterator: false
      }
    default: false
    }
  }

  /// The methods of strings that are known but not supported.
  private static let unsupportedText: Set = [
    "encode", "translate", "maketrans", "format_map", "isidentifier", "isprintable",
  ]

  /// The methods of strings.
  static let text = TextMethods.table
}

extension TemplateInterpreter {
  mutating func callMethod(
    _ name: String, of value: TemplateValue, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    let line = call.line
    switch value {
    case .text(let text):
      guard let method = TemplateMethods.text[name] else {
        throw .unsupported(line: line, construct: call.callee)
      }
      try budget.take(text: text.cost, line: line)
      return try method(&self, text, call)
    case .map(let map):
      return try callMethod(name, of: map, call)
    case .list(let list):
      return try callMethod(name, of: list, call)
    case .loop(let number):
      return try callLoopMethod(name, of: number, call)
    case .helper(let number):
      return try callHelperMethod(name, of: number, call)
    default:
      throw .unsupported(line: line, construct: "\(call.callee) of \(value.kindName)")
    }
  }

  // MARK: - Mappings

  private mutating func callMethod(
    _ name: String, of map: TemplateMap, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    let line = call.line
    if name == "get" {
      let arguments = try call.bound(["key", "default"], required: 1)
      return map[try key(arguments[0] ?? .none, line: line)] ?? arguments[1] ?? .none
    }
    _ = try call.bound()
    switch name {
    case "items": return .list(try items(of: map, kind: .view, line: line))
    case "keys": return .list(try list(map.entries.map(\.key), kind: .view, line: line))
    case "values": return .list(try list(map.entries.map(\.value), kind: .view, line: line))
    default: return .map(try checked(map, line: line))
    }
  }

  /// The keys and values of a mapping as pairs.
  mutating func items(
    of map: TemplateMap, kind: TemplateList.Kind, line: Int
  ) throws(ChatTemplateError) -> TemplateList {
    var pairs: [TemplateValue] = []
    for (key, value) in map.entries {
      pairs.append(.list(try list([key, value], kind: .tuple, line: line)))
    }
    return try list(pairs, kind: kind, line: line)
  }

  // MARK: - Lists

  private mutating func callMethod(
    _ name: String, of list: TemplateList, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    let line = call.line
    if name == "copy" {
      _ = try call.bound()
      return .list(try self.list(list.elements, line: line))
    }
    let wanted = try call.bound(["value"], required: 1)[0] ?? .none
    var count = 0
    for (index, element) in list.elements.enumerated() {
      guard try areEqual(element, wanted, line: line) else { continue }
      if name == "index" { return .int(index) }
      count += 1
    }
    guard name == "count" else {
      throw .evaluation(line: line, problem: "\(call.callee) finds no such element")
    }
    return .int(count)
  }
}
