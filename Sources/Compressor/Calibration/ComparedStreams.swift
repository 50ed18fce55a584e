package import DuetRuntime
package import DuetSystem

/// The residual streams of all samples in the original and in the compressed model, before an input of a layer.
///
/// `LayerCalibration.advance` takes them from one input to the next. What a step computes and a later one
/// needs is kept, so that no product of a layer is computed twice.
package struct ComparedStreams: ~Copyable {
  /// The streams of the original model.
  package internal(set) var original: HiddenStates
  /// The streams of the compressed model.
  package internal(set) var compressed: HiddenStates
  /// The outputs of the heads in the compressed model, while its output matrix is compressed.
  var attended: HiddenStates
  /// The inputs of the down matrix in the compressed model, while it is compressed; nil when there is no room:
  /// they are then computed again.
  var gated: HiddenStates?

  /// Streams before the first input of a layer.
  ///
  /// - Parameters:
  ///   - original: The streams of the original model.
  ///   - compressed: The streams of the compressed model.
  ///   - configuration: The sizes of the layers.
  ///   - sizes: What is kept in memory.
  ///   - folder: Where temporary files are made.
  /// - Throws: `FileError` when a temporary file cannot be made.
  package init(
    original: consuming HiddenStates, compressed: consuming HiddenStates,
    _ configuration: Configuration, _ sizes: SampleStateSizes, folder: String
  ) throws(FileError) {
    let (count, length) = (original.sampleCount, original.contextLength)
    func states(_ input: LinearInput, memoryLimit: Int) throws(FileError) -> HiddenStates {
      try HiddenStates(
        sampleCount: count, contextLength: length, hiddenSize: input.size(configuration),
        memoryLimit: memoryLimit, folder: folder)
    }
    let attended = try states(.attentionOutput, memoryLimit: sizes.keepsStreams ? .max : 0)
    var gated: HiddenStates?
    if sizes.keepsGated { gated = try states(.down, memoryLimit: .max) }
    self.original = original
    self.compressed = compressed
    self.attended = attended
    self.gated = gated
  }
}

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
    _ propagation: Propagation,
    limit: Int
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
