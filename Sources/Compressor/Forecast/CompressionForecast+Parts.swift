internal import DuetRuntime

/// The division of a model into parts of about the same cost.
extension CompressionForecast {
  /// The parts of the model: successive layers, so that the part that costs most costs as little as possible.
  ///
  /// A part costs the compression of its layers and, unless the states are shared, one pass of the samples
  /// through each layer before them. The first part also has the embedding. The division depends on the
  /// model and the plan, not on the machine.
  ///
  /// - Parameters:
  ///   - count: The number of parts.
  ///   - sharesStates: Whether the states before a part come from `Compressor.saveStates`.
  /// - Returns: The parts, none without layers.
  /// - Throws: `CompressionPlanError.conflict` when there are more parts than layers.
  /// - Complexity: O(count * layers^2).
  public func parts(
    _ count: Int, sharesStates: Bool
  ) throws(CompressionPlanError) -> [ModelPart] {
    let layerCount = configuration.layerCount
    guard count <= layerCount else {
      throw .conflict(
        "the model has \(layerCount) layers, so there are at most \(layerCount) parts")
    }
    let sums = operationSums
    // best[end] is the best division of the layers before `end` into as many parts as there were rounds.
    var best: [Division?] = [Division()] + [Division?](repeating: nil, count: layerCount)
    for _ in 0..<count {
      best = (0...layerCount).map { end in
        (0..<end).compactMap { start in
          best[start]?.adding(
            start..<end, sums[end] - sums[start] + runUp(to: start, sharesStates: sharesStates))
        }.min { $0.isBetter(than: $1) }
      }
    }
    let ranges = best[layerCount]?.ranges ?? []
    return zip(PartNumber.all(count), ranges).map { ModelPart(number: $0, layers: $1) }
  }

  /// Successive ranges of layers, from the first.
  private struct Division {
    var ranges: [Range<Int>] = []
    private var largest = 0.0
    private var squares = 0.0

    func adding(_ range: Range<Int>, _ cost: Double) -> Division {
      var result = self
      result.ranges.append(range)
      result.largest = max(largest, cost)
      result.squares += cost * cost
      return result
    }

    /// Whether the largest part is smaller, or as large and the others are more alike.
    func isBetter(than other: Division) -> Bool {
      (largest, squares) < (other.largest, other.squares)
    }
  }

  /// For every layer, and behind the last, the operations of compressing all that comes before it.
  private var operationSums: [Double] {
    let calibrating = calibrationOperations / Double(max(1, configuration.layerCount))
    var result = [Double](repeating: calibrating, count: configuration.layerCount)
    for matrix in matrices { result[matrix.layer] += operations(of: matrix) }
    if !result.isEmpty { result[0] += embeddingOperations }
    return result.reduce(into: [0]) { $0.append(($0.last ?? 0) + $1) }
  }

  /// The operations that come before those of a part: running the samples to its first layer.
  private func runUp(to layer: Int, sharesStates: Bool) -> Double {
    sharesStates ? 0 : passOperations(throughLayers: layer)
  }

  /// The operations of running all samples through `count` layers.
  private func passOperations(throughLayers count: Int) -> Double {
    Double(count) * Double(plan.sampleCount) * Double(plan.contextLength) * passOperations
  }

  // MARK: - Costs

  /// An estimate of the duration of a part, which may be wrong by a factor of two.
  ///
  /// - Parameters:
  ///   - part: The part.
  ///   - sharesStates: Whether the states before it are there already.
  ///   - rate: As in `seconds(rate:)`.
  /// - Returns: Seconds.
  public func seconds(of part: ModelPart, sharesStates: Bool, rate: Double) -> Double {
    let sums = operationSums
    let own = sums[part.layers.upperBound] - sums[part.layers.lowerBound]
    return (own + runUp(to: part.layers.lowerBound, sharesStates: sharesStates))
      / (rate * Self.shareOfRate)
  }

  /// An estimate of the time that one of `count` machines takes to run its samples through the original model,
  /// as far as the last of `count` parts.
  ///
  /// - Returns: Seconds.
  /// - Throws: `CompressionPlanError.conflict` when there are more parts than layers.
  public func secondsOfStates(
    parts count: Int, rate: Double
  ) throws(CompressionPlanError) -> Double {
    let last = try parts(count, sharesStates: true).last?.layers.lowerBound ?? 0
    // The longest share is rounded up to whole samples.
    let samples = (plan.sampleCount + count - 1) / count
    let share = Double(samples) / Double(max(1, plan.sampleCount))
    return passOperations(throughLayers: last) * share / (rate * Self.shareOfRate)
  }

  /// The bytes that a part needs on disk at most: its matrices, and the hidden states before two layers.
  public func diskByteCount(of part: ModelPart) -> Int {
    var sum = 2 * hiddenStateByteCount
    for matrix in matrices where part.layers.contains(matrix.layer) { sum += matrix.byteCount }
    if part.hasEmbedding { sum += embeddingByteCount }
    if part.hasHead { sum += headByteCount }
    return sum
  }

  /// The bytes of the states that all shares of `count` parts leave on disk together.
  public func stateByteCount(parts count: Int) -> Int { (count - 1) * hiddenStateByteCount }
}
