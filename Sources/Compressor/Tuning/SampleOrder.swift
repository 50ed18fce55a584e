internal import DuetRuntime

/// The order in which samples are trained with: all once, in an order that the seed decides, before any is taken again.
package struct SampleOrder {
  private let samples: [Int]
  private let seed: UInt64

  /// An order of `samples`, of which there is at least one.
  package init(_ samples: [Int], seed: UInt64) {
    precondition(!samples.isEmpty, "no samples to train with")
    self.samples = samples
    self.seed = seed
  }

  /// The first samples that steps take, each once: all where there are fewer.
  func first(_ count: Int) -> ArraySlice<Int> { order(ofPass: 0).prefix(count) }

  /// The samples of a step, from 0.
  package func batch(ofStep step: Int, size: Int) -> [Int] {
    var (pass, order): (Int?, [Int]) = (nil, [])
    return (step * size..<(step + 1) * size).map { place in
      let (number, position) = place.quotientAndRemainder(dividingBy: samples.count)
      if pass != number { (pass, order) = (number, self.order(ofPass: number)) }
      return order[position]
    }
  }

  /// The order of one pass over all samples, by a Fisher-Yates shuffle; see `CalibrationSamples` for why it is not the
  /// standard library's.
  private func order(ofPass pass: Int) -> [Int] {
    var generator = RandomGenerator(seed: seed &+ UInt64(pass))
    var result = samples
    for index in result.indices {
      let offset = Int(generator.nextUnit() * Double(result.count - index))
      result.swapAt(index, index + offset)
    }
    return result
  }
}
