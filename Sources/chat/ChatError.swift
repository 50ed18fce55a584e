package import DuetSystem
package import DuetText

/// What can be wrong with a conversation or its file.
package enum ChatError: DuetError, Equatable {
  /// The conversation does not fit in the context, even after everything droppable was dropped.
  case tooLong(tokens: Int, contextLength: Int, hasOlderTurns: Bool)
  /// There is no text for the model to continue.
  case nothingToContinue
  /// A file is not a conversation that was saved.
  case notAConversation(path: String, problem: String)
  /// A file of another kind is in the way.
  case wouldOverwrite(path: String)
  /// A file cannot be read or written.
  case file(FileError)
  /// A file is not JSON.
  case json(JSONError)
  /// The tokenizer knows no tokens.
  case emptyVocabulary(folder: String)

  /// One sentence that says what is wrong and what to do.
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
    case .wouldOverwrite(let path):
      "\(printable(path)): this file is not a conversation saved by chat; choose another name"
    case .file(let error): error.description
    case .json(let error): error.description
    case .emptyVocabulary(let folder): "\(printable(folder)): the tokenizer has no tokens"
    }
  }

  /// The kind of trouble, for the exit code.
  package var category: FailureCategory {
    switch self {
    case .tooLong, .nothingToContinue, .wouldOverwrite: .usage
    case .notAConversation, .json, .emptyVocabulary: .refusedData
    case .file(let error): error.category
    }
  }
}
