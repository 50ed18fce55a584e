import DuetCommandLine
import DuetRuntime
import DuetText

extension KernelBenchmark {
  /// A number of bytes that does not fit in the last-level cache.
  var uncachedByteCount: Int { max(256 << 20, 2 * machine.lastCacheByteCount) }

  /// The bytes of the largest matrix of the cases from the cache: half of a usual second-level cache.
  private static let cachedByteCount = 512 << 10

  /// The columns of all matrices of a model of seven billion weights except the down projection.
  private static let columns = 4096
  /// The rows of the gate and up projections.
  private static let gateRows = 11008
  private static let promptTokenCount = 512

  /// Measures one token times a matrix in the second-level cache, on one thread.
  func measureFromCache(_ emit: (KernelRow) throws -> Void) throws {
    let variants =
      GroupSize.allCases.filter { $0 != .columns128 }.map {
        PackedRecipe(format: .int2, groupSize: $0)
      } + [PackedRecipe(format: .int2, hasOffsets: true)]
    for set in kernelSets {
      let engine = Engine(set, threadCount: 1)
      for recipe in WeightFormat.allCases.map({ PackedRecipe(format: $0) }) + variants {
        let kernel = "packed_matvec \(recipe.format.rawValue), cache"
        guard isSelected(kernel) else { continue }
        let panels = recipe.byteCount(MatrixSize(outputSize: 64, inputSize: Self.columns))
        let size = MatrixSize(
          outputSize: Self.cachedByteCount / panels * 64, inputSize: Self.columns)
        guard
          let matrix = try recipe.linear([size], engine.context.pool).parts[0].quantized
        else { continue }
        let call = KernelCall.packed(matrix, set)
        var row = row(
          call, engine, kernel: kernel, shape: "\(size.text), \(recipe.text)",
          limits: [engine.peak(call.operationCount)])
        row.details = details(size, recipe)
        let isUsual = recipe.groupSize != .row && !recipe.hasOffsets
        if engine.isBest, isUsual, let bar = Bar.cached(recipe.format) {
          row.bar = (bar, Double(row.byteCount) / row.median / 1e9)
        }
        try emit(row)
      }
    }
  }

  /// Measures one token times several gate and up matrices that are read from memory.
  func measureFromMemory(_ emit: (KernelRow) throws -> Void) throws {
    for format in WeightFormat.allCases {
      let kernel = "packed_matvec \(format.rawValue), memory"
      guard isSelected(kernel) else { continue }
      let stack = try LinearStack(
        PackedRecipe(format: format), Self.gateSizes, byteCount: uncachedByteCount)
      try forEachEngine { engine in
        try emit(memoryRow(kernel, engine.isPortable ? stack.first : stack, engine))
      }
    }
  }

  private func memoryRow(
    _ kernel: String, _ stack: LinearStack, _ engine: Engine, limits: [KernelLimit] = []
  ) -> KernelRow {
    let reading = engine.reading(stack.byteCount) {
      MachineProbe.read(stack.matrices, engine.context).byteCount
    }
    return timer.row(
      kernel, "\(stack.linears.count) of \(Self.gateSizes[0].text) twice, \(stack.recipe.text)",
      engine, byteCount: stack.byteCount, operationCount: 2 * stack.multiplicationCount,
      details: details(Self.gateSizes[0], stack.recipe), limits: limits + [reading]
    ) { stack.run(engine) }
  }

  /// Measures a prompt times a square matrix.
  func measurePrompts(_ emit: (KernelRow) throws -> Void) throws {
    for format in WeightFormat.allCases {
      let kernel = "packed_matmul \(format.rawValue), \(Self.promptTokenCount) tokens"
      guard isSelected(kernel) else { continue }
      try forEachEngine { engine in
        let rows = engine.isPortable ? 64 : Self.columns
        let size = MatrixSize(outputSize: rows, inputSize: Self.columns)
        let recipe = PackedRecipe(format: format)
        let linear = try recipe.linear([size], engine.context.pool)
        let station = LinearStation(linear, tokenCount: Self.promptTokenCount)
        let operations = 2 * linear.multiplicationCount * Self.promptTokenCount
        let row = timer.row(
          kernel, "\(size.text), \(recipe.text)", engine, byteCount: linear.byteCount,
          operationCount: operations,
          details: details(size, recipe) + [.init("tokens", .integer(Self.promptTokenCount))],
          limits: [engine.peak(operations)]
        ) { station.run(linear, engine.context) }
        try emit(row)
      }
    }
  }

  /// Measures Q + L R and Q alone in turn, from memory, and their ratio.
  func measureLowRank(_ emit: (KernelRow) throws -> Void) throws {
    let kernel = "packed_matvec int2 + L R over Q, memory"
    guard isSelected(kernel) else { return }
    let recipe = PackedRecipe(format: .int2, rank: 128)
    let stack = try LinearStack(recipe, Self.gateSizes, byteCount: uncachedByteCount)
    try forEachEngine { engine in
      let whole = engine.isPortable ? stack.first : stack
      let alone = whole.quantizedAlone
      let limit = KernelLimit(limit: .quantizedAlone, amount: whole.byteCount) {
        Double(alone.byteCount) / measure { alone.run(engine) }
      }
      var row = memoryRow(kernel, whole, engine, limits: [limit])
      // The share is (bytes / time) of Q + L R over (bytes / time) of Q.
      if engine.isBest, let pairs = row.pairs.first { row.bar = (.lowRank, 1 / pairs.share) }
      try emit(row)
    }
  }

  private static let gateSizes = [MatrixSize](
    repeating: MatrixSize(outputSize: gateRows, inputSize: columns), count: 2)

  private func details(_ size: MatrixSize, _ recipe: PackedRecipe) -> [JSONOutput.Member] {
    [
      .init("rows", .integer(size.outputSize)), .init("columns", .integer(size.inputSize)),
    ] + recipe.json
  }
}

/// A list of equal linear layers that takes at least a given number of bytes.
private struct LinearStack {
  let recipe: PackedRecipe
  let linears: [PackedLinear]
  private let station: LinearStation

  init(_ recipe: PackedRecipe, _ sizes: [MatrixSize], byteCount: Int) throws(PackedMatrixError) {
    let pool = WorkerPool(threadCount: SessionOptions.processorCount)
    let size = sizes.reduce(0) { $0 + recipe.byteCount($1) }
    var linears: [PackedLinear] = []
    for _ in 0..<(byteCount + size - 1) / size { linears.append(try recipe.linear(sizes, pool)) }
    self.init(recipe, linears)
  }

  private init(_ recipe: PackedRecipe, _ linears: [PackedLinear]) {
    self.recipe = recipe
    self.linears = linears
    station = LinearStation(linears[0], tokenCount: 1)
  }

  /// A stack of only the first layer.
  var first: LinearStack { LinearStack(recipe, [linears[0]]) }

  /// The matrices without their low-rank parts.
  var quantizedAlone: LinearStack {
    LinearStack(
      recipe.quantizedAlone,
      linears.map { PackedLinear($0.parts.map { .init(quantized: $0.quantized) }) })
  }

  var byteCount: Int { linears.reduce(0) { $0 + $1.byteCount } }
  var multiplicationCount: Int { linears.reduce(0) { $0 + $1.multiplicationCount } }
  var matrices: [PackedMatrix] { linears.flatMap(\.matrices) }

  func run(_ engine: Engine) {
    for linear in linears { station.run(linear, engine.context) }
  }
}
