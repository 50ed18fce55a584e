/// One turn of a conversation.
public struct ChatMessage: Sendable, Hashable {
  /// The speaker of a turn.
  public enum Role: String, Sendable, Hashable {
    /// Instructions that hold for the whole conversation; at most one message, the first.
    case system
    /// The person.
    case user
    /// The model.
    case assistant
  }

  /// The speaker of a turn.
  public var role: Role
  /// The text of the turn; control strings in it are plain text.
  public var content: String

  /// A turn with the given speaker and text.
  public init(role: Role, content: String) {
    self.role = role
    self.content = content
  }
}
