public import DuetRuntime
internal import DuetSystem

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// A model that gives the logits after each token of a sequence.
///
/// `Session` conforms; tests use other types whose logits are known.
public protocol LogitSource: ~Copyable {
  /// The number of logits after each token.
  var vocabularySize: Int { get }
  /// Removes all tokens.
  mutating func restart()
  /// Evaluates tokens whose logits are not needed.
  ///
  /// - Throws: `GenerationError`.
  mutating func append(_ tokens: [Int], isCancelled: () -> Bool) throws(GenerationError)
  /// Evaluates tokens and calls `body` with each token's index and the logits after it, in order.
  ///
  /// - Throws: `GenerationError`.
  mutating func evaluate(
    _ tokens: [Int], isCancelled: () -> Bool,
    _ body: (_ index: Int, _ logits: Span<Float>) -> Void
  ) throws(GenerationError)
}

/// The perplexity of a model on a planned text, window by window.
///
/// ```swift
/// var measurement = PerplexityMeasurement(plan)
/// while !measurement.isComplete { try measurement.scoreNextWindow(&session) }
/// print(measurement.perplexity)
/// ```
///
/// Each result is over all predictions made so far. A window that cannot be scored is an error; it is
/// never left out.
///
/// Accuracy: the loss of a token is log(sum of exp(logits)) - logit; the logarithm and the sum of the
/// losses are in Double.
public struct PerplexityMeasurement: Sendable {
  /// The windows to score.
  public let plan: WindowPlan
  /// The losses of all predictions in nats, grouped by window.
  public private(set) var loss = GroupedMean()
  /// The comparison with a reference model, when there is one.
  public private(set) var comparison: ModelComparison?
  /// The sum of the losses of each document.
  public private(set) var documentLosses: [Double]
  /// The number of windows that are scored.
  public private(set) var windowsDone = 0

  /// Makes a measurement in which no window is scored yet.
  public init(_ plan: WindowPlan) {
    self.plan = plan
    documentLosses = [Double](repeating: 0, count: plan.documentCount)
  }

  /// Whether all windows are scored.
  public var isComplete: Bool { windowsDone == plan.windowCount }

  /// The number of predictions made.
  public var scoredTokenCount: Int { loss.count }

  /// exp(mean loss) over the predictions made so far, or NaN before the first.
  public var perplexity: Double { loss.mean.map { exp($0) } ?? .nan }

  /// Scores the next window.
  ///
  /// - Parameters:
  ///   - model: The model to measure; restarted first.
  ///   - isCancelled: Called between layers; true stops the evaluation.
  ///   - progress: Called after each prediction with the number of predictions so far.
  /// - Throws: `PerplexityError.nonFinite` with the window and layer, or another error of the model.
  /// - Precondition: The measurement is not complete.
  public mutating func scoreNextWindow<Source: LogitSource & ~Copyable>(
    _ model: inout Source, isCancelled: () -> Bool = { false },
    progress: (_ scoredTokenCount: Int) -> Void = { _ in }
  ) throws(PerplexityError) {
    precondition(!isComplete, "all \(windowsDone) windows are scored")
    let window = plan[windowsDone]
    let kernels = KernelSet.standard
    var losses: [Double] = []
    losses.reserveCapacity(window.targets.count)
    var isFinite = true
    do throws(GenerationError) {
      model.restart()
      if window.firstScored > 0 {
        try model.append(Array(window.inputs[..<window.firstScored]), isCancelled: isCancelled)
      }
      try model.evaluate(Array(window.inputs[window.firstScored...]), isCancelled: isCancelled) {
        index, logits in
        guard isFinite, let normalizer = kernels.logSumExp(logits) else {
          isFinite = false
          return
        }
        let loss = normalizer - Double(logits[window.targets[index]])
        isFinite = loss.isFinite
        losses.append(loss)
        progress(scoredTokenCount + losses.count)
      }
    } catch {
      throw failure(error, in: .model, scored: losses.count)
    }
    guard isFinite else {
      throw failure(.nonFinite(layer: nil, tensor: nil), in: .model, scored: losses.count)
    }
    finish(window, losses)
  }

  /// Scores the next window with a model and a reference, and compares them token by token.
  ///
  /// Both evaluate 512 tokens at a time, or fewer when 512 rows of logits are more than 128 MiB.
  ///
  /// - Parameters:
  ///   - model: The model to measure; restarted first.
  ///   - reference: The model to compare it with; restarted first.
  ///   - isCancelled: Called between layers; true stops the evaluation.
  ///   - progress: Called after each prediction with the number of predictions so far.
  /// - Throws: `PerplexityError.nonFinite` with the window and layer, `differentVocabularies`, or
  ///   another error of a model.
  /// - Precondition: The measurement is not complete.
  public mutating func scoreNextWindow<
    Source: LogitSource & ~Copyable, Reference: LogitSource & ~Copyable
  >(
    _ model: inout Source, comparingWith reference: inout Reference,
    isCancelled: () -> Bool = { false }, progress: (_ scoredTokenCount: Int) -> Void = { _ in }
  ) throws(PerplexityError) {
    precondition(!isComplete, "all \(windowsDone) windows are scored")
    let size = model.vocabularySize
    guard reference.vocabularySize == size else {
      throw .differentVocabularies(modelSize: size, referenceSize: reference.vocabularySize)
    }
    let window = plan[windowsDone]
    let kernels = KernelSet.standard
    var comparisons: [TokenComparison] = []
    comparisons.reserveCapacity(window.targets.count)
    var nonFiniteRole: PerplexityError.Role?
    model.restart()
    reference.restart()
    let context = Array(window.inputs[..<window.firstScored])
    if !context.isEmpty {
      do throws(GenerationError) {
        try reference.append(context, isCancelled: isCancelled)
      } catch {
        throw failure(error, in: .reference, scored: 0)
      }
      do throws(GenerationError) {
        try model.append(context, isCancelled: isCancelled)
      } catch {
        throw failure(error, in: .model, scored: 0)
      }
    }
    let step = max(1, min(Self.longestStep, Self.stepByteCount / (size * 4), window.targets.count))
    // (step, vocabularySize): the reference's logits of one step.
    var rows = [Float](repeating: 0, count: step * size)
    for start in stride(from: 0, to: window.targets.count, by: step) {
      let end = min(start + step, window.targets.count)
      let tokens = Array(window.inputs[window.firstScored + start..<window.firstScored + end])
      do throws(GenerationError) {
        try reference.evaluate(tokens, isCancelled: isCancelled) { index, logits in
          var target = rows.mutableSpan
          for id in 0..<size { target[index * size + id] = logits[id] }
        }
      } catch {
        throw failure(error, in: .reference, scored: comparisons.count)
      }
      do throws(GenerationError) {
        try model.evaluate(tokens, isCancelled: isCancelled) { index, logits in
          guard nonFiniteRole == nil else { return }
          let row = rows.span.extracting(index * size..<(index + 1) * size)
          let result = TokenComparison(
            model: logits, reference: row, target: window.targets[start + index], kernels)
          nonFiniteRole = result.nonFiniteRole
          comparisons.append(result)
          progress(scoredTokenCount + comparisons.count)
        }
      } catch {
        throw failure(error, in: .model, scored: comparisons.count)
      }
      if let nonFiniteRole {
        let error = GenerationError.nonFinite(layer: nil, tensor: nil)
        throw failure(error, in: nonFiniteRole, scored: comparisons.count - 1)
      }
    }
    var comparison = self.comparison ?? ModelComparison()
    comparison.appendWindow(comparisons)
    self.comparison = comparison
    finish(window, comparisons.map(\.modelLoss))
  }

  /// A batch of a session.
  private static let longestStep = 512
  /// The memory for the logits of the reference.
  private static let stepByteCount = 128 << 20

  private mutating func finish(_ window: ScoringWindow, _ losses: [Double]) {
    for value in losses { loss.append(value) }
    loss.endGroup()
    documentLosses[window.document] += losses.reduce(0, +)
    windowsDone += 1
  }

  private func failure(
    _ error: GenerationError, in role: PerplexityError.Role, scored: Int
  ) -> PerplexityError {
    guard case .nonFinite(let layer, let tensor) = error else { return .generation(error) }
    return .nonFinite(
      model: role, window: windowsDone + 1, windowCount: plan.windowCount, layer: layer,
      tensor: tensor, scoredTokenCount: scoredTokenCount + scored,
      expectedTokenCount: plan.targetCount)
  }
}
