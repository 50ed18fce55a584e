import DuetCompressor
import DuetRuntime
import DuetSystem
import Foundation
import Testing

/// The divergence of two models' predictions, and its derivatives, against sums and differences in Double.
@Suite("Divergence of two heads")
struct HeadDivergenceTests {
  /// More tokens than a block of logits has, two widths, and a vocabulary that is no multiple of anything.
  private static let (tokenCount, width, otherWidth, vocabulary) = (131, 6, 10, 37)
  private static let epsilon = 1e-5

  /// The numbers of both heads and of the streams before them.
  private struct Numbers {
    var gains = random(width, 1, around: 1)
    let weight = random(vocabulary * width, 2)
    let otherGains = random(otherWidth, 3, around: 1)
    let otherWeight = random(vocabulary * otherWidth, 4)
    var stream = random(tokenCount * width, 5)
    let otherStream = random(tokenCount * otherWidth, 6)

    /// Float numbers, so that both computations begin with the same.
    private static func random(_ count: Int, _ seed: UInt64, around center: Float = 0) -> [Float] {
      var generator = RandomGenerator(seed: seed)
      return (0..<count).map { _ in center + 2 * Float(generator.nextUnit() - 0.5) }
    }

    /// log softmax of a token's logits.
    private func logarithms(
      _ x: ArraySlice<Float>, _ gains: [Float], _ weight: [Float]
    ) -> [Double] {
      let x = x.map(Double.init)
      let scale = (x.reduce(0) { $0 + $1 * $1 } / Double(x.count) + epsilon).squareRoot()
      let u = zip(x, gains).map { $0 / scale * Double($1) }
      let logits = (0..<vocabulary).map { v in
        u.indices.reduce(0.0) { $0 + u[$1] * Double(weight[v * u.count + $1]) }
      }
      let all = log(logits.reduce(0) { $0 + exp($1) })
      return logits.map { $0 - all }
    }

    /// The sum of the divergences of all tokens.
    var divergence: Double {
      (0..<tokenCount).reduce(0) { sum, token in
        let p = logarithms(stream[token * width..<(token + 1) * width], gains, weight)
        let q = logarithms(
          otherStream[token * otherWidth..<(token + 1) * otherWidth], otherGains, otherWeight)
        return sum + zip(p, q).reduce(0) { $0 + exp($1.1) * ($1.1 - $1.0) }
      }
    }
  }

  private func divergence<Element: GradientElement>(
    _ numbers: Numbers, _ type: Element.Type, threadCount: Int = 2
  ) -> (value: Double, stream: [Element], gains: [Element]) {
    let algebra = LinearAlgebra(WorkerPool(threadCount: threadCount))
    func head(_ gains: [Float], _ weight: [Float]) -> OutputHead<Element> {
      var matrix = Matrix<Float>(rowCount: Self.vocabulary, columnCount: gains.count)
      for (index, number) in weight.enumerated() {
        matrix[index / gains.count, index % gains.count] = number
      }
      return OutputHead(gains: gains, weight: matrix, epsilon: Self.epsilon, algebra)
    }
    func buffer(_ numbers: [Float]) -> Buffer<Element> {
      var result = Buffer<Element>(count: numbers.count)
      for (index, number) in numbers.enumerated() { result[index] = Element(number) }
      return result
    }
    // Other gains first, which `setGains` replaces.
    let loss = HeadDivergence(
      head(numbers.gains.map { $0 + 1 }, numbers.weight),
      reference: head(numbers.otherGains, numbers.otherWeight), algebra)
    loss.setGains(numbers.gains.map { Element($0) })
    let stream = buffer(numbers.stream)
    let other = buffer(numbers.otherStream)
    var gradient = Buffer<Element>(count: stream.count)
    // A first call, whose derivatives by the gains are cleared.
    _ = loss.divergence(stream, from: other, gradient: &gradient)
    loss.clearGainGradient()
    let value = loss.divergence(stream, from: other, gradient: &gradient)
    #expect(loss.divergence(stream, from: other) == value)
    return (
      value, (0..<gradient.count).map { gradient[$0] },
      (0..<Self.width).map { loss.gainGradient[$0] }
    )
  }

  @Test("the divergence and its derivatives equal sums and differences")
  func equalsDifferences() {
    let numbers = Numbers()
    let result = divergence(numbers, Double.self)
    // Sums of thousands of terms in Double.
    #expect(abs(result.value - numbers.divergence) < 1e-10 * result.value)
    #expect(result.value > 1)
    /// The differences of a step h and of 2 h, extrapolated to h = 0.
    func difference(_ change: (inout Numbers, Float) -> Void) -> Double {
      func slope(_ step: Float) -> Double {
        var (high, low) = (numbers, numbers)
        change(&high, step)
        change(&low, -step)
        return (high.divergence - low.divergence) / (2 * Double(step))
      }
      return (4 * slope(0x1p-9) - slope(0x1p-8)) / 3
    }
    let largest = result.stream.map(abs).max() ?? 0
    for place in stride(from: 0, to: result.stream.count, by: 61) {
      let expected = difference { $0.stream[place] += $1 }
      // The step is rounded to Float with an error of 2^-24 of numbers below 2, relative to 2^-9: 2^-14.
      #expect(abs(result.stream[place] - expected) < 0x1p-13 * largest, "\(place)")
    }
    for place in 0..<Self.width {
      let expected = difference { $0.gains[place] += $1 }
      #expect(abs(result.gains[place] - expected) < 0x1p-13 * abs(expected), "\(place)")
    }
  }

  @Test("in Float it is near that in Double, with the same bits for any number of threads")
  func isAccurateInFloat() {
    let exact = divergence(Numbers(), Double.self)
    let float = divergence(Numbers(), Float.self)
    let one = divergence(Numbers(), Float.self, threadCount: 1)
    #expect(float.value == one.value && float.stream == one.stream && float.gains == one.gains)
    // Logits of sums of ten products, each off by 2^-24, near 3: 30 * 2^-24 of each token's terms.
    #expect(abs(float.value - exact.value) < 30 * 0x1p-24 * Double(Self.tokenCount) * 3)
    // A derivative is a sum over 37 tokens of the vocabulary of differences that are as far off, times weights below 1,
    // and goes through a norm: three times as much.
    let size = exact.stream.map(abs).max() ?? 0
    for (x, y) in zip(exact.stream, float.stream) {
      #expect(abs(x - Double(y)) < 100 * 0x1p-24 * size)
    }
  }

  @Test("equal models diverge by nothing")
  func equalModels() {
    let algebra = LinearAlgebra(WorkerPool(threadCount: 1))
    var weight = Matrix<Float>(rowCount: 9, columnCount: 4)
    for row in 0..<9 { weight[row, row % 4] = Float(row) }
    let head = OutputHead<Float>(
      gains: [1, 2, 3, 4], weight: weight, epsilon: 1e-5, algebra)
    let loss = HeadDivergence(head, reference: head, algebra)
    var stream = Buffer<Float>(count: 8)
    for index in 0..<8 { stream[index] = Float(index) - 3 }
    var gradient = Buffer<Float>(count: 8)
    #expect(loss.divergence(stream, from: stream, gradient: &gradient) == 0)
    for index in 0..<8 { #expect(gradient[index] == 0) }
  }
}
