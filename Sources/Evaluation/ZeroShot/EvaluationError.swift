package import DuetRuntime
package import DuetSystem

/// An error of an evaluation.
package enum EvaluationError: DuetError, Equatable {
  /// None of the possible data files of a task exists.
  case noData(task: String, folder: String, names: [String])
  /// A file could not be read or written.
  case file(FileError)
  /// A line of the data is not a valid line of the task; lines count from 1.
  case malformedLine(path: String, line: Int, problem: String)
  /// The numbers of answers and questions in their files differ.
  case labels(path: String, count: Int, documentCount: Int)
  /// A file without documents.
  case noDocuments(path: String)
  /// A subject of MMLU has fewer examples than are to be shown.
  case tooFewExamples(path: String, subject: String, count: Int, neededCount: Int)
  /// A context is empty, and the tokenizer has neither a BOS nor an EOS token to use instead.
  case noPrefixToken
  /// A document produced an infinity or NaN, after a layer (nil: in the logits); documents count from
  /// 0.
  case nonFinite(task: String, document: Int, layer: Int?, tensor: String?)
  /// The model could not be run.
  case generation(GenerationError)
  /// The existing samples are of another run.
  case otherRun(path: String, difference: String)
  /// Samples exist, and the mode is neither to resume nor to overwrite.
  case samplesExist(path: String)
  /// The file for samples exists and has other content.
  case notSamples(path: String)
  /// The results to compare with are not results of this program, or are of other documents.
  case notComparable(path: String, problem: String)

  /// The category of the error, for the exit code.
  package var category: FailureCategory {
    switch self {
    case .noData: .inputOutput
    case .malformedLine, .labels, .noDocuments, .tooFewExamples, .noPrefixToken, .notComparable:
      .refusedData
    case .nonFinite: .numerical
    case .otherRun: .resumable
    case .samplesExist, .notSamples: .usage
    case .file(let error): error.category
    case .generation(let error): error.category
    }
  }

  /// A sentence that describes the error and how to resolve it.
  package var description: String {
    switch self {
    case .noData(let task, let folder, let names):
      "\(printable(folder)): there is no data of \(printable(task)); it is looked for in "
        + names.joined(separator: ", ")
    case .file(let error): error.description
    case .malformedLine(let path, let line, let problem):
      "\(printable(path)): line \(line): \(printable(problem))"
    case .labels(let path, let count, let documentCount):
      "\(printable(path)): \(count) answers for \(documentCount) questions; the two files do not "
        + "belong together"
    case .noDocuments(let path): "\(printable(path)): there is no document in the file"
    case .tooFewExamples(let path, let subject, let count, let neededCount):
      "\(printable(path)): \(count) examples of \(printable(subject)), fewer than the "
        + "\(neededCount) of --num-fewshot"
    case .noPrefixToken:
      "the tokenizer has neither a BOS nor an EOS token to stand for an empty context; add one to "
        + "tokenizer_config.json"
    case .nonFinite(let task, let document, let layer, let tensor):
      "document \(document) of \(printable(task)) produced an infinity or NaN "
        + (layer.map { "after layer \($0)" } ?? "in the logits")
        + (tensor.map { "; the weight \(printable($0)) holds one already" } ?? "")
        + "; no accuracy can be given"
    case .generation(let error): error.description
    case .otherRun(let path, let difference):
      "\(printable(path)): the samples to resume from are of another run: \(printable(difference)); "
        + "give what that run was given, another --samples-out, or --force to start over"
    case .samplesExist(let path):
      "\(printable(path)): there are samples already; add --resume to go on with them, or --force to "
        + "start over"
    case .notSamples(let path):
      "\(printable(path)): this file holds no samples and is not overwritten; give another "
        + "--samples-out"
    case .notComparable(let path, let problem):
      "\(printable(path)): cannot be compared with: \(printable(problem))"
    }
  }
}
