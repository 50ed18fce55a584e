package import DuetSystem
package import DuetText

/// An error of a conversation or its file.
package enum ChatError: DuetError, Equatable {
  /// The conversation does not fit in the context, even after all turns that may be dropped are.
  case tooLong(tokens: Int, contextLength: Int, hasOlderTurns: Bool)
  /// There is no text for the model to continue.
  case nothingToContinue
  /// A file is not a saved conversation.
  case notAConversation(path: String, problem: String)
  /// A file does not hold the messages of a conversation.
  case notMessages(path: String, problem: String)
  /// The file to write exists and is not a saved conversation.
  case wouldOverwrite(path: String)
  /// A file cannot be read or written.
  case file(FileError)
  /// A file is not JSON.
  case json(JSONError)
  /// The tokenizer has no tokens.
  case emptyVocabulary(folder: String)

  /// A sentence that describes the error and how to resolve it.
  package var description: String {
    switch self {
    case .tooLong(let tokens, let contextLength, let hasOlderTurns):
      "the conversation has \(tokens) tokens and the context holds \(contextLength); "
        + (hasOlderTurns
          ? "use --on-full drop-oldest, /clear or a larger --context"
          : "shorten the message or use a larger --context")
    case .nothingToContinue: "there is no text to continue; give one with -p"
    case .notAConversation(let path, let problem):
      "\(printable(path)): not a conversation saved by chat: \(problem)"
    case .notMessages(let path, let problem):
      "\(printable(path)): not messages for --messages: \(problem)"
    case .wouldOverwrite(let path):
      "\(printable(path)): this file is not a conversation saved by chat; choose another name"
    case .file(let error): error.description
    case .json(let error): error.description
    case .emptyVocabulary(let folder): "\(printable(folder)): the tokenizer has no tokens"
    }
  }

  /// The category of the error, for the exit code.
  package var category: FailureCategory {
    switch self {
    case .tooLong, .nothingToContinue, .wouldOverwrite: .usage
    case .notAConversation, .notMessages, .json, .emptyVocabulary: .refusedData
    case .file(let error): error.category
    }
  }
}
