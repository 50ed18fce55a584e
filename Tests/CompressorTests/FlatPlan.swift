import DuetCompressor
import DuetRuntime

/// A plan as one list of choices, whatever the method.
///
/// A test can go from method to method with the rest unchanged. `made` gives the method what it reads.
struct FlatPlan {
  /// The methods of the list, by name.
  enum Method: String, CaseIterable {
    case odlri, caldera, srr, qera, lqer, lordq, gptq, awq, rtn

    var type: any CompressionMethod.Type {
      MethodList.all.first { $0.name == rawValue } ?? MethodList.standard
    }
    var hasLowRank: Bool { type.init().lowRank != nil }
    var hasQuantized: Bool { type.init().quantization != nil }
  }

  var method = Method.caldera
  var format = WeightFormat.e8p
  var groupSize = GroupSize.row
  var grid = GridKind.symmetric
  var scaleFit = ScaleFit.search
  var ordersByActivation = false
  var headFormat = HeadFormat.int8
  var embeddingFormat: EmbeddingFormat?
  var rank = 64
  var targetBits: Double?
  var moduleRanks: [String: Int] = [:]
  var factorFormat = FactorFormat.int4
  var factorBlockSize = GroupSize.columns32
  var factorRounding = FactorRounding.feedback
  var outlierChannelCount: Int?
  var outlierStorage = OutlierStorage.none
  var initialization = LowRankInitialization.lowRank
  var updateOrder = UpdateOrder.quantizedFirst
  var outerIterations = 5
  var innerIterations = 10
  var refinementRounds = 3
  var projectsMetric = false
  var damping = 0.01
  var incoherence = IncoherenceSides.both
  var propagation = Propagation.corrected
  var activationType = ActivationType.f32
  var metric = MetricKind.activation
  var sampleCount = 128
  var contextLength = 2048
  var seed: UInt64 = 0
  var keptNames: [String] = []

  /// The plan of the method with what it reads of these choices.
  var made: CompressionPlan {
    var choices = MethodChoices()
    choices.set(MethodOptions.format, to: format)
    choices.set(MethodOptions.groupSize, to: groupSize)
    choices.set(MethodOptions.grid, to: grid)
    choices.set(MethodOptions.scaleFit, to: scaleFit)
    choices.set(MethodOptions.ordersByActivation, to: ordersByActivation)
    choices.set(MethodOptions.rank, to: rank)
    choices.set(MethodOptions.targetBits, to: targetBits)
    choices.set(MethodOptions.factorFormat, to: factorFormat)
    choices.set(MethodOptions.factorBlockSize, to: factorBlockSize)
    choices.set(MethodOptions.factorRounding, to: factorRounding)
    choices.set(MethodOptions.outlierChannelCount, to: outlierChannelCount)
    choices.set(MethodOptions.outlierStorage, to: outlierStorage)
    choices.set(MethodOptions.initialization, to: initialization)
    choices.set(MethodOptions.updateOrder, to: updateOrder)
    choices.set(MethodOptions.outerIterations, to: outerIterations)
    choices.set(MethodOptions.innerIterations, to: innerIterations)
    choices.set(MethodOptions.refinementRounds, to: refinementRounds)
    choices.set(MethodOptions.projectsMetric, to: projectsMetric)
    let chosen: any CompressionMethod = method.type.init(reading: &choices)
    var plan = CompressionPlan(chosen)
    plan.headFormat = headFormat
    plan.embeddingFormat = embeddingFormat
    plan.moduleRanks = moduleRanks
    plan.damping = damping
    plan.incoherence = incoherence
    plan.propagation = propagation
    plan.activationType = activationType
    plan.metric = metric
    plan.sampleCount = sampleCount
    plan.contextLength = contextLength
    plan.seed = seed
    plan.keptNames = keptNames
    return plan
  }

  /// The alternation with these choices, whatever the method.
  func alternation(_ algebra: LinearAlgebra) -> Alternation {
    var plan = self
    plan.method = .caldera
    let choices = plan.made.method.choices
    let method = CALDERA(reading: choices)
    return Alternation(algebra, method.rounding, method.factors, method.alternation)
  }
}

extension CompressionMethod {
  /// The method of choices that nobody asks for what was read.
  init(reading choices: MethodChoices) {
    var choices = choices
    self.init(reading: &choices)
  }
}
