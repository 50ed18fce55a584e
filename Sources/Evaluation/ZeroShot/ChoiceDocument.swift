internal import DuetSystem

/// A question with several answers, as texts.
package struct ChoiceDocument: Sendable, Equatable {
  /// An answer and the context before it.
  package struct Choice: Sendable, Equatable {
    /// The text that the model reads.
    package let context: String
    /// The text whose likelihood is computed: a space and the answer.
    package let continuation: String
    /// The number of Unicode code points of the answer, without the space, as Python's `len` counts.
    package let length: Int

    /// Makes a choice whose continuation is a space and the answer.
    package init(context: String, answer: String) {
      self.context = context
      continuation = " " + answer
      length = answer.unicodeScalars.count
    }
  }

  /// The answers, in the order of the data.
  package let choices: [Choice]
  /// The index of the right answer.
  package let gold: Int

  /// Makes a document.
  ///
  /// - Precondition: `gold` is the index of a choice.
  package init(choices: [Choice], gold: Int) {
    precondition(choices.indices.contains(gold), "answer \(gold) of \(choices.count)")
    self.choices = choices
    self.gold = gold
  }

  /// The first sixteen hexadecimal digits of a SHA-256 over the texts and the right answer.
  package var digest: String {
    var hash = SHA256()
    for choice in choices {
      // UTF-8 never has a byte 0xFF, so it separates the parts without ambiguity.
      hash.update((Array(choice.context.utf8) + [0xFF]).span)
      hash.update((Array(choice.continuation.utf8) + [0xFF]).span)
    }
    hash.update(Array("\(gold)".utf8).span)
    return SHA256.hexadecimal(Array(hash.finalized().prefix(8)))
  }
}
