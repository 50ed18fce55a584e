internal import Synchronization

/// A step of a compression, as its time is measured.
public enum CompressionStep: String, Sendable, CaseIterable {
  /// Reading and checking the source, and its digests.
  case source
  /// Packing the embedding and measuring what that costs.
  case embedding
  /// Choosing ranks for `--target-bits`.
  case ranks
  /// Running the samples forward and backward through the original model, for the derivatives of its loss.
  case lossGradient = "loss_gradient"
  /// Running the samples through the layers of the original model.
  case originalForward = "forward_original"
  /// Running the samples through the compressed layers.
  case compressedForward = "forward_compressed"
  /// Turning finished matrices into dense ones for the samples.
  case unpacking
  /// Summing the Hessians.
  case hessians
  /// Summing the cross moments of the two models.
  case crossMoments = "cross_moments"
  /// Solving for the corrections of the weights, and applying them.
  case correction
  /// Damping, rotating and factorising Hessians; rotating weights.
  case metric
  /// Rounding with feedback, and the errors of rounding that a method is compared with.
  case rounding
  /// Fitting and rounding L R.
  case lowRank = "low_rank"
  /// Coordinate descent on Q.
  case refinement
  /// Steps of a method that are none of the others.
  case decomposition
  /// The figures of the report.
  case figures
  /// Packing the matrices into the stored format.
  case packing
  /// Writing and reading finished matrices, with their digests.
  case journal
  /// Saving the states of the samples, with their digests.
  case states
  /// Packing the output head.
  case head
  /// Writing the files of the model, with their digests.
  case writing
}

/// The time that a step of a compression took.
public struct StepTime: Sendable, Hashable {
  /// The step.
  public let step: CompressionStep
  /// Its seconds, without those of other steps inside it.
  public let seconds: Double
}

/// A clock that tells how long each step of a compression takes.
///
/// A step inside another one counts as itself only, so the sum over all steps is the time of the whole.
package final class StepClock: Sendable {
  private struct State {
    var stack: [CompressionStep] = []
    var last: ContinuousClock.Instant
    var seconds: [CompressionStep: Double] = [:]

    /// Adds the time since the last change to the current step.
    mutating func update(_ now: ContinuousClock.Instant) {
      if let step = stack.last { seconds[step, default: 0] += last.duration(to: now) / .seconds(1) }
      last = now
    }
  }

  private let clock = ContinuousClock()
  private let state: Mutex<State>

  /// A clock that has measured nothing.
  package init() { state = Mutex(State(last: clock.now)) }

  /// Calls `body` and counts its time as that of `step`, except for steps that it measures itself.
  package func measure<Value: ~Copyable, Failure: Error>(
    _ step: CompressionStep, _ body: () throws(Failure) -> Value
  ) throws(Failure) -> Value {
    begin(step)
    defer { end() }
    return try body()
  }

  /// Begins a step, which ends with the next call of `end`; steps inside it are counted apart.
  package func begin(_ step: CompressionStep) {
    state.withLock { state in
      state.update(clock.now)
      state.stack.append(step)
    }
  }

  /// Ends the step that was begun last.
  package func end() {
    state.withLock { state in
      state.update(clock.now)
      state.stack.removeLast()
    }
  }

  /// The time of every step that was measured so far, in the order of `CompressionStep`.
  package var times: [StepTime] {
    let seconds = state.withLock { state in
      state.update(clock.now)
      return state.seconds
    }
    return CompressionStep.allCases.compactMap { step in
      seconds[step].map { StepTime(step: step, seconds: $0) }
    }
  }
}
