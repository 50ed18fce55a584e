import DuetCommandLine
import DuetSystem
import DuetText

/// The file of a conversation: `{"messages":[{"role":"user","content":"..."}, ...]}`.
package enum ConversationFile {
  /// The limits of the file; the number of bytes is larger than the JSON of any context.
  private static let limits = JSONLimits(byteCount: 64_000_000, depth: 8)

  /// The conversation in a file.
  ///
  /// - Throws: `ChatError` when the file cannot be read or is not a conversation.
  package static func load(_ path: String) throws(ChatError) -> Conversation {
    let bytes: [UInt8]
    do {
      bytes = try readFile(path, limit: limits.byteCount)
    } catch {
      throw .file(error)
    }
    return try conversation(in: bytes, path: path)
  }

  /// The conversation in the bytes of a file.
  ///
  /// - Throws: `ChatError` when they are not a conversation.
  package static func conversation(
    in bytes: [UInt8], path: String
  ) throws(ChatError) -> Conversation {
    let root = try parse(bytes, path).root
    var result = Conversation(messages: try messages(of: root, path))
    if let dropped = root["dropped"] {
      guard let count = dropped.int, result.drop(count) else {
        throw .notAConversation(
          path: path, problem: "\"dropped\" is not a number of messages before the last turn")
      }
    }
    return result
  }

  /// The bytes of the file of a conversation.
  package static func bytes(of conversation: Conversation) -> [UInt8] {
    var members: [JSONOutput.Member] = [
      .init(
        "messages",
        .array(
          conversation.messages.map { message in
            ["role": .string(message.role.rawValue), "content": .string(message.content)]
          }))
    ]
    if conversation.droppedCount > 0 {
      members.append(.init("dropped", .integer(conversation.droppedCount)))
    }
    return Array("\(JSONOutput.object(members).text)\n".utf8)
  }

  /// Writes a conversation to a new file, or replaces the file of another saved conversation.
  ///
  /// The file is never incomplete. Messages that the model no longer sees are counted in "dropped".
  ///
  /// - Returns: Whether an older file was replaced.
  /// - Throws: `ChatError`; an older file is then not changed.
  @discardableResult
  package static func save(
    _ conversation: Conversation, to path: String
  ) throws(ChatError) -> Bool {
    let replaces = try mayReplace(path)
    do {
      try AtomicFile.write(bytes(of: conversation), to: path, isPrivate: true)
    } catch {
      throw .file(error)
    }
    return replaces
  }

  private static func parse(
    _ bytes: [UInt8], _ path: String
  ) throws(ChatError) -> JSONDocument {
    do {
      return try JSONDocument(parsing: bytes, path: path, limits: limits)
    } catch {
      throw .json(error)
    }
  }

  private static func messages(
    of root: JSONValue, _ path: String
  ) throws(ChatError) -> [ChatMessage] {
    func wrong(_ problem: String) -> ChatError { .notAConversation(path: path, problem: problem) }
    guard let list = root["messages"]?.elements else {
      throw wrong("there is no list named \"messages\"")
    }
    var messages: [ChatMessage] = []
    for (index, value) in list.enumerated() {
      let role = value["role"]?.string.map { ChatMessage.Role(rawValue: $0) }
      guard let role, [.system, .user, .assistant].contains(role) else {
        throw wrong("message \(index + 1) has no role \"system\", \"user\" or \"assistant\"")
      }
      guard let content = value["content"]?.string else {
        throw wrong("message \(index + 1) has no text named \"content\"")
      }
      guard role != .system || index == 0 else {
        throw wrong("message \(index + 1) is the system's, which only the first may be")
      }
      messages.append(ChatMessage(role: role, content: content))
    }
    return messages
  }

  /// Whether a file exists that may be replaced; throws for one that may not.
  private static func mayReplace(_ path: String) throws(ChatError) -> Bool {
    do {
      _ = try load(path)
      return true
    } catch .file(.notFound) {
      return false
    } catch .file(let error) {
      throw .file(error)
    } catch {
      throw .wouldOverwrite(path: path)
    }
  }
}
