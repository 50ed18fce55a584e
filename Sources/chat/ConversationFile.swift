import DuetCommandLine
import DuetSystem
import DuetText
import Glibc

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
    return Conversation(messages: try messages(of: try parse(bytes, path).root, path))
  }

  /// Writes a conversation to a new file, or replaces the file of another saved conversation.
  ///
  /// It is first written to a temporary file, which is then renamed; so the file is never incomplete.
  ///
  /// - Returns: Whether an older file was replaced.
  /// - Throws: `ChatError`; an older file is then not changed.
  @discardableResult
  package static func save(
    _ conversation: Conversation, to path: String
  ) throws(ChatError) -> Bool {
    let replaces = try mayReplace(path)
    let document: JSONOutput = [
      "messages": .array(
        conversation.messages.map { message in
          ["role": .string(message.role.rawValue), "content": .string(message.content)]
        })
    ]
    do {
      try write(document.text + "\n", to: path)
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

  private static func write(_ text: String, to path: String) throws(FileError) {
    let temporary = "\(path).\(getpid()).partial"
    let descriptor = unsafe open(
      temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw .system(path: path, operation: .write, code: errno) }
    var code: Int32 = 0
    do throws(OutputError) {
      let file = StandardOutput(descriptor: descriptor)
      try file.write(text)
      try file.flush()
    } catch {
      code = if case .failed(let reason) = error { reason } else { EPIPE }
    }
    if code == 0, fsync(descriptor) != 0 { code = errno }
    if close(descriptor) != 0, code == 0 { code = errno }
    if code == 0, unsafe rename(temporary, path) != 0 {
      code = errno
    }
    guard code == 0 else {
      _ = unsafe unlink(temporary)
      throw .system(path: path, operation: .write, code: code)
    }
  }
}
