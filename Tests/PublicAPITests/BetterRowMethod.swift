import DuetCompressor
import DuetRuntime
import DuetText

/// A method of a program that uses the library: every row of Q is the better of two roundings.
///
/// The error tr((W - Q) H (W - Q)^T) is a sum over rows, so each row can choose for itself between rounding to
/// nearest and rounding with feedback.
struct BetterRowMethod: CompressionMethod {
  static let name = "better-row"
  static let summary = "Q alone, every row the better of two roundings"

  /// An option that no method of the library has.
  static let takesFeedbackOnly = MethodOption<Bool>(
    "feedback-only", key: "takes_feedback_only", placeholder: nil,
    help: "Take rounding with feedback for every row", expected: "",
    unreadReason: "does not choose between roundings", standard: { _ in false },
    parse: { _ in true }, encode: { .boolean($0) }, text: { $0 ? "yes" : "no" },
    isAbsence: { !$0 })

  var rounding: QuantizationOptions
  var takesFeedbackOnly: Bool

  init(reading choices: inout MethodChoices) {
    rounding = QuantizationOptions(reading: &choices)
    takesFeedbackOnly = choices.read(Self.takesFeedbackOnly)
  }

  var choices: MethodChoices {
    var result = MethodChoices(rounding)
    result.set(Self.takesFeedbackOnly, to: takesFeedbackOnly)
    return result
  }

  var quantization: QuantizationOptions? { rounding }

  func decompose(
    _ problem: borrowing WeightProblem, _ metric: borrowing Metric, rank: Int,
    _ algebra: LinearAlgebra
  ) throws(LinearAlgebraError) -> Decomposition {
    var quantized = rounding.withFeedback(problem.weight, metric, algebra)
    let start = algebra.squaredError(of: quantized, problem, metric)
    if !takesFeedbackOnly {
      let nearest = rounding.nearest(to: problem, algebra)
      for row in 0..<problem.weight.rowCount
      where error(nearest, problem, metric, row) < error(quantized, problem, metric, row) {
        for column in 0..<metric.size {
          quantized.values[row, column] = nearest.values[row, column]
        }
        for index in 0..<quantized.scales.columnCount {
          quantized.scales[row, index] = nearest.scales[row, index]
        }
      }
    }
    let error = algebra.squaredError(of: quantized, problem, metric)
    return Decomposition(
      quantized: quantized, factors: problem.noFactors, error: error,
      runs: [.init(from: .zero, errors: [start, error])])
  }

  /// What a row adds to the error: (w - q) H (w - q)^T.
  private func error(
    _ quantized: borrowing QuantizedMatrix, _ problem: borrowing WeightProblem,
    _ metric: borrowing Metric, _ row: Int
  ) -> Double {
    let n = metric.size
    let difference = (0..<n).map { problem.weight[row, $0] - quantized.values[row, $0] }
    var sum = 0.0
    for i in 0..<n {
      var image: Float = 0
      for j in 0..<n { image += metric.hessian[i, j] * difference[j] }
      sum += Double(difference[i] * image)
    }
    return sum
  }
}
