package import DuetRuntime

/// A forecast of the memory and the time that tuning takes.
package struct TuningForecast: Sendable, Equatable {
  private let configuration: Configuration
  private let options: TuningOptions
  /// The number of samples.
  package let sampleCount: Int
  /// The tokens of a sample.
  package let contextLength: Int

  /// The forecast for samples of `contextLength` tokens.
  package init(
    _ configuration: Configuration, _ options: TuningOptions, sampleCount: Int, contextLength: Int
  ) {
    self.configuration = configuration
    self.options = options
    self.sampleCount = sampleCount
    self.contextLength = contextLength
  }

  private var layerWeights: Int {
    LayerTensors.matrices.reduce(0) {
      $0 + $1.outputSize(configuration) * $1.inputSize(configuration)
    }
  }

  /// The samples that the steps and judgements need.
  private var neededCount: Int {
    min(
      sampleCount + options.ownSampleCount,
      options.heldOutCount + options.stepCount * options.batchSize)
  }

  /// The bytes of the streams of these samples behind the original's last layer.
  package var stateByteCount: Int {
    HiddenStates.byteCount(neededCount, contextLength, configuration.hiddenSize)
  }

  /// The bytes of memory that tuning uses at most, without the streams of the samples that are needed.
  ///
  /// With h, f, q, k, L, T, v and t as in `CompressionForecast.Memory` and its notation, b samples of a step and d that
  /// are held out:
  ///
  ///     program      30 MiB
  ///     heads        4 (2 v h + 2 * 128 v): both heads, and their logits of 128 tokens
  ///     streams      4 T h ((L + 1) b + b + d + 8)
  ///     a layer      4 T (7 h + 5 f + 4 q + 4 k + 256 t) twice, for steps and for judgements
  ///     parameters   4 times the layer's weights for them and for the derivatives, and 12 h max(q, f)
  package func memory(threadCount: Int) -> Int {
    let (h, f, v) = (
      configuration.hiddenSize, configuration.intermediateSize, configuration.vocabularySize
    )
    let (q, k) = (configuration.queryWidth, configuration.keyValueWidth)
    let (b, d) = (options.batchSize, options.heldOutCount)
    let heads = 2 * v * h + 256 * v
    let streams = contextLength * h * ((configuration.layerCount + 1) * b + b + d + 8)
    let layer = 2 * contextLength * (7 * h + 5 * f + 4 * q + 4 * k + 256 * threadCount)
    let parameters = 2 * layerWeights + 3 * h * max(q, f)
    return (30 << 20) + 4 * (heads + streams + layer + parameters)
  }

  /// An estimate of the duration, which may be wrong by a factor of two.
  ///
  /// A token takes, in a pass forward through the layers, 2 operations for each weight and 4 q T in the attention. The
  /// samples that are needed pass through the original once; the held-out samples pass at each judgement, and take 4 v h in both
  /// heads; the samples of a step take four passes and 6 v h.
  ///
  /// - Parameter rate: The speed of large products in F32 on all threads, in operations per second.
  /// - Returns: Seconds, when tuning does not end early.
  package func seconds(rate: Double) -> Double {
    let (h, v) = (Double(configuration.hiddenSize), Double(configuration.vocabularySize))
    let context = Double(contextLength)
    let pass =
      Double(configuration.layerCount)
      * (2 * Double(layerWeights) + 4 * Double(configuration.queryWidth) * context)
    let judgements = Double(
      1 + (options.stepCount + options.checkInterval - 1) / options.checkInterval)
    let tokens = context * Double(neededCount)
    let judged = context * Double(options.heldOutCount) * judgements
    let trained = context * Double(options.batchSize * options.stepCount)
    // A token that is generated reads all weights, at about a tenth of the rate of a product with many tokens.
    let written =
      context * Double(options.ownSampleCount)
      * (10 * 2 * (Double(configuration.layerCount * layerWeights) + v * h))
    let operations =
      written + tokens * pass + judged * (pass + 4 * v * h) + trained * (4 * pass + 6 * v * h)
    return operations / (rate * CompressionForecast.shareOfRate)
  }
}
