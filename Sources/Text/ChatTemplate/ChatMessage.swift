/// One turn of a conversation.
public struct ChatMessage: Sendable, Hashable {
  /// The speaker of a turn.
  public struct Role: RawRepresentable, Sendable, Hashable {
    /// The name that templates compare.
    public let rawValue: String

    /// The speaker with a name; templates know more of them than the three below, such as `tool`.
    public init(rawValue: String) { self.rawValue = rawValue }

    /// Instructions that hold for the whole conversation; at most one message, the first.
    public static let system = Role(rawValue: "system")
    /// The person.
    public static let user = Role(rawValue: "user")
    /// The model.
    public static let assistant = Role(rawValue: "assistant")

    /// Whether the name is one of the three above, so that it may stand for a control token.
    var isKnown: Bool { [.system, .user, .assistant].contains(self) }
  }

  /// The speaker of a turn.
  public var role: Role
  /// The text of the turn; control strings in it are plain text.
  public var content: String
  /// Other values of the turn that templates may read; one named `content` replaces the text.
  package var fields: [MessageValue.Entry] = []

  /// A turn with the given speaker and text.
  public init(role: Role, content: String) {
    self.role = role
    self.content = content
  }
}

/// A value of a message beside its role and text, such as a call of a tool.
package indirect enum MessageValue: Sendable, Hashable {
  /// A named value.
  package struct Entry: Sendable, Hashable {
    package var name: String
    package var value: MessageValue

    package init(name: String, value: MessageValue) {
      self.name = name
      self.value = value
    }
  }

  case null
  case bool(Bool)
  case integer(Int)
  case number(Double)
  case string(String)
  case list([MessageValue])
  case object([Entry])

  /// The value of a JSON text, or nil for a number that is too large.
  package init?(_ json: JSONValue) {
    switch json.kind {
    case .null: self = .null
    case .boolean: self = .bool(json.bool ?? false)
    case .string: self = .string(json.string ?? "")
    case .number:
      if let integer = json.int {
        self = .integer(integer)
      } else if let number = json.double {
        self = .number(number)
      } else {
        return nil
      }
    case .array:
      guard let elements = json.elements else { return nil }
      var values: [MessageValue] = []
      for element in elements {
        guard let value = MessageValue(element) else { return nil }
        values.append(value)
      }
      self = .list(values)
    case .object:
      guard let entries = Self.entries(of: json) else { return nil }
      self = .object(entries)
    }
  }

  /// The members of a JSON object, or nil when one has a number that is too large.
  package static func entries(of json: JSONValue) -> [Entry]? {
    guard let members = json.members else { return nil }
    var entries: [Entry] = []
    for member in members {
      guard let value = MessageValue(member.value) else { return nil }
      entries.append(Entry(name: member.name, value: value))
    }
    return entries
  }

  /// The value for templates; all strings in it are content.
  var templateValue: TemplateValue {
    switch self {
    case .null: .none
    case .bool(let flag): .bool(flag)
    case .integer(let number): .int(number)
    case .number(let number): .double(number)
    case .string(let text): .text(TemplateText(text, isContent: true))
    case .list(let values): .list(TemplateList(values.map(\.templateValue)))
    case .object(let entries):
      .map(
        TemplateMap(
          entries.map { (TemplateText($0.name, isContent: true), $0.value.templateValue) }))
    }
  }
}

extension ChatMessage {
  /// The message as the mapping that templates read.
  var templateValue: TemplateValue {
    let role = TemplateText(role.rawValue, isContent: !role.isKnown)
    let content = TemplateText(content, isContent: true)
    let others = fields.map {
      (key: TemplateText($0.name, isContent: true), value: $0.value.templateValue)
    }
    return .map(
      TemplateMap(
        [(TemplateText("role"), .text(role)), (TemplateText("content"), .text(content))] + others))
  }
}
