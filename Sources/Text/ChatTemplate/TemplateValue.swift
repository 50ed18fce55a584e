internal import DuetSystem

/// A value while a template runs.
enum TemplateValue: Sendable {
  /// The result of evaluating a name without a value or a missing key.
  case undefined(name: String)
  case none
  case bool(Bool)
  case int(Int)
  case text(TemplateText)
  case list(TemplateList)
  case map(TemplateMap)
  /// A namespace, by its number: the only value that can be changed after it was made.
  case namespace(Int)
  /// The state of the innermost loop.
  case loop(index: Int, count: Int)
  /// One of the interpreter's own functions.
  case function(TemplateFunction)

  /// Python's truth value: false for undefined, none, zero and everything empty.
  var isTrue: Bool {
    switch self {
    case .undefined, .none: false
    case .bool(let value): value
    case .int(let value): value != 0
    case .text(let value): !value.isEmpty
    case .list(let value): !value.elements.isEmpty
    case .map(let value): !value.entries.isEmpty
    case .namespace, .loop, .function: true
    }
  }

  /// The kind of value, as messages name it.
  var kindName: String {
    switch self {
    case .undefined(let name): "the undefined '\(name)'"
    case .none: "none"
    case .bool: "a boolean"
    case .int: "an integer"
    case .text: "a string"
    case .list: "a list"
    case .map: "a mapping"
    case .namespace: "a namespace"
    case .loop: "the loop object"
    case .function: "a function"
    }
  }

  /// The number of levels of lists and mappings in the value.
  var depth: Int {
    switch self {
    case .list(let list): list.depth
    case .map(let map): map.depth
    default: 0
    }
  }
}

/// A list and its depth, which the interpreter bounds so that recursion over a value is never deep.
struct TemplateList: Sendable {
  let elements: [TemplateValue]
  let depth: Int

  init(_ elements: [TemplateValue]) {
    self.elements = elements
    depth = 1 + (elements.lazy.map(\.depth).max() ?? 0)
  }

  /// A list of elements whose depth is known.
  init(_ elements: [TemplateValue], depth: Int) {
    self.elements = elements
    self.depth = depth
  }
}

/// A mapping with few keys, in the order they were given.
///
/// Templates cannot make mappings and only get those of the messages, so keys are not hashed.
struct TemplateMap: Sendable {
  let entries: [(key: TemplateText, value: TemplateValue)]
  let depth: Int

  init(_ entries: [(key: TemplateText, value: TemplateValue)]) {
    self.entries = entries
    depth = 1 + (entries.lazy.map(\.value.depth).max() ?? 0)
  }

  subscript(key: TemplateText) -> TemplateValue? {
    entries.first { $0.key.hasSameText(as: key) }?.value
  }
}

/// The functions a template may call by name.
enum TemplateFunction: String, Sendable, CaseIterable {
  case raiseException = "raise_exception"
  case namespace
  case range
  case currentTime = "strftime_now"
}
