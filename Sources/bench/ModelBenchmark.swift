import DuetRuntime

/// One test of a model: its speed in each measurement, and its share of the machine's limit.
struct Measurement {
  /// `pp512`: a prompt of 512 tokens; `tg64`: 64 tokens one after the other.
  let test: String
  let threadCount: Int
  /// Tokens per second of each measurement.
  let speeds: [Double]
  /// Speed over the limit measured around it, for each measurement.
  let shares: [Double]
  /// What the limit is.
  let limit: Limit

  enum Limit {
    /// Bytes per second of the plain read loop, the median over the measurements.
    case reading(bytesPerSecond: Double, bytesPerToken: Int)
    /// Operations per second of sgemm on the same shapes, the median over the measurements.
    case multiplying(operationsPerSecond: Double, operationsPerToken: Double)
  }
}

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
    var rates = [readRate(session)]
    for _ in 0..<repeats {
      session.truncate(to: 0)
      let duration = try measure {
        for index in 0..<tokenCount { try session.append([token(index)]) }
      }
      speeds.append(Double(tokenCount) / duration)
      rates.append(readRate(session))
    }
    let byteCount = model.byteCountPerToken
    let limits = zip(rates, rates.dropFirst()).map { ($0 + $1) / 2 }
    return Measurement(
      test: "tg\(tokenCount)", threadCount: session.threadCount, speeds: speeds,
      shares: zip(speeds, limits).map { $0 * Double(byteCount) / $1 },
      limit: .reading(bytesPerSecond: median(limits), bytesPerToken: byteCount))
  }

  /// A whole prompt at once, sgemm before and after each measurement.
  func prompt(tokenCount: Int) throws -> Measurement {
    var session = try session(contextLength: tokenCount)
    let tokens = (0..<tokenCount).map(token)
    try session.append(tokens)
    let weightCount = model.layers.reduce(0) { sum, layer in
      sum + layer.linears.reduce(0) { $0 + $1.inputSize * $1.outputSize }
    }
    let operations = 2 * Double(weightCount)
    var speeds: [Double] = []
    var rates = [multiplicationRate(tokenCount, session.threadCount)]
    for _ in 0..<repeats {
      session.truncate(to: 0)
      speeds.append(Double(tokenCount) / (try measure { try session.append(tokens) }))
      rates.append(multiplicationRate(tokenCount, session.threadCount))
    }
    let limits = zip(rates, rates.dropFirst()).map { ($0 + $1) / 2 }
    return Measurement(
      test: "pp\(tokenCount)", threadCount: session.threadCount, speeds: speeds,
      shares: zip(speeds, limits).map { $0 * operations / $1 },
      limit: .multiplying(operationsPerSecond: median(limits), operationsPerToken: operations))
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

/// The seconds that `body` takes.
func measure(_ body: () throws -> Void) rethrows -> Double {
  seconds(try ContinuousClock().measure(body))
}

/// A duration in seconds.
func seconds(_ duration: Duration) -> Double {
  Double(duration.components.seconds) + Double(duration.components.attoseconds) * 1e-18
}

/// The middle value, or the mean of the two in the middle.
func median(_ values: [Double]) -> Double {
  let sorted = values.sorted()
  guard !sorted.isEmpty else { return .nan }
  return (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
}

/// The mean, and the standard deviation (n - 1) where there is one.
func meanAndDeviation(_ values: [Double]) -> (mean: Double, deviation: Double) {
  let mean = values.reduce(0, +) / Double(values.count)
  let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
  return (mean, values.count > 1 ? (squares / Double(values.count - 1)).squareRoot() : 0)
}
