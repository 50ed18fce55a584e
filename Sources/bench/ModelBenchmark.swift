import DuetRuntime

/// Measures prompt and generation speed of one model.
struct ModelBenchmark {
  let model: Model
  var options: SessionOptions
  let repeats: Int

  /// The shortest run that is compared with a limit: a scheduler's tick should not show in it.
  private static let shortestRun = 0.1

  /// Tokens one after the other from an empty context, the read loop over the weights between any two
  /// runs of a tenth of a second or one token.
  func generation(tokenCount: Int) throws -> Measurement {
    var session = try session(contextLength: tokenCount + 1)
    try session.append(0)
    var speeds: [Double] = []
    var pairs = PairedRuns(.reading, before: readRate(session))
    for _ in 0..<repeats {
      session.truncate(to: 0)
      var total = 0.0
      while session.position < tokenCount {
        let first = session.position
        var duration = 0.0
        while duration < Self.shortestRun, session.position < tokenCount {
          duration += try measure { try session.append(token(session.position)) }
        }
        pairs.append(
          Double((session.position - first) * model.byteCountPerToken) / duration,
          limitAfter: readRate(session))
        total += duration
      }
      speeds.append(Double(tokenCount) / total)
    }
    return Measurement(
      test: "tg\(tokenCount)", threadCount: session.threadCount, speeds: speeds, pairs: pairs)
  }

  /// A whole prompt at once, the limit before and after each measurement: for a compressed model the peak
  /// of the dot product, else sgemm.
  func prompt(tokenCount: Int) throws -> Measurement {
    var session = try session(contextLength: tokenCount)
    let tokens = (0..<tokenCount).map(token)
    try session.append(tokens)
    let multiplications = model.layers.reduce(0) { sum, layer in
      sum + layer.linears.reduce(0) { $0 + $1.multiplicationCount }
    }
    let operations = 2 * Double(multiplications) * Double(tokenCount)
    let limit = model.configuration.compression == nil ? Limit.sgemm : .dotProduct
    func rate(_ session: borrowing Session) -> Double {
      limit == .sgemm
        ? multiplicationRate(tokenCount, session.threadCount)
        : MachineProbe.multiplicationPeak(session, for: .milliseconds(50))
    }
    var speeds: [Double] = []
    var pairs = PairedRuns(limit, before: rate(session))
    for _ in 0..<repeats {
      session.truncate(to: 0)
      let duration = try measure { try session.append(tokens) }
      speeds.append(Double(tokenCount) / duration)
      pairs.append(operations / duration, limitAfter: rate(session))
    }
    return Measurement(
      test: "pp\(tokenCount)", threadCount: session.threadCount, speeds: speeds, pairs: pairs)
  }

  /// The time of a token over that of its kernels, on one thread.
  ///
  /// The token is one of 64 from an empty context, and the result the median over the repeats: nil for a
  /// model that the last-level cache does not hold.
  func kernelRatio() throws -> Double? {
    let tokenCount = 64
    guard model.byteCountPerToken <= 16 << 20 else { return nil }
    var one = self
    one.options.threadCount = 1
    var session = try one.session(contextLength: tokenCount)
    // Half of the positions on the average.
    let kernels = TokenKernels(model, options.kernelSet, keyCount: tokenCount / 2)
    var ratios: [Double] = []
    for run in 0...repeats {
      session.truncate(to: 0)
      let duration = try measure {
        for index in 0..<tokenCount { try session.append(token(index)) }
      }
      // The first run warms up.
      if run > 0 { ratios.append(duration / Double(tokenCount) / kernels.measured()) }
    }
    return median(ratios)
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
    return Double(byteCount) / (start.duration(to: clock.now) / .seconds(1))
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
    return operations / (duration / .seconds(1))
  }
}
