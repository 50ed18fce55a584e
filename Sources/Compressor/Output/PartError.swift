package import DuetSystem

/// A reason why the parts of a model cannot be made or joined.
package enum PartError: DuetError, Equatable {
  /// What the folder of a part lacks.
  package enum State: Sendable, Equatable {
    /// There is no folder, or nothing was begun in it.
    case missing
    /// Some of its matrices, or of its states, are not there or damaged.
    case unfinished(done: Int, count: Int)
    /// It is of another run.
    case foreign([Fingerprint.Difference])
    /// Its fingerprint cannot be read.
    case damaged

    /// One line without the part: "unfinished, 5 of 7 are there".
    package var description: String {
      switch self {
      case .missing: "missing"
      case .unfinished(let done, let count): "unfinished (\(done) of \(count))"
      case .foreign(let differences):
        "of another run (\(JournalError.list(differences)))"
      case .damaged: "damaged"
      }
    }
  }

  /// A part with what it lacks.
  package struct Problem: Sendable, Equatable {
    /// The part.
    package let number: PartNumber
    /// What it lacks.
    package let state: State
  }

  /// No folder beside the output can be named after it.
  case noName(path: String)
  /// There are no parts.
  case none(path: String)
  /// There are parts of several divisions.
  case severalDivisions(path: String, counts: [Int])
  /// Parts are missing, unfinished or of another run.
  case incomplete(path: String, [Problem])
  /// Shares of the states are missing, unfinished or of another run.
  case incompleteStates(path: String, [Problem])
  /// The layers of the parts do not add up to the model.
  case gap(path: String, layer: Int)
  /// A file could not be read.
  case file(FileError)

  /// The kind of trouble, for the exit code.
  package var category: FailureCategory {
    switch self {
    case .noName: .usage
    case .none, .severalDivisions, .incomplete, .incompleteStates, .gap: .resumable
    case .file(let error): error.category
    }
  }

  /// The most parts that a message lists one by one.
  private static let listedProblems = 8

  /// One sentence that names the parts and what to do.
  package var description: String {
    switch self {
    case .noName(let path):
      "\(printable(path)): parts are kept beside the output, in a folder that is named after it; give the "
        + "output by its name"
    case .none(let path):
      "\(printable(path)): there are no parts; make them with compress --part 1/N and so on"
    case .severalDivisions(let path, let counts):
      "\(printable(path)): there are parts of \(counts.map(String.init).joined(separator: " and of ")); "
        + "remove those that are not wanted"
    case .incomplete(let path, let problems):
      "\(printable(path)): \(Self.list("part", problems)); run compress --part again for "
        + (problems.count == 1 ? "this part" : "these parts")
    case .incompleteStates(let path, let problems):
      "\(printable(path)): \(Self.list("share of the states", problems)); run compress states --part again for "
        + (problems.count == 1 ? "this share" : "these shares")
    case .gap(let path, let layer):
      "\(printable(path)): no part, or more than one, has layer \(layer): some parts were made with "
        + "--shared-states and some without; make all of them in the same way"
    case .file(let error): error.description
    }
  }

  private static func list(_ noun: String, _ problems: [Problem]) -> String {
    let listed = problems.prefix(listedProblems).map {
      "\(noun) \($0.number) is \($0.state.description)"
    }
    let rest = problems.count - listed.count
    return listed.joined(separator: ", ") + (rest > 0 ? " and \(rest) more are not complete" : "")
  }
}
