/// A value while a template runs.
enum TemplateValue: Sendable {
  /// The result of evaluating a name without a value or a missing key.
  case undefined(name: String)
  case none
  case bool(Bool)
  case int(Int)
  case double(Double)
  case text(TemplateText)
  case list(TemplateList)
  case map(TemplateMap)
  /// A namespace, by its number: a value that can be changed after it was made.
  case namespace(Int)
  /// The state of a loop, by its number.
  case loop(Int)
  /// One of the interpreter's own functions.
  case function(TemplateFunction)
  /// A macro with the variables around it, by its number.
  case macro(Int)
  /// A `cycler` or `joiner`, by its number.
  case helper(Int)
  /// A method of a value that is not called yet.
  indirect case method(String, of: TemplateValue)

  /// A string of the template.
  static func text(_ string: String) -> TemplateValue { .text(TemplateText(string)) }

  /// Python's truth value: false for undefined, none, zero and everything empty.
  var isTrue: Bool {
    switch self {
    case .undefined, .none: false
    case .bool(let value): value
    case .int(let value): value != 0
    case .double(let value): value != 0
    case .text(let value): !value.isEmpty
    case .list(let value): value.isTrue
    case .map(let value): !value.entries.isEmpty
    case .namespace, .loop, .function, .macro, .helper, .method: true
    }
  }

  var isUndefined: Bool {
    if case .undefined = self { true } else { false }
  }

  /// The kind of value, as messages name it.
  var kindName: String {
    switch self {
    case .undefined(let name): "the undefined '\(name)'"
    case .none: "none"
    case .bool: "a boolean"
    case .int: "an integer"
    case .double: "a number"
    case .text: "a string"
    case .list(let list): list.kind.name
    case .map: "a mapping"
    case .namespace: "a namespace"
    case .loop: "the loop object"
    case .function: "a function"
    case .macro: "a macro"
    case .helper: "a cycler or joiner"
    case .method(let name, _): "the method '\(name)'"
    }
  }

  /// The number of levels of lists and mappings in the value.
  var depth: Int {
    switch self {
    case .list(let list): list.depth
    case .map(let map): map.depth
    case .method(_, let value): value.depth
    default: 0
    }
  }
}

/// A sequence of values: a list, or one of Python's kinds of sequences that differ from it.
///
/// The depth is kept because the interpreter bounds it, so that recursion over a value is never deep.
struct TemplateList: Sendable {
  /// The kinds of sequences.
  enum Kind: Sendable, Equatable {
    case list
    case tuple
    /// A pair that `groupby` makes: a tuple whose parts are also called `grouper` and `list`.
    case group
    /// The numbers of a `range`.
    case range
    /// The keys, values or items of a mapping.
    case view
    /// The result of a filter such as `map`: it has no length, is always true, and is read once. The
    /// number says which one it is.
    case iterator(Int)

    var name: String {
      switch self {
      case .list: "a list"
      case .tuple, .group: "a tuple"
      case .range: "a range"
      case .view: "a view of a mapping"
      case .iterator: "the result of a filter"
      }
    }
  }

  let elements: [TemplateValue]
  let kind: Kind
  let depth: Int

  init(_ elements: [TemplateValue], kind: Kind = .list) {
    self.init(elements, kind: kind, depth: 1 + (elements.lazy.map(\.depth).max() ?? 0))
  }

  /// A list of elements whose depth is known.
  init(_ elements: [TemplateValue], kind: Kind = .list, depth: Int) {
    self.elements = elements
    self.kind = kind
    self.depth = depth
  }

  var isIterator: Bool {
    if case .iterator = kind { true } else { false }
  }

  /// Whether elements have numbers: true of lists, tuples and ranges.
  var isIndexed: Bool { kind != .view && !isIterator }

  /// Python's truth value.
  var isTrue: Bool { isIterator || !elements.isEmpty }
}

/// The functions a template may call by name.
enum TemplateFunction: String, Sendable, CaseIterable {
  case raiseException = "raise_exception"
  case namespace
  case range
  case dict
  case cycler
  case joiner
  case currentTime = "strftime_now"
}
