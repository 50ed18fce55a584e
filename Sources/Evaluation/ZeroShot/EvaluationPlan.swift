package import DuetRuntime
internal import DuetSystem
package import DuetText

/// The documents of a task as tokens, divided into steps that are scored together.
///
/// Steps depend only on the documents, so a run that is resumed at a step gives bit for bit the same
/// results as an uninterrupted run.
package struct EvaluationPlan: Sendable {
  /// The data of the task.
  package let data: TaskData
  /// The way texts are encoded.
  package let `protocol`: EvaluationProtocol
  /// The largest number of tokens that the model may evaluate at once.
  package let contextLength: Int
  /// The texts of the documents that are scored: all, or the first ones, of MMLU those of each subject.
  package let texts: [ChoiceDocument]
  /// The tokens of the documents that are scored.
  package let documents: [EncodedDocument]
  /// The subjects of MMLU with the documents of each; none for other tasks.
  package let sections: [TaskData.Section]
  /// The indices of the documents of each step.
  package let steps: [Range<Int>]

  /// Encodes the documents of a task.
  ///
  /// - Parameters:
  ///   - data: The documents.
  ///   - limit: The number of documents to score, from the first on, of MMLU for each subject; nil: all.
  ///   - name: The way texts are encoded.
  ///   - tokenizer: The tokenizer of the model.
  ///   - contextLength: The largest number of tokens that the model may evaluate at once.
  ///   - stepLength: The largest number of tokens of a step; a longer document is a step by itself.
  /// - Throws: `EvaluationError.noPrefixToken`.
  /// - Complexity: O(length of the texts).
  package init(
    _ data: TaskData, limit: Int? = nil, protocol name: EvaluationProtocol, tokenizer: Tokenizer,
    contextLength: Int, stepLength: Int = 512
  ) throws(EvaluationError) {
    var documents: [EncodedDocument] = []
    var steps: [Range<Int>] = []
    var length = 0
    let (texts, sections) = data.first(limit ?? .max)
    for document in texts {
      let encoded = try EncodedDocument(
        document, protocol: name, tokenizer: tokenizer, contextLength: contextLength)
      length += encoded.evaluatedCount
      if let last = steps.last, length <= stepLength {
        steps[steps.count - 1] = last.lowerBound..<documents.count + 1
      } else {
        steps.append(documents.count..<documents.count + 1)
        length = encoded.evaluatedCount
      }
      documents.append(encoded)
    }
    self.data = data
    self.protocol = name
    self.contextLength = contextLength
    self.texts = texts
    self.sections = sections
    self.documents = documents
    self.steps = steps
  }

  /// The number of tokens that the model has to evaluate for the first `count` documents.
  package func evaluatedCount(first count: Int) -> Int {
    documents.prefix(count).reduce(0) { $0 + $1.evaluatedCount }
  }

  /// The number of tokens of the longest sequence.
  package var longestSequence: Int { documents.map(\.longestSequence).max() ?? 0 }

  /// Whether documents are left out.
  package var isPartial: Bool { documents.count < data.documents.count }

  /// A SHA-256 over the documents that are scored.
  package var documentsDigest: String {
    EvaluationOutcomes.digest(texts.map(\.digest))
  }

  /// A SHA-256 over the tokens of all contexts and continuations.
  package var tokensDigest: String {
    var hash = SHA256()
    for context in documents.flatMap(\.contexts) {
      let parts = [context.context] + context.continuations
      let text = parts.map { $0.map(String.init).joined(separator: " ") }.joined(separator: ";")
      hash.update(Array("\(text)\n".utf8).span)
    }
    return SHA256.hexadecimal(hash.finalized())
  }

  /// The document at `index` with its scores.
  func sample(_ index: Int, _ scores: [ContinuationScore]) -> EvaluationSample {
    EvaluationSample(
      index: index, document: texts[index], encoded: documents[index],
      logLikelihoods: scores.map(\.logLikelihood),
      isGreedy: data.task.isGreedy ? scores.allSatisfy(\.isGreedy) : nil,
      subject: sections.first { $0.documents.contains(index) }?.subject)
  }

  /// Scores the documents of a step.
  ///
  /// - Parameters:
  ///   - step: The index of the step.
  ///   - scorer: The scorer that runs the model.
  ///   - isCancelled: Called between layers; true stops the evaluation.
  /// - Returns: A sample for each document of the step.
  /// - Throws: `EvaluationError.nonFinite` with the document and the layer, or `generation`.
  /// - Complexity: One pass over the weights for every `scorer.tokenLimit` tokens.
  package func score(
    step: Int, _ scorer: inout ContinuationScorer, isCancelled: () -> Bool = { false }
  ) throws(EvaluationError) -> [EvaluationSample] {
    let range = steps[step]
    do throws(GenerationError) {
      let contexts = documents[range].flatMap(\.contexts)
      var results = try scorer.scores(contexts, isCancelled: isCancelled)[...]
      return range.map { index in
        let count = documents[index].contexts.count
        let own = results.prefix(count).flatMap { $0 }
        results = results.dropFirst(count)
        return sample(index, own)
      }
    } catch {
      guard case .nonFinite(let layer, let tensor) = error else { throw .generation(error) }
      throw failure(in: range, &scorer, layer: layer, tensor: tensor)
    }
  }

  /// The error of the first document of a failed step that fails when it is scored alone.
  private func failure(
    in range: Range<Int>, _ scorer: inout ContinuationScorer, layer: Int?, tensor: String?
  ) -> EvaluationError {
    for index in range {
      guard let error = failure(ofDocument: index, &scorer) else { continue }
      guard case .nonFinite(let layer, let tensor) = error else { return .generation(error) }
      return .nonFinite(task: data.task.name, document: index, layer: layer, tensor: tensor)
    }
    return .nonFinite(
      task: data.task.name, document: range.lowerBound, layer: layer, tensor: tensor)
  }

  private func failure(
    ofDocument index: Int, _ scorer: inout ContinuationScorer
  ) -> GenerationError? {
    do throws(GenerationError) {
      _ = try scorer.scores(documents[index].contexts)
      return nil
    } catch {
      return error
    }
  }
}
