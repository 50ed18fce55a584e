#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// A number with its standard error.
public struct Estimate: Sendable, Equatable {
  /// The number.
  public let value: Double
  /// Its standard error, or nil when there is only one observation or group.
  public let standardError: Double?

  /// Makes an estimate.
  public init(value: Double, standardError: Double?) {
    self.value = value
    self.standardError = standardError
  }
}

/// The unit that a standard error treats as an independent observation.
public enum SamplingUnit: String, Sendable {
  /// Each prediction.
  case tokens
  /// Each window.
  case windows
  /// Each document.
  case documents
}

/// The perplexities per word and per byte, as lm-eval reports them.
public struct DocumentPerplexity: Sendable, Equatable {
  /// exp(loss / words).
  public let word: Estimate
  /// exp(loss / bytes).
  public let byte: Estimate
  /// loss / (bytes * ln 2).
  public let bitsPerByte: Estimate
  /// The number of words of all documents.
  public let wordCount: Int
  /// The number of bytes of all documents.
  public let byteCount: Int
}

extension PerplexityMeasurement {
  /// The unit of the standard errors.
  ///
  /// It is tokens for `llamaCpp`, as in llama.cpp's perplexity program, and when there are fewer than
  /// two windows; otherwise windows.
  public var samplingUnit: SamplingUnit {
    plan.protocol == .llamaCpp || loss.groups.count < 2 ? .tokens : .windows
  }

  /// The mean of `values` with the standard error over `samplingUnit`, or nil before the first window.
  public func estimate(_ values: GroupedMean) -> Estimate? {
    values.mean.map { mean in
      Estimate(
        value: mean,
        standardError: samplingUnit == .tokens
          ? values.standardErrorOverObservations : values.standardErrorOverGroups)
    }
  }

  /// The perplexity with its standard error, or nil before the first window.
  public var perplexityEstimate: Estimate? { estimate(loss).map(exponential) }

  /// The perplexity of the reference, or nil without one.
  public var referencePerplexity: Estimate? {
    (comparison?.referenceLoss).flatMap(estimate).map(exponential)
  }

  /// The perplexity of the model divided by the reference's, with the paired standard error.
  public var perplexityRatio: Estimate? {
    (comparison?.logRatio).flatMap(estimate).map(exponential)
  }

  /// The perplexity of the model minus the reference's, with the paired standard error.
  ///
  /// P = exp(mean of m) and R = exp(mean of r), for losses m and r. To first order P - R varies as
  /// the mean of x = P m - R r, whose standard error is given. Over tokens it comes from
  /// E[x^2] = P^2 E[m^2] - P R (E[m^2] + E[r^2] - E[(m - r)^2]) + R^2 E[r^2].
  public var perplexityChange: Estimate? {
    guard let comparison, let mean = loss.mean, let squares = loss.meanOfSquares,
      let referenceMean = comparison.referenceLoss.mean,
      let referenceSquares = comparison.referenceLoss.meanOfSquares,
      let differenceSquares = comparison.logRatio.meanOfSquares
    else { return nil }
    let (p, r) = (exp(mean), exp(referenceMean))
    let error: Double?
    if samplingUnit == .windows {
      let groups = zip(loss.groups, comparison.referenceLoss.groups).map { model, reference in
        GroupedMean.Group(sum: p * model.sum - r * reference.sum, weight: model.weight)
      }
      error = GroupedMean.standardError(of: groups)
    } else if loss.count > 1 {
      let square =
        p * p * squares - p * r * (squares + referenceSquares - differenceSquares)
        + r * r * referenceSquares
      let variance = max(
        0, square - (p * mean - r * referenceMean) * (p * mean - r * referenceMean))
      error = (variance / Double(loss.count - 1)).squareRoot()
    } else {
      error = nil
    }
    return Estimate(value: p - r, standardError: error)
  }

  /// The perplexities per word and per byte, with standard errors over documents.
  ///
  /// - Parameter documents: The documents of the plan, in its order.
  /// - Returns: The perplexities, or nil without words or before all windows are scored.
  public func documentPerplexity(_ documents: [EvaluationText.Document]) -> DocumentPerplexity? {
    precondition(
      documents.count == documentLosses.count,
      "\(documents.count) documents for a plan of \(documentLosses.count)")
    let wordCount = documents.reduce(0) { $0 + $1.wordCount }
    let byteCount = documents.reduce(0) { $0 + $1.byteCount }
    guard isComplete, wordCount > 0, byteCount > 0 else { return nil }
    func perUnit(_ count: (EvaluationText.Document) -> Int) -> Estimate {
      let groups = zip(documentLosses, documents).map {
        GroupedMean.Group(sum: $0, weight: Double(count($1)))
      }
      let weight = groups.reduce(0) { $0 + $1.weight }
      return Estimate(
        value: groups.reduce(0) { $0 + $1.sum } / weight,
        standardError: GroupedMean.standardError(of: groups))
    }
    let perWord = perUnit(\.wordCount)
    let perByte = perUnit(\.byteCount)
    let ln2 = log(2.0)
    return DocumentPerplexity(
      word: exponential(perWord), byte: exponential(perByte),
      bitsPerByte: Estimate(
        value: perByte.value / ln2, standardError: perByte.standardError.map { $0 / ln2 }),
      wordCount: wordCount, byteCount: byteCount)
  }

  /// exp of an estimate; its standard error to first order is exp(value) times the standard error.
  private func exponential(_ estimate: Estimate) -> Estimate {
    let value = exp(estimate.value)
    return Estimate(value: value, standardError: estimate.standardError.map { $0 * value })
  }
}
