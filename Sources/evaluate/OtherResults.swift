import DuetEvaluation
import DuetText

/// The results of another run, given by `--compare`.
struct OtherResults {
  let path: String
  let model: String
  private let outcomes: [String: EvaluationOutcomes]

  /// The limits of the document; HellaSwag takes 20 KB of it.
  private static let limits = JSONLimits(byteCount: 64_000_000)

  /// Reads the document, and checks that it has the same documents and protocol.
  ///
  /// - Throws: `EvaluationError`.
  init(contentsOf path: String, comparableWith planned: [PlannedTask]) throws(EvaluationError) {
    func wrong(_ problem: String) -> EvaluationError {
      .notComparable(path: path, problem: problem)
    }
    let root: JSONValue
    do throws(JSONError) {
      root = try JSONDocument(contentsOf: path, limits: Self.limits).root
    } catch {
      if case .file(let error) = error { throw .file(error) }
      throw wrong(error.description)
    }
    guard let model = root["model"]?.string, let protocolName = root["protocol"]?.string,
      let recorded = root["outcomes"]
    else { throw wrong("it is not what evaluate --json prints") }
    var outcomes: [String: EvaluationOutcomes] = [:]
    for task in planned {
      let name = task.task.name
      guard protocolName == task.plan.protocol.rawValue else {
        throw wrong("it is by protocol \(protocolName), not \(task.plan.protocol.rawValue)")
      }
      guard let value = recorded[name], let other = EvaluationOutcomes(value) else {
        throw wrong("it has no answers to \(name)")
      }
      guard other.accuracy.count == task.plan.documents.count else {
        throw wrong(
          "it answers \(other.accuracy.count) documents of \(name), not "
            + "\(task.plan.documents.count)")
      }
      guard other.documentsDigest == task.plan.documentsDigest else {
        throw wrong("its documents of \(name) are others")
      }
      outcomes[name] = other
    }
    self.path = path
    self.model = model
    self.outcomes = outcomes
  }

  /// The counts of a task for each metric; the first model is the one of this run.
  func counts(
    _ own: EvaluationOutcomes, task: String
  ) -> [(metric: String, counts: PairedCounts)] {
    guard let other = outcomes[task] else { return [] }
    var result = [("acc", PairedCounts(own.accuracy, other.accuracy))]
    if let first = own.normalizedAccuracy, let second = other.normalizedAccuracy {
      result.append(("acc_norm", PairedCounts(first, second)))
    }
    return result
  }
}
