package import DuetRuntime

/// The bytes of the states of all samples, and which of them are kept in memory.
package struct SampleStateSizes: Sendable, Hashable {
  /// The bytes of the residual streams, of two models where matrices are corrected.
  package let streams: Int
  /// The bytes of the outputs of all heads, which are kept where matrices are corrected.
  package let attended: Int
  /// The bytes of the inputs of all down matrices, which are kept only in memory.
  package let gated: Int
  /// The most bytes in memory.
  package let limit: Int

  /// The sizes for samples of a model that are propagated in a way.
  package init(
    _ configuration: Configuration, sampleCount: Int, contextLength: Int,
    _ propagation: Propagation, limit: Int
  ) {
    func bytes(_ width: Int) -> Int {
      HiddenStates.byteCount(sampleCount, contextLength, width)
    }
    let isCorrected = propagation == .corrected
    streams = (isCorrected ? 2 : 1) * bytes(configuration.hiddenSize)
    attended = isCorrected ? bytes(LinearInput.attentionOutput.size(configuration)) : 0
    gated = isCorrected ? bytes(LinearInput.down.size(configuration)) : 0
    self.limit = limit
  }

  /// Whether the residual streams and the outputs of the heads are in memory, not in files.
  package var keepsStreams: Bool { streams + attended <= limit }
  /// Whether the inputs of the down matrices are kept.
  package var keepsGated: Bool { gated > 0 && streams + attended + gated <= limit }
  /// The bytes in memory.
  package var inMemory: Int {
    keepsStreams ? streams + attended + (keepsGated ? gated : 0) : 0
  }
  /// The bytes in temporary files.
  package var inFiles: Int { keepsStreams ? 0 : streams + attended }
}
