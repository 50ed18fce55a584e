package import DuetText

/// The messages of a conversation, and which of them the model still sees.
package struct Conversation: Sendable, Equatable {
  /// The instructions for the whole conversation, if any.
  package var system: String? { didSet { systemFields = [] } }
  /// The other values of the system's message.
  private var systemFields: [MessageValue.Entry] = []
  /// The turns of user and assistant, oldest first.
  package private(set) var turns: [ChatMessage] = []
  /// The number of the oldest messages in `turns` that the model no longer sees.
  package private(set) var droppedCount = 0

  /// Makes an empty conversation.
  package init(system: String? = nil) {
    self.system = system
  }

  /// Makes a conversation from messages, of which the first may be the system's.
  package init(messages: [ChatMessage]) {
    let hasSystem = messages.first?.role == .system
    system = hasSystem ? messages.first?.content : nil
    systemFields = hasSystem ? messages.first?.fields ?? [] : []
    turns = Array(messages.dropFirst(hasSystem ? 1 : 0))
  }

  /// All messages, for saving.
  package var messages: [ChatMessage] { withSystem(turns[...]) }

  /// The messages that the model sees.
  package var visibleMessages: [ChatMessage] { withSystem(turns.dropFirst(droppedCount)) }

  private func withSystem(_ turns: ArraySlice<ChatMessage>) -> [ChatMessage] {
    guard let system else { return Array(turns) }
    var first = ChatMessage(role: .system, content: system)
    first.fields = systemFields
    return [first] + turns
  }

  /// Whether the last message is the user's and has no answer yet.
  package var awaitsAnswer: Bool { turns.last?.role == .user }

  package mutating func append(_ role: ChatMessage.Role, _ content: String) {
    turns.append(ChatMessage(role: role, content: content))
  }

  /// Removes the last message if it has the given role, and returns it.
  @discardableResult
  package mutating func withdraw(_ role: ChatMessage.Role) -> ChatMessage? {
    guard turns.last?.role == role else { return nil }
    let message = turns.removeLast()
    // The model must see the message that is answered next, even if it was dropped before.
    let lastQuestion = turns.lastIndex { $0.role == .user } ?? 0
    droppedCount = min(droppedCount, awaitsAnswer ? lastQuestion : turns.count)
    return message
  }

  /// Removes all turns but keeps the instructions.
  package mutating func clear() {
    turns.removeAll()
    droppedCount = 0
  }

  /// Hides the `count` oldest messages from the model.
  ///
  /// - Returns: Whether there is a turn behind them that the model then sees first; nothing changes otherwise.
  package mutating func drop(_ count: Int) -> Bool {
    guard count >= 0, count < turns.count, count == 0 || turns[count].role == .user else {
      return false
    }
    droppedCount = count
    return true
  }

  /// Hides the oldest turn from the model: a user's message and the answers to it.
  ///
  /// - Returns: Whether a turn was hidden; the last turn, which has to be answered, never is.
  package mutating func dropOldestTurn() -> Bool {
    guard
      let next = turns.indices.dropFirst(droppedCount + 1).first(where: { turns[$0].role == .user })
    else { return false }
    droppedCount = next
    return true
  }
}
