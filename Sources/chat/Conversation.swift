package import DuetText

/// What was said so far, and which part of it the model still sees.
package struct Conversation: Sendable, Equatable {
  /// The instructions for the whole conversation, if any.
  package var system: String?
  /// The turns of user and assistant, oldest first.
  package private(set) var turns: [ChatMessage] = []
  /// How many of the oldest messages in `turns` the model no longer sees.
  package private(set) var droppedCount = 0

  /// An empty conversation.
  package init(system: String? = nil) {
    self.system = system
  }

  /// A conversation from messages, of which the first may be the system's.
  package init(messages: [ChatMessage]) {
    let hasSystem = messages.first?.role == .system
    system = hasSystem ? messages.first?.content : nil
    turns = Array(messages.dropFirst(hasSystem ? 1 : 0))
  }

  /// Everything, for saving.
  package var messages: [ChatMessage] { withSystem(turns[...]) }

  /// What the model sees.
  package var visibleMessages: [ChatMessage] { withSystem(turns.dropFirst(droppedCount)) }

  private func withSystem(_ turns: ArraySlice<ChatMessage>) -> [ChatMessage] {
    (system.map { [ChatMessage(role: .system, content: $0)] } ?? []) + turns
  }

  /// Whether an answer is due: the last message is the user's.
  package var awaitsAnswer: Bool { turns.last?.role == .user }

  package mutating func append(_ role: ChatMessage.Role, _ content: String) {
    turns.append(ChatMessage(role: role, content: content))
  }

  /// Takes back the last message if it is of the given role.
  @discardableResult
  package mutating func withdraw(_ role: ChatMessage.Role) -> ChatMessage? {
    guard turns.last?.role == role else { return nil }
    let message = turns.removeLast()
    // What is answered next must be seen, even if it went out of sight before.
    let lastQuestion = turns.lastIndex { $0.role == .user } ?? 0
    droppedCount = min(droppedCount, awaitsAnswer ? lastQuestion : turns.count)
    return message
  }

  /// Forgets all turns but keeps the instructions.
  package mutating func clear() {
    turns.removeAll()
    droppedCount = 0
  }

  /// Hides the oldest turn from the model: a user's message and the answers to it.
  ///
  /// - Returns: Whether there was one; the last turn, to which an answer is due, always stays.
  package mutating func dropOldestTurn() -> Bool {
    guard
      let next = turns.indices.dropFirst(droppedCount + 1).first(where: { turns[$0].role == .user })
    else { return false }
    droppedCount = next
    return true
  }
}
