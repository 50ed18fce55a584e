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

  /// Whether the inputs of the down matrix are kept, and gate and up are not multiplied again.
  var keepsGated: Bool { gated != nil }

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
