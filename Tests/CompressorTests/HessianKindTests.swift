import DuetCompressor
import DuetRuntime
import DuetSystem
import Testing

/// A thousand Hessians and weights as bad calibration texts, dead layers and damaged checkpoints give them.
///
/// The compressor must end with finite numbers that stand for the weights better than nothing does, or with
/// an error of its own, which is exit code 5.
@Suite("Hessians of many kinds")
struct HessianKindTests {
  private static let algebra = LinearAlgebra(WorkerPool(threadCount: 1))
  private var algebra: LinearAlgebra { Self.algebra }

  /// What is wrong with a Hessian.
  enum Defect: String, CaseIterable, Sendable {
    case none, rankZero, rankOne, zeroRows, condition, slightlyNegative, negative, tiny, huge
    case notANumber, infinite, negativeDiagonal, asymmetric

    /// Whether there are right weights for it, which have to be found.
    var isHarmless: Bool {
      switch self {
      case .none, .rankOne, .zeroRows, .condition, .slightlyNegative, .tiny, .huge, .asymmetric:
        true
      case .rankZero, .negative, .notANumber, .infinite, .negativeDiagonal: false
      }
    }
  }

  /// What is special about the weights.
  enum Weights: String, CaseIterable, Sendable {
    case normal, zero, oneRow, belowHalf, aboveHalf, subnormal
  }

  private static let sizes = [(16, 32), (24, 48), (9, 20)]

  private static func scale(_ matrix: inout Matrix<Double>, by factor: Double) {
    for index in 0..<matrix.elements.count { matrix.elements[index] *= factor }
  }

  private static func hessian(
    _ n: Int, _ defect: Defect, _ generator: inout RandomGenerator
  ) -> Matrix<Double> {
    var result = Numerics.hessian(n, seed: generator.next(), algebra)
    let (i, j) = (
      Int.random(in: 0..<n / 2, using: &generator), Int.random(in: n / 2..<n, using: &generator)
    )
    func scale(_ matrix: inout Matrix<Double>, _ factor: Double) {
      for index in 0..<n * n { matrix.elements[index] *= factor }
    }
    switch defect {
    case .none: break
    case .rankZero: scale(&result, 0)
    case .rankOne:
      let x = Numerics.gaussian(1, n, seed: generator.next())
      for row in 0..<n { for column in 0..<n { result[row, column] = x[0, row] * x[0, column] } }
    case .zeroRows:
      for row in [i, j] {
        for column in 0..<n { (result[row, column], result[column, row]) = (0, 0) }
      }
    case .condition:
      for index in 0..<n {
        result[i, index] *= 1e10
        result[index, i] *= 1e10
      }
    case .slightlyNegative, .negative:
      // Orthogonal directions e_i +- e_j with eigenvalues 1 +- c.
      let c = defect == .negative ? 100 : 1 + 1e-6
      for index in 0..<n {
        for special in [i, j] { (result[special, index], result[index, special]) = (0, 0) }
      }
      (result[i, i], result[j, j], result[i, j], result[j, i]) = (1, 1, c, c)
    case .tiny: scale(&result, 1e-30)
    case .huge: scale(&result, 1e30)
    case .notANumber: (result[i, j], result[j, i]) = (.nan, .nan)
    case .infinite: result[j, j] = .infinity
    case .negativeDiagonal: result[i, i] = -result[i, i]
    case .asymmetric: result[i, j] *= 1 + 1e-6
    }
    return result
  }

  private static func weights(
    _ m: Int, _ n: Int, _ kind: Weights, _ generator: inout RandomGenerator
  ) -> Matrix<Float> {
    var result = Numerics.weights(m, n, seed: generator.next(), deviation: 0.02)
    for index in 0..<m * n {
      switch kind {
      case .normal: break
      case .zero: result.elements[index] = 0
      case .oneRow: if index / n != m / 2 { result.elements[index] = 0 }
      // The scales are stored in half precision, from 6e-8 to 65504.
      case .belowHalf: result.elements[index] *= 1e-10
      case .aboveHalf: result.elements[index] *= 1e12
      case .subnormal: result.elements[index] *= 1e-38
      }
    }
    return result
  }

  private static func plan(_ generator: inout RandomGenerator) -> FlatPlan {
    var plan = FlatPlan()
    plan.method = FlatPlan.Method.allCases.randomElement(using: &generator) ?? .odlri
    plan.initialization = plan.method == .odlri ? .odlri : .lowRank
    plan.format = [.int2, .int3, .int4, .e8p].randomElement(using: &generator) ?? .int2
    plan.groupSize = plan.format == .e8p ? .row : .columns32
    plan.incoherence = [.none, .input, .both].randomElement(using: &generator) ?? .both
    plan.factorFormat = Bool.random(using: &generator) ? .int4 : .f16
    plan.rank = 4
    (plan.outerIterations, plan.innerIterations, plan.refinementRounds) = (2, 2, 1)
    if plan.method == .caldera, Bool.random(using: &generator) {
      (plan.outlierStorage, plan.outlierChannelCount, plan.initialization) = (.int8, 2, .zero)
      plan.rank = 16
    }
    return plan
  }

  private func compressed(
    _ hessian: borrowing Matrix<Double>, _ weight: borrowing Matrix<Float>, _ plan: FlatPlan
  ) throws -> (linear: CompressedLinear, dense: [Float]) {
    let (m, n) = (weight.rowCount, weight.columnCount)
    let rotation = try MatrixRotation(sizes: [m, n], seed: 9, KernelSet.standard, algebra)
    let metric = try Numerics.metric(
      hessian, damping: plan.damping, columnCount: plan.made.method.columnCount(inputSize: n),
      rotation: plan.incoherence == .none ? nil : rotation, algebra)
    let problem = try Numerics.problem(
      weight, metric, algebra, outputRotation: plan.incoherence == .both ? rotation : nil)
    let linear = try MatrixCompressor(algebra, plan.made).compress(
      problem, metric)
    let dense = try DenseReconstruction(algebra, plan.made.compressedFormat, rotation).weight(
      of: linear, CompressedModelFixture.configuration)
    return (linear, (0..<m * n).map { dense.elements[$0] })
  }

  @Test("finite results or an error of exit code 5", arguments: 0..<1000)
  func kinds(seed: Int) throws {
    var generator = RandomGenerator(seed: UInt64(seed))
    let defect = Defect.allCases[seed % Defect.allCases.count]
    // Ordinary weights most of the time.
    let kind = seed % 3 == 0 ? Weights.allCases.randomElement(using: &generator) ?? .zero : .normal
    let (m, n) = Self.sizes.randomElement(using: &generator) ?? (16, 32)
    let plan = Self.plan(&generator)
    let hessian = Self.hessian(n, defect, &generator)
    let weight = Self.weights(m, n, kind, &generator)
    let what = "\(defect), \(kind), \(plan.method) \(plan.format) \(plan.incoherence)"
    do {
      let (linear, dense) = try compressed(hessian, weight, plan)
      #expect(defect.isHarmless, "\(what): accepted")
      let record = linear.record
      let figures = [
        record.relativeError, record.dampedRelativeError, record.roundToNearestError,
        record.feedbackRoundingError, record.damping, record.quantizedRole, record.lowRankRole,
        record.meanScale, record.largestScale,
      ]
      let areFinite = figures.allSatisfy { $0.isFinite } && dense.allSatisfy { $0.isFinite }
      #expect(areFinite, "\(what): \(figures)")
      // Nothing at all has the error 1; only weights of zero may be stored as zeros.
      if kind != .zero {
        #expect(record.dampedRelativeError < 1, "\(what): \(record.dampedRelativeError)")
        let isZero = dense.allSatisfy { $0 == 0 }
        #expect(!isZero, "\(what): zeros")
      }
    } catch let error as CompressionDataError {
      #expect(error.category == .numerical, "\(what): \(error)")
      // An input of 1e10 times the scale of the others, not rotated, has a group of weights in which rounding
      // to nearest is hard to beat.
      let isHard = defect == .condition && plan.incoherence == .none
      #expect(!defect.isHarmless || kind != .normal || isHard, "\(what): \(error)")
    }
  }
}
