package import DuetText

/// The result of a tuning run.
package struct TuningSummary: Sendable, Hashable {
  /// Whether the tuned model is written; if not, the run was stopped and can be resumed.
  package var isComplete = false
  /// The number of numbers that are trained.
  package var parameterCount: Int
  /// The steps that were done, also in earlier runs.
  package var steps = 0
  /// The steps that earlier runs had done.
  package var resumedSteps: Int
  /// The judgements, the first before any step.
  package var checks: [TuningCheck] = []
  /// The divergence of each step's samples, in nats per token.
  package var losses: [Double] = []

  init(parameterCount: Int, resumedSteps: Int) {
    self.parameterCount = parameterCount
    self.resumedSteps = resumedSteps
  }

  /// The judgement of the model that is written.
  package var best: TuningCheck? { checks.min { $0.divergence < $1.divergence } }
}

/// A judgement of a model that is tuned.
package struct TuningCheck: Sendable, Hashable {
  /// The steps before it.
  package let step: Int
  /// The divergence of the compressed model from the original on the held-out samples, in nats per token.
  package let divergence: Double

  init(step: Int, divergence: Double) {
    self.step = step
    self.divergence = divergence
  }

  init?(_ value: JSONValue) {
    guard let step = value["step"]?.int, let divergence = value["kl_divergence"]?.double else {
      return nil
    }
    self.init(step: step, divergence: divergence)
  }

  /// The object in a JSON document.
  package var json: JSONOutput {
    ["step": .integer(step), "kl_divergence": .number(divergence)]
  }
}
