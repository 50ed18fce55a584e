import DuetCompressor
import DuetRuntime
import DuetSystem
import Testing

@Suite("HeadCompressor")
struct HeadCompressorTests {
  private let algebra = LinearAlgebra(WorkerPool(threadCount: 2))

  /// The numbers that the tensors of a packed head stand for.
  private func dense(_ linear: CompressedLinear, _ m: Int, _ n: Int) throws -> Matrix<Float> {
    let tensors = Checkpoint(
      configuration: CompressedModelFixture.configuration, tensors: linear.tensors)
    let layout = PackedLayout(.int8, groupSize: .columns128, outputSize: m, inputSize: n)
    let numbers = try PackedMatrix(tensors, "lm_head", layout: layout).dense()
    var result = Matrix<Float>(rowCount: m, columnCount: n)
    for (index, number) in numbers.enumerated() { result.elements[index] = number }
    return result
  }

  @Test(
    "eight bits are off by half a scale at most, and the record says by how much",
    arguments: [(1, 1), (17, 64), (100, 130), (33, 256)])
  func eightBits(shape: (Int, Int)) throws {
    let (m, n) = shape
    let weight = Numerics.weights(m, n, seed: 91, deviation: 0.05)
    let linear = try HeadCompressor(algebra).compress(
      weight, name: "lm_head",
      layout: CompressedFormat.headLayout(
        vocabularySize: weight.rowCount, hiddenSize: weight.columnCount))
    #expect(linear.tensors.map(\.name) == ["lm_head.codes", "lm_head.scales"])
    #expect(linear.record.byteCount == linear.tensors.reduce(0) { $0 + $1.byteCount })
    let head = try dense(linear, m, n)
    let error = Numerics.difference(weight, head)
    var (square, total) = (0.0, 0.0)
    for row in 0..<m {
      for start in stride(from: 0, to: n, by: 128) {
        let columns = start..<min(start + 128, n)
        let largest = columns.map { abs(weight[row, $0]) }.max() ?? 0
        // Without clipping a scale is 1 / 127.5 of the largest number, rounded to F16, which moves the
        // largest by 2^-11 * 127.5 of a scale; clipping the next 2.5 % costs more than it gains.
        for column in columns {
          #expect(abs(error[row, column]) <= 0.57 * Double(largest) / 127.5)
        }
      }
      for column in 0..<n {
        square += error[row, column] * error[row, column]
        total += Double(weight[row, column]) * Double(weight[row, column])
      }
    }
    let expected = (square / total).squareRoot()
    // Sums of differences of numbers of single precision, 2^-24 of a weight to an error of 1 / 400.
    #expect(abs(linear.record.relativeError - expected) < 1e-6)
    #expect(linear.record.relativeError == linear.record.roundToNearestError)
    #expect(expected < 0.01)
  }

  @Test("half precision is the nearest number")
  func half() throws {
    let weight = Numerics.weights(5, 7, seed: 92)
    let linear = try HeadCompressor(algebra).halved(weight, name: "lm_head")
    let tensor = try #require(linear.tensors.first)
    #expect(tensor.name == "lm_head.weight" && tensor.shape == [5, 7])
    #expect(linear.record.byteCount == 70)
    let stored = Matrix(widening: tensor, rowCount: 5, columnCount: 7)
    for index in 0..<35 {
      #expect(stored.elements[index] == Float(Float16(weight.elements[index])))
    }
    // Half a unit in the eleventh place at most.
    #expect(linear.record.relativeError > 0 && linear.record.relativeError < 0x1p-11)
  }

  @Test("numbers that are not finite are refused, in half precision also what it cannot hold")
  func refusals() throws {
    var weight = Numerics.weights(4, 4, seed: 93)
    weight[2, 3] = 1e6
    #expect(throws: CompressionDataError.nonFiniteWeight(tensor: "lm_head")) {
      _ = try HeadCompressor(algebra).halved(weight, name: "lm_head")
    }
    for value in [Float.nan, .infinity] {
      weight[2, 3] = value
      #expect(throws: CompressionDataError.nonFiniteWeight(tensor: "lm_head")) {
        _ = try HeadCompressor(algebra).compress(
          weight, name: "lm_head",
          layout: CompressedFormat.headLayout(
            vocabularySize: weight.rowCount, hiddenSize: weight.columnCount))
      }
    }
  }

  @Test("a head of zeros has no error")
  func zeros() throws {
    let weight = Matrix<Float>(rowCount: 17, columnCount: 5)
    let linear = try HeadCompressor(algebra).compress(
      weight, name: "lm_head",
      layout: CompressedFormat.headLayout(
        vocabularySize: weight.rowCount, hiddenSize: weight.columnCount))
    #expect(linear.record.relativeError == 0)
    let head = try dense(linear, 17, 5)
    #expect((0..<85).allSatisfy { head.elements[$0] == 0 })
  }
}
