/// The step that a tuning run is doing.
package enum TuningPhase: Sendable, Hashable {
  /// Letting the original model write samples. Progress is in tokens.
  case sampling
  /// Running the samples through the original model. Progress is in samples times layers.
  case original
  /// Computing the derivatives of some samples, after so many steps. Progress is in layers, forward and backward.
  case training(stepsDone: Int)
  /// Running the held-out samples through the model. Progress is in samples times layers.
  case judging
  /// Writing the model.
  case writing
}

/// A receiver of the progress of a tuning run, which may also stop it.
///
/// All members are called by the thread that runs, between two steps, so an observer needs no locks but should be
/// quick.
package protocol TuningObserver {
  /// Tells that a phase begins; the one before has ended.
  func began(_ phase: TuningPhase)

  /// Tells how much of the phase is done, in the unit of the phase.
  func progressed(_ done: Int, of total: Int)

  /// Tells that a step is done.
  ///
  /// - Parameters:
  ///   - step: The steps that are done.
  ///   - total: All steps.
  ///   - divergence: The divergence of the step's samples before the step, in nats per token.
  func stepped(_ step: Int, of total: Int, divergence: Double)

  /// Tells of a judgement on the held-out samples.
  func judged(_ check: TuningCheck)

  /// Whether to stop; read after every sample of a layer.
  var isCancelled: Bool { get }
}
