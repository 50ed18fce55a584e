/// A mapping, in the order in which its keys were given.
struct TemplateMap: Sendable {
  typealias Entry = (key: TemplateValue, value: TemplateValue)

  private(set) var entries: [Entry] = []
  private(set) var depth = 1
  /// The position of each key.
  private var positions: [TemplateKey: Int] = [:]

  init() {}

  /// A mapping of the given strings.
  init(_ entries: [(key: TemplateText, value: TemplateValue)]) {
    for (key, value) in entries { set(.text(key), TemplateKey(key), to: value) }
  }

  /// Adds an entry, or replaces the value of a key that is there.
  mutating func set(_ key: TemplateValue, _ hashable: TemplateKey, to value: TemplateValue) {
    depth = max(depth, 1 + max(key.depth, value.depth))
    if let position = positions[hashable] {
      entries[position].value = value
    } else {
      positions[hashable] = entries.count
      entries.append((key, value))
    }
  }

  subscript(key: TemplateKey) -> TemplateValue? { positions[key].map { entries[$0].value } }

  subscript(key: TemplateText) -> TemplateValue? { self[TemplateKey(key)] }
}

/// A value as the key of a mapping; equal keys are equal in Python, as 1, 1.0 and true are.
indirect enum TemplateKey: Hashable, Sendable {
  case none
  case int(Int)
  case double(Double)
  case text([UInt8])
  case tuple([TemplateKey])

  init(_ text: TemplateText) { self = .text(text.bytes) }

  /// A key, or nil for a value that Python cannot hash.
  init?(_ value: TemplateValue) {
    switch value {
    case .none: self = .none
    case .bool(let flag): self = .int(flag ? 1 : 0)
    case .int(let number): self = .int(number)
    case .double(let number): self = Int(exactly: number).map { .int($0) } ?? .double(number)
    case .text(let text): self.init(text)
    case .list(let list) where list.kind == .tuple:
      var parts: [TemplateKey] = []
      for element in list.elements {
        guard let part = TemplateKey(element) else { return nil }
        parts.append(part)
      }
      self = .tuple(parts)
    default: return nil
    }
  }
}
