import DuetCompressor
import DuetRuntime
import DuetSystem
import Testing

@Suite("MatrixCompressor")
struct MatrixCompressorTests {
  // A pool for each test: the thread sanitizer does not see a caller wait for another one's turn.
  private let algebra = LinearAlgebra(WorkerPool(threadCount: 2))
  private static let (m, n) = (72, 96)

  /// A way to compress, with a name for messages.
  private struct Case: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let plan: FlatPlan

    init(_ name: String, _ change: (inout FlatPlan) -> Void) {
      var plan = FlatPlan()
      (plan.method, plan.initialization) = (.odlri, .odlri)
      plan.format = .int2
      plan.rank = 6
      plan.groupSize = .columns64
      (plan.outerIterations, plan.innerIterations, plan.refinementRounds) = (2, 3, 1)
      plan.outlierChannelCount = 3
      change(&plan)
      testDescription = name
      self.plan = plan
    }
  }

  private static let cases = [
    Case("odlri") { _ in },
    Case("f16 factors") { $0.factorFormat = .f16 },
    Case("int3, inputs rotated") { ($0.format, $0.incoherence) = (.int3, .input) },
    Case("columns") { ($0.outlierStorage, $0.rank, $0.initialization) = (.int8, 20, .auto) },
    Case("columns without rotation") {
      ($0.outlierStorage, $0.rank, $0.incoherence) = (.int8, 20, .none)
      $0.initialization = .zero
    },
    Case("columns, inputs rotated") {
      ($0.outlierStorage, $0.rank, $0.incoherence) = (.int8, 20, .input)
      $0.initialization = .zero
    },
    Case("e8p") { ($0.format, $0.groupSize, $0.method) = (.e8p, .row, .gptq) },
    Case("e8p with factors") { ($0.format, $0.groupSize) = (.e8p, .row) },
    Case("rtn") { ($0.method, $0.format, $0.incoherence) = (.rtn, .int4, .none) },
    Case("auto") { ($0.method, $0.initialization) = (.caldera, .auto) },
    Case("rtn, asymmetric") { ($0.method, $0.grid, $0.incoherence) = (.rtn, .asymmetric, .none) },
    Case("gptq, asymmetric, ordered") {
      ($0.method, $0.grid, $0.incoherence) = (.gptq, .asymmetric, .none)
      ($0.format, $0.ordersByActivation, $0.refinementRounds) = (.int4, true, 1)
    },
    Case("gptq, ordered, rotated") {
      ($0.method, $0.ordersByActivation, $0.refinementRounds) = (.gptq, true, 0)
    },
    Case("awq") { ($0.method, $0.grid, $0.incoherence) = (.awq, .asymmetric, .none) },
    Case("srr") { $0.method = .srr },
    Case("qera, int8 factors") { ($0.method, $0.factorFormat) = (.qera, .int8) },
    Case("lqer, int3 factors, asymmetric") {
      ($0.method, $0.factorFormat, $0.grid) = (.lqer, .int3, .asymmetric)
    },
    Case("lordq") { ($0.method, $0.rank) = (.lordq, 40) },
    Case("lordq, int2 in blocks of 64") {
      ($0.method, $0.rank, $0.factorFormat, $0.factorBlockSize) = (.lordq, 70, .int2, .columns64)
    },
    Case("lordq, not rotated, int8") {
      ($0.method, $0.rank, $0.factorFormat, $0.incoherence) = (.lordq, 33, .int8, .none)
    },
  ]

  /// A Hessian with three outlier channels.
  private func hessian() -> Matrix<Double> {
    var result = Numerics.hessian(Self.n, seed: 181, algebra)
    for channel in [5, 50, 90] {
      for column in 0..<Self.n {
        result[channel, column] *= 8
        result[column, channel] *= 8
      }
    }
    return result
  }

  private static func rotation(_ algebra: LinearAlgebra) throws -> MatrixRotation {
    try MatrixRotation(sizes: [m, n], seed: 9, KernelSet.standard, algebra)
  }

  private func compressed(_ plan: FlatPlan, _ algebra: LinearAlgebra) throws
    -> CompressedLinear
  {
    let rotation = try Self.rotation(algebra)
    let metric = try Numerics.metric(
      hessian(), damping: plan.damping,
      columnCount: plan.made.method.columnCount(inputSize: Self.n),
      rotation: plan.incoherence == .none ? nil : rotation, algebra)
    let problem = try Numerics.problem(
      Numerics.weights(Self.m, Self.n, seed: 182, deviation: 0.02), metric, algebra,
      outputRotation: plan.incoherence == .both ? rotation : nil)
    return try MatrixCompressor(algebra, plan.made).compress(
      problem, metric)
  }

  // MARK: - What is stored

  @Test("the record's error is that of the weights that the tensors stand for", arguments: cases)
  private func record(item: Case) throws {
    let linear = try compressed(item.plan, algebra)
    let dense = try DenseReconstruction(
      algebra, item.plan.made.compressedFormat, Self.rotation(algebra)
    ).weight(
      of: linear, CompressedModelFixture.configuration)
    let weight = Numerics.weights(Self.m, Self.n, seed: 182, deviation: 0.02)
    let hessian = hessian()
    let error = Numerics.error(weight, dense, hessian, algebra)
    let whole = Numerics.square(algebra.widened(weight), hessian, algebra)
    let expected = (error / whole).squareRoot()
    let record = linear.record
    // Errors are differences of sums in single precision of the size of tr(W H W^T): 1e-6 of it, which
    // in the root is 1e-6 / 2 / 0.03 of the smallest relative error here.
    #expect(abs(record.relativeError - expected) < 2e-5, "\(record.relativeError) and \(expected)")
    #expect(expected < record.roundToNearestError * 1.01)
    #expect(record.byteCount == linear.tensors.reduce(0) { $0 + $1.byteCount })
    #expect(record.rank == item.plan.made.rank(outputSize: Self.m, inputSize: Self.n))
    if item.plan.outlierStorage == .int8 {
      #expect(record.outlierChannels == [5, 50, 90])
      // Three columns cost more bytes than the padding of twenty components is.
      #expect(record.rank == 16)
    }
    #expect(record.traces.flatMap(\.errors).allSatisfy { $0.isFinite })
  }

  @Test("dense weights are Q + L R + C rotated back, in double precision", arguments: cases)
  private func reconstruction(item: Case) throws {
    let plan = item.plan
    let (m, n) = (Self.m, Self.n)
    let linear = try compressed(plan, algebra)
    let tensors = Checkpoint(
      configuration: CompressedModelFixture.configuration, tensors: linear.tensors)
    func packed(
      _ name: String, _ layout: PackedLayout, _ grid: GridKind = .symmetric
    ) throws -> Matrix<Double> {
      let numbers = try PackedMatrix(tensors, name, layout: layout, grid: grid).dense()
      var result = Matrix<Double>(rowCount: layout.outputSize, columnCount: layout.inputSize)
      for (index, number) in numbers.enumerated() { result.elements[index] = Double(number) }
      return result
    }
    func half(_ name: String, _ rows: Int, _ columns: Int) throws -> Matrix<Double> {
      let tensor = try #require(linear.tensors.first { $0.name == name })
      return algebra.widened(Matrix(widening: tensor, rowCount: rows, columnCount: columns))
    }
    var expected = Matrix<Double>(rowCount: m, columnCount: n)
    if let options = plan.made.method.quantization {
      expected = try packed("layer", options.layout(outputSize: m, inputSize: n), plan.grid)
    }
    let rank = linear.record.rank
    if rank > 0 {
      if let format = plan.factorFormat.weightFormat {
        let blockSize = plan.method == .lordq ? plan.factorBlockSize : nil
        algebra.multiply(
          try packed(
            "layer.left",
            CompressedFormat.leftLayout(format, outputSize: m, rank: rank, blockSize: blockSize)),
          try packed(
            "layer.right", CompressedFormat.rightLayout(format, rank: rank, inputSize: n)), old: 1,
          into: &expected)
      } else {
        algebra.multiply(
          try half("layer.left.values", m, rank), try half("layer.right.values", rank, n), old: 1,
          into: &expected)
      }
    }
    // B S of each side as a matrix: y = S B^T z undoes it, so rows are multiplied by it.
    let rotation = try Self.rotation(algebra)
    func transform(_ size: Int) -> Matrix<Double> {
      var rows = Matrix<Float>(rowCount: size, columnCount: size)
      for index in 0..<size { rows[index, index] = 1 }
      rotation.rotateRows(&rows)
      return algebra.widened(algebra.transposed(rows))
    }
    if plan.incoherence != .none { expected = algebra.product(expected, transform(n)) }
    let channels = linear.record.outlierChannels
    if plan.outlierStorage == .int8 {
      let columns = try packed(
        "layer.columns", CompressedFormat.columnsLayout(outputSize: m, count: channels.count))
      for row in 0..<m {
        for (index, channel) in channels.enumerated() {
          expected[row, channel] += columns[row, index]
        }
      }
    }
    if plan.incoherence == .both {
      expected = algebra.product(transform(m), transposesLeft: true, expected)
    }
    let own = try DenseReconstruction(algebra, plan.made.compressedFormat, rotation).weight(
      of: linear, CompressedModelFixture.configuration)
    // Sums of 6 products and of two rotations in single precision, of numbers below a fifth.
    #expect(Numerics.distance(own, algebra.narrowed(expected)) < 1e-6)
  }

  // MARK: - Threads

  @Test("the number of threads changes no byte", arguments: cases)
  private func threads(item: Case) throws {
    let one = try compressed(item.plan, LinearAlgebra(WorkerPool(threadCount: 1)))
    let bytes = Numerics.bytes(of: one)
    for count in [2, 3, 8] {
      let other = try compressed(item.plan, LinearAlgebra(WorkerPool(threadCount: count)))
      #expect(one.record == other.record)
      let areEqual = bytes == Numerics.bytes(of: other)
      #expect(areEqual, "\(count) threads")
    }
  }

  // MARK: - Refusals

  @Test("a matrix without any effect is stored as zeros")
  func zeros() throws {
    let metric = try Numerics.metric(hessian(), algebra)
    let problem = try Numerics.problem(
      Matrix<Float>(rowCount: Self.m, columnCount: Self.n), metric, algebra)
    for item in Self.cases where item.plan.outlierStorage == .none {
      let linear = try MatrixCompressor(algebra, item.plan.made).compress(problem, metric)
      #expect(linear.record.relativeError == 0 && linear.record.largestScale == 0)
    }
  }
}
