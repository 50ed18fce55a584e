import DuetCompressor
import DuetRuntime
import DuetSystem
import Foundation
import TestSupport
import Testing

/// Scripts/decode.py, the second implementation of the format, against this one.
@Suite("Scripts/decode.py")
struct DecodeScriptTests {
  private static let python = "/usr/bin/env"

  private static func run(_ arguments: [String]) throws -> Int32 {
    let process = try ChildProcess(
      path: python, arguments: ["python3"] + arguments,
      descriptors: [
        .open(0, "/dev/null", O_RDONLY), .open(1, "/dev/null", O_WRONLY),
        .duplicate(2, from: 2),
      ])
    return process.wait(timeLimit: 120).exitCode
  }

  private static let hasPackages =
    (try? run(["-c", "import numpy, safetensors"])) == 0

  /// The decoded tensors of a compressed model.
  private func decoded(
    _ fixture: CompressedModelFixture, _ options: [String]
  ) throws -> [String: [Float]] {
    let folder = try TemporaryFolder()
    try fixture.run(to: "\(folder.path)/model")
    let output = "\(folder.path)/dense.safetensors"
    let script = SharedData.project("Scripts/decode.py")
    #expect(try Self.run([script] + options + ["\(folder.path)/model", output]) == 0)
    let file = try SafeTensorsFile(contentsOf: output)
    var result: [String: [Float]] = [:]
    for info in file.tensors {
      #expect(info.elementType == .f32)
      let bytes = file.file.copyBytes(info.byteRange)
      result[info.name] = stride(from: 0, to: bytes.count, by: 4).map {
        let bits = bytes[$0..<$0 + 4].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        return Float(bitPattern: bits)
      }
    }
    return result
  }

  @Test(
    "stored numbers are equal to the last bit",
    .enabled(if: hasPackages, "needs python3 with numpy and safetensors"),
    arguments: WeightFormat.allCases)
  func storedNumbers(format: WeightFormat) throws {
    let fixture = try CompressedModelFixture(format)
    let decoded = try decoded(fixture, ["--rotated"])
    var names: [String] = []
    for linear in fixture.linears + [try #require(fixture.head)] {
      let layer = try DenseLayer(linear, format)
      for (part, values) in layer.parts {
        let name = "\(linear.record.name).\(part)"
        names.append(name)
        let other = try #require(decoded[name], "\(name)")
        #expect(values.map(\.bitPattern) == other.map(\.bitPattern), "\(name)")
      }
    }
    #expect(names.sorted() == decoded.keys.sorted())
  }

  @Test(
    "matrices in the basis of the source multiply as the parts do",
    .enabled(if: hasPackages, "needs python3 with numpy and safetensors"),
    arguments: IncoherenceSides.allCases)
  func basis(sides: IncoherenceSides) throws {
    var fixture = try CompressedModelFixture(.int3)
    fixture.plan.incoherence = sides
    let decoded = try decoded(fixture, [])
    for linear in fixture.linears + [try #require(fixture.head)] {
      let (rows, columns) = (linear.record.outputSize, linear.record.inputSize)
      let weight = try #require(decoded["\(linear.record.name).weight"])
      let layer = try DenseLayer(linear, .int3)
      let isHead = linear.record.name == "lm_head"
      var generator = RandomGenerator(seed: 9)
      let x = (0..<columns).map { _ in Float(generator.nextUnit() * 2 - 1) }
      var z = x
      if sides != .none, !isHead { z = try rotated(x, fixture, back: false) }
      var y = layer.product(z, outliers: x)
      if sides == .both, !isHead { y = try rotated(y, fixture, back: true) }
      // Sums of at most 48 + 5 * 48 products of numbers of a few units; the rotations round to
      // (12^1.5 + 6) * 2^-24 of the length of a vector of some hundred, about 3e-4 at most.
      for row in 0..<rows {
        let sum = (0..<columns).reduce(0.0) {
          $0 + Double(weight[row * columns + $1]) * Double(x[$1])
        }
        #expect(abs(sum - Double(y[row])) < 1e-3, "\(linear.record.name) row \(row)")
      }
    }
  }

  private func rotated(
    _ x: [Float], _ fixture: CompressedModelFixture, back: Bool
  ) throws -> [Float] {
    let incoherence = try #require(fixture.rotations.first { $0.size == x.count })
    let pool = WorkerPool(threadCount: 1)
    var row = Buffer<Float>(count: x.count)
    for (index, value) in x.enumerated() { row[index] = value }
    var scratch = Buffer<Float>(count: incoherence.scratchCount(threadCount: 1))
    if back {
      incoherence.rotateBack(&row, tokenCount: 1, scratch: &scratch, .standard, pool)
    } else {
      incoherence.rotate(&row, tokenCount: 1, scratch: &scratch, .standard, pool)
    }
    return (0..<x.count).map { row[$0] }
  }
}

/// The dense parts of a compressed layer, by the package's own decoding.
private struct DenseLayer {
  var parts: [String: [Float]] = [:]
  let record: MatrixRecord

  init(_ linear: CompressedLinear, _ format: WeightFormat) throws {
    record = linear.record
    let name = record.name
    let checkpoint = Checkpoint(
      configuration: CompressedModelFixture.configuration, tensors: linear.tensors)
    func dense(
      _ suffix: String, _ format: WeightFormat, _ group: GroupSize, _ rows: Int, _ columns: Int
    ) throws -> [Float] {
      let layout = PackedLayout(format, groupSize: group, outputSize: rows, inputSize: columns)
      return try PackedMatrix(checkpoint, name + suffix, layout: layout).dense()
    }
    func halves(_ name: String) throws -> [Float] {
      let bytes = try #require(try checkpoint.tensor(named: name)).byteArray
      return stride(from: 0, to: bytes.count, by: 2).map {
        Float(Float16(bitPattern: UInt16(bytes[$0]) | UInt16(bytes[$0 + 1]) << 8))
      }
    }
    let (m, n, rank) = (record.outputSize, record.inputSize, record.rank)
    parts["q"] =
      name == "lm_head"
      ? try dense("", .int8, .columns32, m, n)
      : try dense("", format, format.coding == .trellis ? .row : .columns32, m, n)
    if checkpoint.contains("\(name).left.codes") {
      parts["left"] = try dense(".left", .int4, .row, m, rank)
      parts["right"] = try dense(".right", .int4, .columns128, rank, n)
    } else if rank > 0 {
      parts["left"] = try halves("\(name).left.values")
      parts["right"] = try halves("\(name).right.values")
    }
    if !record.outlierChannels.isEmpty {
      parts["columns"] = try dense(".columns", .int8, .row, m, record.outlierChannels.count)
    }
  }

  /// Q z + L R z + C x_O.
  func product(_ z: [Float], outliers x: [Float]) -> [Float] {
    func multiply(_ part: String, _ x: [Double]) -> [Double] {
      guard let matrix = parts[part], !x.isEmpty else { return [] }
      return (0..<matrix.count / x.count).map { row in
        x.indices.reduce(0) { $0 + Double(matrix[row * x.count + $1]) * x[$1] }
      }
    }
    var y = multiply("q", z.map(Double.init))
    let terms = [
      multiply("left", multiply("right", z.map(Double.init))),
      multiply("columns", record.outlierChannels.map { Double(x[$0]) }),
    ]
    for term in terms {
      for (row, value) in term.enumerated() { y[row] += value }
    }
    return y.map { Float($0) }
  }
}
