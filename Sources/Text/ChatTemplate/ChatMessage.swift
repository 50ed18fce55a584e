/// One turn of a conversation.
public struct ChatMessage: Sendable, Hashable {
  /// Who speaks.
  public enum Role: String, Sendable, Hashable {
    /// Instructions that hold for the whole conversation; at most one message, the first.
    case system
    /// The person.
    case user
    /// The model.
    case assistant
  }

  /// Who speaks.
  public var role: Role
  /// What is said; control strings in it are plain text.
  public var content: String

  /// A turn with the given words.
  public init(role: Role, content: String) {
    self.role = role
    self.content = content
  }
}
