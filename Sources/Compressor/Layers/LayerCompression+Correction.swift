internal import DuetRuntime

/// Compression in which every matrix answers for what was lost before it.
///
/// ```
/// for each layer:
///     for each of its four inputs:        run the samples through the layer as the original model has it
///         correct, decompose, pack            and as it is compressed so far
///     the streams before the next layer   run them through the original and the compressed layer
/// ```
extension LayerCompression {
  /// Compresses what the journal lacks behind the `finished` layers, and returns all matrices.
  mutating func compressCorrected(
    _ layers: [LayerLinears], after finished: [[CompressedLinear]]
  ) throws -> [CompressedLinear] {
    var finished = finished
    var calibration = LayerCalibration(
      configuration, contextLength: samples.contextLength, algebra)
    var first = 0
    var states = ComparedStates(
      original: try hiddenStates(
        &calibration, of: .original, notAfter: finished.count, before: &first),
      compressed: try hiddenStates(&calibration, notAfter: finished.count, before: &first))
    for layer in first..<layers.count {
      if layer >= finished.count {
        finished.append(try compressCorrected(layers[layer], layer, states, &calibration))
      }
      if layer + 1 == layers.count { break }
      try advance(
        &states.original, through: compressor.model.layers[layer], layer, &calibration)
      try advance(
        &states.compressed, through: decompressed(layer, finished[layer]), layer, &calibration)
      // The stream that a resumed run looks for comes last.
      try states.original.save(to: journal.hiddenStatesPath(layer: layer + 1, of: .original))
      try states.compressed.save(to: journal.hiddenStatesPath(layer: layer + 1))
      try journal.removeHiddenStates(before: layer + 1)
    }
    return finished.flatMap { $0 }
  }

  /// Compresses the matrices of a layer, input by input.
  private mutating func compressCorrected(
    _ layer: LayerLinears, _ index: Int, _ states: borrowing ComparedStates,
    _ calibration: inout LayerCalibration
  ) throws -> [CompressedLinear] {
    var result: [CompressedLinear] = []
    for input in LinearInput.allCases {
      let linears = layer.sharing(input)
      if linears.isEmpty { continue }
      if let known = try completed(linears) {
        result += known
        continue
      }
      observer.phaseBegan(.calibrating(layer: index))
      let layers = ComparedLayers(
        original: compressor.model.layers[index], compressed: try decompressed(index, result))
      let comparison = try calibration.comparison(
        of: input, layers, index: index, states, control: control)
      observer.phaseBegan(.decomposing(layer: index))
      var hessian = comparison.hessian
      let correction: WeightCorrection? = try WeightCorrection(
        moment: comparison.moment, hessian: hessian.matrix, input: input, name: linears[0].name,
        damping: plan.damping, algebra)
      result += try compress(
        linears, input, &hessian, correction: correction, of: layer.all.count, result.count)
    }
    return result
  }
}
