import DuetRuntime

/// The measurement of the prompt and generation speed of a model.
struct ModelBenchmark {
  let model: Model
  var options: SessionOptions
  let repeats: Int
  /// The positions in the cache before each test.
  var contextLength = 0

  /// The shortest run in seconds that is compared with a limit.
  ///
  /// It is long compared with a time slice of the scheduler.
  private static let shortestRun = 0.1

  /// Measures the evaluation of single tokens.
  ///
  /// A run is a tenth of a second, or one token if that takes longer; before and after each run the
  /// read loop over the weights is measured.
  func generation(tokenCount: Int) throws -> Measurement {
    let (start, end) = (contextLength, contextLength + tokenCount)
    var session = try session(contextLength: end + 1)
    session.fillCache(to: start)
    try session.append(0)
    var speeds: [Double] = []
    var pairs = PairedRuns(.reading, before: readRate(session))
    for _ in 0..<repeats {
      session.truncate(to: start)
      var total = 0.0
      while session.position < end {
        let first = session.position
        var duration = 0.0
        while duration < Self.shortestRun, session.position < end {
          duration += try measure { try session.append(token(session.position)) }
        }
        pairs.append(
          Double((session.position - first) * byteCountPerToken) / duration,
          limitAfter: readRate(session))
        total += duration
      }
      speeds.append(Double(tokenCount) / total)
    }
    return Measurement(
      test: name("tg", tokenCount), threadCount: session.threadCount, speeds: speeds, pairs: pairs)
  }

  /// Measures a prompt that is evaluated at once.
  ///
  /// The limit is measured before and after each run: for a compressed model the peak of the dot
  /// product, else sgemm.
  func prompt(tokenCount: Int) throws -> Measurement {
    var session = try session(contextLength: contextLength + tokenCount)
    let tokens = (0..<tokenCount).map(token)
    session.fillCache(to: contextLength)
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
      session.truncate(to: contextLength)
      let duration = try measure { try session.append(tokens) }
      speeds.append(Double(tokenCount) / duration)
      pairs.append(operations / duration, limitAfter: rate(session))
    }
    return Measurement(
      test: name("pp", tokenCount), threadCount: session.threadCount, speeds: speeds, pairs: pairs)
  }

  /// The time of a token divided by the time of its kernels, on one thread.
  ///
  /// The time of a token is the mean over 64 tokens from an empty context, and the result is the median
  /// over the repeats. Nil for a model with more than 16 MiB of weights per token, which may not fit in
  /// the last-level cache.
  func kernelRatio() throws -> Double? {
    let tokenCount = 64
    guard model.byteCountPerToken <= 16 << 20 else { return nil }
    var one = self
    one.options.threadCount = 1
    var session = try one.session(contextLength: tokenCount)
    // On average, a token sees half of the positions.
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

  /// The name of a test of `count` tokens.
  private func name(_ kind: String, _ count: Int) -> String {
    "\(kind)\(count)" + (contextLength > 0 ? "@\(contextLength)" : "")
  }

  /// The bytes of weights, and of the keys and values before the test, that a token reads.
  var byteCountPerToken: Int {
    let configuration = model.configuration
    let seen = min(contextLength, configuration.slidingWindow ?? contextLength)
    let cache = KVCache.byteCount(configuration, capacity: seen, type: options.cacheType)
    return model.byteCountPerToken + (cache ?? 0)
  }

  private func session(contextLength: Int) throws -> Session {
    var options = options
    options.contextLength = contextLength
    return try Session(model, options: options)
  }

  /// A token of the vocabulary; the speed does not depend on the choice.
  private func token(_ index: Int) -> Int { index * 31 % model.configuration.vocabularySize }

  /// The bytes per second of reading all weights that a token reads, repeated for at least 50 ms.
  private func readRate(_ session: borrowing Session) -> Double {
    var byteCount = 0
    let clock = ContinuousClock()
    let start = clock.now
    repeat {
      byteCount += MachineProbe.readWeights(of: session).byteCount
    } while start.duration(to: clock.now) < .milliseconds(50)
    return Double(byteCount) / (start.duration(to: clock.now) / .seconds(1))
  }

  /// The operations per second of sgemm on the linear layers of one decoder layer.
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
