internal import DuetSystem

/// The methods of strings that look for a part.
extension TextMethods {
  /// Whether one of the strings given is at an end of a text.
  static func hasAffix(
    _ run: inout TemplateInterpreter, _ text: TemplateText, _ call: TemplateCall,
    _ isThere: ([UInt8], [UInt8]) -> Bool
  ) throws(ChatTemplateError) -> TemplateValue {
    let arguments = try call.bound(["affix", "start", "end"], required: 1)
    guard !arguments.isGiven(1), !arguments.isGiven(2) else {
      throw .unsupported(line: call.line, construct: "\(call.callee) of a part of a string")
    }
    guard case .list(let list) = arguments[0], list.kind == .tuple else {
      return .bool(isThere(text.bytes, try arguments.text(0).bytes))
    }
    for element in list.elements {
      guard case .text(let part) = element else {
        throw .evaluation(line: call.line, problem: "\(call.callee) is given \(element.kindName)")
      }
      try run.budget.take(steps: 1, line: call.line)
      try run.budget.take(
        text: min(text.bytes.count, part.bytes.count), weight: 16, line: call.line)
      if isThere(text.bytes, part.bytes) { return .bool(true) }
    }
    return .bool(false)
  }

  /// The part of a text between the arguments `start` and `end`, and the number where it begins.
  private static func window(
    _ text: TemplateText, _ arguments: TemplateBoundArguments
  ) throws(ChatTemplateError) -> (text: TemplateText, start: Int)? {
    guard arguments.isGiven(1) || arguments.isGiven(2) else { return (text, 0) }
    let count = text.scalarCount
    func bound(_ index: Int, _ initial: Int) throws(ChatTemplateError) -> Int {
      guard arguments.isGiven(index) else { return initial }
      let bound = try arguments.int(index)
      return max(0, bound < 0 ? bound + count : bound)
    }
    let start = try bound(1, 0)
    let end = min(count, try bound(2, count))
    guard start <= end else { return nil }
    return (text.scalarSlice(start..<end), start)
  }

  /// The position of a part, counted in code points, or nil.
  static func find(
    _ run: inout TemplateInterpreter, _ text: TemplateText, _ call: TemplateCall, fromEnd: Bool
  ) throws(ChatTemplateError) -> TemplateValue? {
    let arguments = try call.bound(["sub", "start", "end"], required: 1)
    let part = try arguments.text(0)
    try run.budget.take(text: text.cost, weight: 4, line: call.line)
    try run.budget.take(text: part.cost, weight: 4, line: call.line)
    guard let (window, start) = try window(text, arguments) else { return nil }
    guard !part.isEmpty else { return .int(start + (fromEnd ? window.scalarCount : 0)) }
    guard part.bytes.count <= window.bytes.count else { return nil }
    let position: Int?
    if fromEnd {
      let reversed = BytePattern(part.bytes.reversed())
      position = reversed.firstMatch(in: window.bytes.reversed(), from: 0).map {
        window.bytes.count - $0 - part.bytes.count
      }
    } else {
      position = BytePattern(part.bytes).firstMatch(in: window.bytes, from: 0)
    }
    return position.map { .int(start + window.slice(0..<$0).scalarCount) }
  }

  static func found(
    _ position: TemplateValue?, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    guard let position else {
      throw .evaluation(line: call.line, problem: "\(call.callee) does not find the string")
    }
    return position
  }

  static func count(
    _ run: inout TemplateInterpreter, _ text: TemplateText, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    let arguments = try call.bound(["sub", "start", "end"], required: 1)
    let part = try arguments.text(0)
    try run.budget.take(text: text.cost, weight: 16, line: call.line)
    try run.budget.take(text: part.cost, weight: 4, line: call.line)
    guard let (window, _) = try window(text, arguments) else { return .int(0) }
    guard !part.isEmpty else { return .int(window.scalarCount + 1) }
    guard part.bytes.count <= window.bytes.count else { return .int(0) }
    return .int(window.positions(of: part).count)
  }
}
