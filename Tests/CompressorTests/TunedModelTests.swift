import DuetCompressor
import DuetRuntime
import DuetSystem
import Foundation
import TestSupport
import Testing

/// The real numbers of a compressed model that tuning changes: their effect, their derivatives, and what is stored.
@Suite("Tuned model")
struct TunedModelTests {
  private let algebra = LinearAlgebra(WorkerPool(threadCount: 2))

  /// Compressed models with every kind of tuned number.
  static let kinds: [(name: String, change: @Sendable (inout FlatPlan) -> Void)] = [
    ("int2 in groups, L R in int4", { _ in }),
    (
      "a trellis code",
      {
        ($0.method, $0.format, $0.groupSize) = (.gptq, .trellis2_5, .row)
        $0.refinementRounds = 0
      }
    ),
    (
      "e8p, L R in half precision, not rotated",
      {
        ($0.format, $0.groupSize, $0.factorFormat, $0.incoherence) = (.e8p, .row, .f16, .none)
      }
    ),
    (
      "offsets, rotated inputs",
      {
        ($0.method, $0.format, $0.grid, $0.incoherence) = (.gptq, .int4, .asymmetric, .input)
      }
    ),
    (
      "outlier columns",
      {
        ($0.outlierStorage, $0.outlierChannelCount, $0.initialization) = (.int8, 3, .zero)
      }
    ),
    ("L R alone", { $0.method = .lordq }),
    ("a matrix that is kept", { $0.keptNames = ["down_proj"] }),
  ]

  /// A compressed model in a folder that lives as long as this.
  private struct Compressed {
    let fixture: CompressionFixture
    let folder: TemporaryFolder
    let checkpoint: Checkpoint

    init(_ change: (inout FlatPlan) -> Void) throws {
      // Qwen2 has biases of q, k and v.
      fixture = try CompressionFixture(configure: {
        $0.architecture = .qwen2
        $0.hasAttentionBias = true
      })
      var changed = fixture
      change(&changed.plan)
      folder = try TemporaryFolder()
      let path = "\(folder.path)/out"
      try changed.run(to: path)
      checkpoint = try Checkpoint(contentsOf: path)
      _ = try Model(checkpoint)
    }
  }

  /// Numbers of about 0.1, the same for a seed.
  private static func random(_ count: Int, seed: UInt64, size: Float = 0.1) -> Buffer<Float> {
    var generator = RandomGenerator(seed: seed)
    var result = Buffer<Float>(count: count)
    for index in 0..<count { result[index] = size * Float(generator.nextUnit() - 0.5) }
    return result
  }

  @Test("the numbers 0 give the model as it was stored", arguments: kinds.indices)
  func zeroIsStored(index: Int) throws {
    let (name, change) = Self.kinds[index]
    let model = try Compressed(change)
    let tuned = try TunedModel(model.checkpoint, algebra)
    let zeros = Buffer<Float>(count: tuned.count)
    for layer in 0..<2 {
      let parameters = try tuned.parameters(ofLayer: layer, zeros)
      try expectEqual(parameters, model.checkpoint, layer, within: 0, name)
    }
    // All tuned tensors are stored with the bits that they have.
    for tensor in try tuned.storedTensors(zeros) {
      let stored = try #require(try model.checkpoint.tensor(named: tensor.name))
      #expect(tensor.shape == stored.shape, "\(name), \(tensor.name)")
      if tensor.elementType == stored.elementType {
        #expect(tensor.byteArray == stored.byteArray, "\(name), \(tensor.name)")
      }
    }
  }

  @Test(
    "what is stored has the tuned numbers, as the reader of the format reads it",
    arguments: kinds.indices)
  func isStored(index: Int) throws {
    let (name, change) = Self.kinds[index]
    let model = try Compressed(change)
    let tuned = try TunedModel(model.checkpoint, algebra)
    let numbers = Self.random(tuned.count, seed: 3)
    let changed = try tuned.storedTensors(numbers)
    let names = Set(changed.map(\.name))
    let kept = try model.checkpoint.names.filter { !names.contains($0) }.compactMap {
      try model.checkpoint.tensor(named: $0)
    }
    let stored = Checkpoint(
      configuration: model.checkpoint.configuration, tensors: kept + changed)
    for layer in 0..<2 {
      // Each stored number is off by 2^-11 of its size, and an entry of L R has two of them beside Q's.
      try expectEqual(
        tuned.parameters(ofLayer: layer, numbers), stored, layer, within: 3 * 0x1p-11, name)
    }
  }

  /// Compares the matrices and gains of a layer with `DenseReconstruction`, relative to the norm of each.
  private func expectEqual(
    _ parameters: borrowing LayerParameters<Float>, _ checkpoint: Checkpoint, _ layer: Int,
    within bound: Double, _ name: String
  ) throws {
    let configuration = checkpoint.configuration
    let format = try #require(configuration.compression)
    let rotation = try MatrixRotation(
      sizes: [24, 48, 80], seed: 3, .standard, algebra)
    let layout = LayerParameterLayout(configuration)
    for (position, row) in LayerTensors.matrices.enumerated() {
      let place = layout.matrices[position]
      let full = row.name(inLayer: layer)
      let expected: Matrix<Float>
      if let dense = try checkpoint.tensor(named: "\(full).weight") {
        expected = Matrix(widening: dense, rowCount: place.rowCount, columnCount: place.columnCount)
      } else {
        var record = MatrixRecord()
        record.name = full
        (record.outputSize, record.inputSize) = (place.rowCount, place.columnCount)
        record.rank = format.rank(
          of: full, outputSize: place.rowCount, inputSize: place.columnCount)
        if let index = try checkpoint.tensor(named: "\(full).columns.index") {
          record.outlierChannels = stride(from: 0, to: index.byteCount, by: 4).map {
            Int(index.byteArray[$0])
          }
        }
        let tensors = try checkpoint.names.filter { $0.hasPrefix("\(full).") }.compactMap {
          try checkpoint.tensor(named: $0)
        }
        expected = try DenseReconstruction(algebra, format, rotation).weight(
          of: CompressedLinear(tensors: tensors, record: record), configuration)
      }
      var (error, size) = (0.0, 0.0)
      for index in 0..<place.count {
        let (x, y) = (expected.elements[index], parameters.elements[place.offset + index])
        error += pow(Double(x) - Double(y), 2)
        size += pow(Double(x), 2)
      }
      #expect(error.squareRoot() <= bound * size.squareRoot(), "\(name), \(full)")
      #expect(size > 0)
    }
    for (norm, place) in zip(LayerTensors.norms, layout.norms) {
      let gains = try checkpoint.vector(named: norm.name(inLayer: layer), count: place.count)
      for (index, gain) in gains.enumerated() {
        // Gains are stored in F32.
        #expect(parameters.elements[place.offset + index] == gain, "\(name), \(norm.name)")
      }
    }
    for (position, row) in LayerTensors.matrices.enumerated() {
      guard let place = layout.biases[position] else { continue }
      let biases = try checkpoint.vector(
        named: "\(row.name(inLayer: layer)).bias", count: place.count)
      for (index, bias) in biases.enumerated() {
        #expect(parameters.elements[place.offset + index] == bias, "\(name), \(row.name)")
      }
    }
  }

  @Test("derivatives by the numbers are those of the parameters", arguments: kinds.indices)
  func derivatives(index: Int) throws {
    let (name, change) = Self.kinds[index]
    let model = try Compressed(change)
    let tuned = try TunedModel(model.checkpoint, algebra)
    let layout = LayerParameterLayout(model.checkpoint.configuration)
    let numbers = Self.random(tuned.count, seed: 5)
    var direction = LayerParameters<Float>(layout)
    let noise = Self.random(layout.count, seed: 6, size: 1)
    for element in 0..<layout.count { direction.elements[element] = noise[element] }
    let result = Buffer<Float>(count: tuned.count)
    tuned.addGradient(ofLayer: 1, direction, numbers, to: result)

    /// The product of the parameters of the layer with the direction, and the product of their norms.
    func value(_ place: Int, _ step: Float) throws -> (product: Double, size: Double) {
      var moved = numbers.copy()
      moved[place] += step
      let parameters = try tuned.parameters(ofLayer: 1, moved)
      var (product, first, second) = (0.0, 0.0, 0.0)
      for element in 0..<layout.count {
        let (x, y) = (Double(parameters.elements[element]), Double(noise[element]))
        product += x * y
        first += x * x
        second += y * y
      }
      return (product, (first * second).squareRoot())
    }
    var (checked, nonzero) = (0, 0)
    for place in stride(from: 0, to: tuned.count, by: max(1, tuned.count / 97)) {
      // A parameter is linear in each single number, so the step may be large.
      let (high, low) = (try value(place, 0.5), try value(place, -0.5))
      // Each parameter is off by 2^-24 of some twenty numbers of its row and column: 20 * 2^-24 of the norms.
      let bound = 20 * 0x1p-24 * (high.size + low.size)
      #expect(
        abs(Double(result[place]) - (high.product - low.product)) < bound,
        "\(name): \(place) of \(tuned.count), \(result[place])")
      checked += 1
      if result[place] != 0 { nonzero += 1 }
    }
    // About half of the numbers belong to the other layer.
    #expect(checked > 90 && nonzero > 30, "\(name): \(nonzero) of \(checked)")
  }
}
