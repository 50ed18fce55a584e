public import DuetRuntime
public import DuetSystem

/// A reason why a model could not be compressed.
public enum CompressionDataError: DuetError, Equatable {
  /// The calibration text has fewer tokens than the samples need.
  case calibrationTooShort(tokenCount: Int, needed: Int)
  /// A weight is infinite or NaN.
  case nonFiniteWeight(tensor: String)
  /// The activations that reach a linear layer are infinite or NaN.
  case nonFiniteActivations(layer: Int, input: String)
  /// The measured Hessian of a linear layer is not valid.
  case badHessian(tensor: String, reason: String)
  /// A Hessian could not be factorised with any of the dampings that are tried.
  case notPositiveDefinite(tensor: String, damping: Double)
  /// The error of a decomposition is not finite, or not below the error of rounding to nearest.
  case noImprovement(tensor: String, relativeError: Double, roundToNearestError: Double)
  /// A computation met numbers that are not finite, or did not converge.
  case noConvergence(tensor: String)
  /// Tuning met numbers that are not finite, in a step from 1, or 0 before any.
  case tuningDiverged(step: Int)
  /// A dense weight is too large for F16, the format of the export.
  case outOfHalfRange(tensor: String)
  /// The smallest ranks already take more than the wanted bits per weight.
  case budget(targetBits: Double, leastBits: Double)
  /// A matrix could not be packed.
  case packing(tensor: String, PackedMatrixError)

  /// The kind of trouble, for the exit code.
  public var category: FailureCategory {
    switch self {
    case .calibrationTooShort: .refusedData
    case .budget: .usage
    default: .numerical
    }
  }

  /// One sentence that names the tensor and what is wrong.
  public var description: String {
    switch self {
    case .calibrationTooShort(let tokenCount, let needed):
      "the calibration text has \(tokenCount) tokens, fewer than the \(needed) needed; give more "
        + "text with --calibration, or ask for fewer with --samples or --context"
    case .nonFiniteWeight(let tensor):
      "\(printable(tensor)): a weight is infinite or NaN; the checkpoint is damaged"
    case .nonFiniteActivations(let layer, let input):
      "layer \(layer): the activations before \(input) became infinite or NaN"
    case .badHessian(let tensor, let reason):
      "\(printable(tensor)): the Hessian of its inputs \(reason); check the calibration text and model"
    case .notPositiveDefinite(let tensor, let damping):
      "\(printable(tensor)): the Hessian is not positive definite even with a damping of \(damping); "
        + "give more calibration text or a larger --damping"
    case .noImprovement(let tensor, let error, let roundToNearest):
      "\(printable(tensor)): the relative error \(error) is not below the \(roundToNearest) of rounding "
        + "to nearest; more calibration text or another --method may help"
    case .noConvergence(let tensor):
      "\(printable(tensor)): the decomposition met numbers that are not finite; try more calibration "
        + "text or a larger --damping"
    case .tuningDiverged(let step):
      step == 0
        ? "the predictions of the compressed model or of the original are not finite; check both models"
        : "step \(step) of tuning met numbers that are not finite; use a smaller --learning-rate"
    case .outOfHalfRange(let tensor):
      "\(printable(tensor)): a number is beyond the range of F16; leave --export-dense out, or tune with a "
        + "smaller --learning-rate"
    case .budget(let targetBits, let leastBits):
      "--target-bits \(targetBits) cannot be met: the smallest ranks take \(rounded(leastBits)) bits per "
        + "weight; give more bits, or a --format or --lr-format of fewer"
    case .packing(let tensor, let error): "\(printable(tensor)): \(error)"
    }
  }

  /// A number of bits, rounded up to four decimals so that it is enough.
  private func rounded(_ bits: Double) -> Double { (bits * 10_000).rounded(.up) / 10_000 }
}
