import DuetCommandLine
import DuetSystem
package import DuetText

/// The file of `--messages`: a JSON array of messages, as clients of OpenAI's interface write it.
package enum MessagesFile {
  /// The limits of the file; calls of tools are nested, but not deeply.
  private static let limits = JSONLimits(byteCount: 64_000_000, depth: 32)

  /// The messages in a file, or on standard input when the path is `-`.
  ///
  /// An object with the array as `messages` is read as well: a saved conversation, or a request.
  ///
  /// - Parameter path: The path.
  /// - Returns: The messages, at least one.
  /// - Throws: `ChatError` when the file cannot be read or holds no messages, and `InputError`.
  package static func load(_ path: String) throws -> [ChatMessage] {
    guard path != "-" else {
      let text = try StandardInput.readText(limit: limits.byteCount)
      return try messages(Array(text.utf8), "standard input")
    }
    let bytes: [UInt8]
    do {
      bytes = try readFile(path, limit: limits.byteCount)
    } catch {
      throw ChatError.file(error)
    }
    return try messages(bytes, path)
  }

  /// The messages of a JSON text.
  ///
  /// - Parameters:
  ///   - bytes: The text.
  ///   - path: Where it comes from, for messages.
  /// - Returns: The messages, at least one.
  /// - Throws: `ChatError` when the text is not JSON or holds no messages.
  package static func messages(
    _ bytes: [UInt8], _ path: String
  ) throws(ChatError) -> [ChatMessage] {
    let root: JSONValue
    do {
      root = try JSONDocument(parsing: bytes, path: path, limits: limits).root
    } catch {
      throw .json(error)
    }
    guard let list = root.elements ?? root["messages"]?.elements else {
      throw .notMessages(path: path, problem: "it is not a JSON array")
    }
    var messages: [ChatMessage] = []
    for (index, value) in list.enumerated() {
      do throws(Problem) {
        messages.append(try message(value))
      } catch {
        throw .notMessages(path: path, problem: "message \(index + 1) \(error.text)")
      }
    }
    guard !messages.isEmpty else {
      throw .notMessages(path: path, problem: "the array is empty")
    }
    return messages
  }

  /// What is wrong with a message.
  private struct Problem: Error {
    let text: String
  }

  private static func message(_ value: JSONValue) throws(Problem) -> ChatMessage {
    guard let role = value["role"]?.string, !role.isEmpty else {
      throw Problem(text: "has no role such as \"system\", \"user\" or \"assistant\"")
    }
    guard let fields = MessageValue.entries(of: value) else {
      throw Problem(text: "has a number that is too large")
    }
    var message = ChatMessage(role: .init(rawValue: role), content: "")
    message.fields = fields.filter { $0.name != "role" && $0.name != "content" }
    guard let content = value["content"], !content.isNull else {
      // A message that only calls tools has no text.
      guard !message.fields.isEmpty else { throw Problem(text: "has no text named \"content\"") }
      message.fields.append(MessageValue.Entry(name: "content", value: .null))
      return message
    }
    if let text = content.string {
      message.content = text
    } else if let parts = content.elements {
      message.content = try text(of: parts)
    } else {
      throw Problem(text: "has a \"content\" that is neither a text nor a list of texts")
    }
    return message
  }

  /// The texts of a list of `{"type": "text", "text": ...}`, each on lines of its own.
  private static func text(of parts: JSONElements) throws(Problem) -> String {
    var texts: [String] = []
    for (index, part) in parts.enumerated() {
      guard part["type"]?.string == "text", let text = part["text"]?.string else {
        throw Problem(text: "has a part \(index + 1) that is no text; the model reads only text")
      }
      texts.append(text)
    }
    return texts.joined(separator: "\n")
  }
}
