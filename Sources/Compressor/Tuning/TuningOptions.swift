package import DuetText

/// How a compressed model is tuned.
package struct TuningOptions: Sendable, Equatable {
  /// The number of steps.
  package var stepCount = 100
  /// The samples of a step.
  package var batchSize = 1
  /// The samples that are not trained with, on which the model is judged.
  package var heldOutCount = 4
  /// The samples that the original model writes, besides those of the text.
  package var ownSampleCount = 0
  /// The steps between two judgements.
  package var checkInterval = 10
  /// The judgements without a better model after which tuning ends.
  package var patience = 3
  /// The largest rate of a step; see `rate(ofStep:)`.
  package var rate = 0.003
  /// Decides in which order samples are taken.
  package var seed: UInt64 = 0

  /// The default options.
  package init() {}

  /// The rate of a step, from 0: it rises in a line over the first twentieth of the steps to `rate`, then falls in a
  /// line to a tenth.
  package func rate(ofStep step: Int) -> Double {
    let warmUp = max(1, stepCount / 20)
    if step < warmUp { return rate * Double(step + 1) / Double(warmUp) }
    let share = Double(step - warmUp) / Double(max(1, stepCount - warmUp))
    return rate * (1 - 0.9 * share)
  }

  /// The samples on which the model is judged: evenly spread over all.
  package func heldOut(of sampleCount: Int) -> [Int] {
    (0..<heldOutCount).map { (2 * $0 + 1) * sampleCount / (2 * heldOutCount) }
  }
}

extension TuningOptions {
  /// The options by name.
  package var members: [JSONOutput.Member] {
    [
      .init("steps", .integer(stepCount)),
      .init("batch", .integer(batchSize)),
      .init("held_out", .integer(heldOutCount)),
      .init("own_samples", .integer(ownSampleCount)),
      .init("check_interval", .integer(checkInterval)),
      .init("patience", .integer(patience)),
      .init("learning_rate", .number(rate)),
      .init("seed", .unsigned(seed)),
    ]
  }
}
