internal import DuetRuntime
internal import DuetSystem

extension HiddenStates {
  /// The embeddings of samples in a model.
  ///
  /// - Throws: `FileError`, `GenerationError`.
  static func embedded(
    _ samples: [ArraySlice<Int>], _ model: Model, memoryLimit: Int, folder: String
  ) throws -> HiddenStates {
    let (count, size) = (samples.first?.count ?? 0, model.configuration.hiddenSize)
    var result = try HiddenStates(
      sampleCount: samples.count, contextLength: count, hiddenSize: size,
      memoryLimit: memoryLimit, folder: folder)
    var stream = Buffer<Float>(count: count * size)
    for (index, sample) in samples.enumerated() {
      try model.embed(sample, into: &stream)
      try result.write(index, from: stream)
    }
    return result
  }
}
