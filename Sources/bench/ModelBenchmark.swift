import DuetRuntime

/// Measures prompt and generation speed of one model.
struct ModelBenchmark {
  let model: Model
  let options: SessionOptions
  let repeats: Int

  /// Tokens one after the other from an empty context, each read loop over the weights between two
  /// measurements serving both.
  func generation(tokenCount: Int) throws -> Measurement {
    var session = try session(contextLength: tokenCount + 1)
    try session.append([0])
    var speeds: [Double] = []
    var pairs = PairedRuns(.reading, before: readRate(session))
    for _ in 0..<repeats {
      session.truncate(to: 0)
      let duration = try measure {
        for index in 0..<tokenCount { try session.append([token(index)]) }
      }
      speeds.append(Double(tokenCount) / duration)
      pairs.append(
        Double(tokenCount * model.byteCountPerToken) / duration, limitAfter: readRate(session))
    }
    return Measurement(
      test: "tg\(tokenCount)", threadCount: session.threadCount, speeds: speeds, pairs: pairs)
  }

  /// A whole prompt at once, sgemm before and after each measurement.
  func prompt(tokenCount: Int) throws -> Measurement {
    var session = try session(contextLength: tokenCount)
    let tokens = (0..<tokenCount).map(token)
    try session.append(tokens)
    let weightCount = model.layers.reduce(0) { sum, layer in
      sum + layer.linears.reduce(0) { $0 + $1.inputSize * $1.outputSize }
    }
    let operations = 2 * Double(weightCount) * Double(tokenCount)
    let threadCount = session.threadCount
    var speeds: [Double] = []
    var pairs = PairedRuns(.sgemm, before: multiplicationRate(tokenCount, threadCount))
    for _ in 0..<repeats {
      session.truncate(to: 0)
      let duration = try measure { try session.append(tokens) }
      speeds.append(Double(tokenCount) / duration)
      pairs.append(
        operations / duration, limitAfter: multiplicationRate(tokenCount, threadCount))
    }
    return Measurement(
      test: "pp\(tokenCount)", threadCount: threadCount, speeds: speeds, pairs: pairs)
  }

  private func session(contextLength: Int) throws -> Session {
    var options = options
    options.contextLength = contextLength
    return try Session(model, options: options)
  }

  /// Some token of the vocabulary: which one does not matter for speed.
  private func token(_ index: Int) -> Int { index * 31 % model.configuration.vocabularySize }

  /// Bytes per second of a plain read of all weights that a token reads; small models are read often
  /// enough to be measured.
  private func readRate(_ session: borrowing Session) -> Double {
    var byteCount = 0
    let clock = ContinuousClock()
    let start = clock.now
    repeat {
      byteCount += MachineProbe.readWeights(of: session).byteCount
    } while start.duration(to: clock.now) < .milliseconds(50)
    return Double(byteCount) / seconds(start.duration(to: clock.now))
  }

  /// Operations per second of sgemm on the linear layers of one decoder layer.
  private func multiplicationRate(_ tokenCount: Int, _ threadCount: Int) -> Double {
    guard let layer = model.layers.first else { return .nan }
    var operations = 0.0
    var duration = Duration.zero
    for (outputSize, inputSize) in layer.linears.flatMap(\.shapes) {
      duration += MachineProbe.timeOfBLAS(
        tokenCount: tokenCount, outputSize: outputSize, inputSize: inputSize,
        threadCount: threadCount)
      operations += 2 * Double(tokenCount) * Double(outputSize) * Double(inputSize)
    }
    return operations / seconds(duration)
  }
}
