internal import DuetSystem

/// One question with its answers, as texts.
package struct ChoiceDocument: Sendable, Equatable {
  /// An answer, and what it is to follow.
  package struct Choice: Sendable, Equatable {
    /// What the model reads.
    package let context: String
    /// What it is asked the likelihood of: a space and the answer.
    package let continuation: String
    /// The Unicode code points of the answer, without the space, as Python's `len` counts them.
    package let length: Int

    /// An answer behind one space.
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

  /// A document of answers to choose from.
  ///
  /// - Precondition: `gold` is the index of a choice.
  package init(choices: [Choice], gold: Int) {
    precondition(choices.indices.contains(gold), "answer \(gold) of \(choices.count)")
    self.choices = choices
    self.gold = gold
  }

  /// Sixteen hexadecimal digits that tell documents apart: the start of a SHA-256 over all that is
  /// scored.
  package var digest: String {
    var hash = SHA256()
    for choice in choices {
      // No text holds a byte 0xFF, so the parts cannot run into each other.
      hash.update((Array(choice.context.utf8) + [0xFF]).span)
      hash.update((Array(choice.continuation.utf8) + [0xFF]).span)
    }
    hash.update(Array("\(gold)".utf8).span)
    return SHA256.hexadecimal(Array(hash.finalized().prefix(8)))
  }
}
