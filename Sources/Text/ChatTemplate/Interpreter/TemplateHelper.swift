/// The state of a `cycler` or a `joiner`.
struct TemplateHelper {
  /// The values of a cycler, or nil for a joiner.
  var items: [TemplateValue]?
  /// The separator of a joiner.
  var separator = TemplateValue.text(", ")
  /// The number of the current value, or of the calls so far.
  var position = 0

  func part(_ name: String, number: Int) -> TemplateValue? {
    guard let items else { return nil }
    switch name {
    case "current": return items[position]
    case "next", "reset": return .method(name, of: .helper(number))
    default: return nil
    }
  }
}

extension TemplateInterpreter {
  /// Makes a `cycler` or a `joiner`.
  mutating func makeHelper(
    _ helper: TemplateHelper, line: Int
  ) throws(ChatTemplateError) -> TemplateValue {
    // It stays until rendering ends, so it costs about as many steps as it uses words of memory.
    try budget.take(steps: 16, line: line)
    helpers.append(helper)
    return .helper(helpers.count - 1)
  }

  /// Calls a joiner: it gives nothing the first time, then its separator.
  mutating func callHelper(
    _ number: Int, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    _ = try call.bound()
    guard helpers[number].items == nil else {
      throw .evaluation(line: call.line, problem: "a cycler is called")
    }
    helpers[number].position += 1
    return helpers[number].position == 1 ? .text("") : helpers[number].separator
  }

  /// `cycler.next()` and `cycler.reset()`.
  mutating func callHelperMethod(
    _ name: String, of number: Int, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    _ = try call.bound()
    guard name == "next", let items = helpers[number].items else {
      helpers[number].position = 0
      return .none
    }
    let current = helpers[number].position
    helpers[number].position = (current + 1) % items.count
    return items[current]
  }
}
