import DuetCommandLine
import DuetCompressor
import DuetRuntime

extension CompressionPlan {
  /// Refuses options that do not go together, whatever the model.
  ///
  /// - Throws: `UsageError.conflict`, which names the options.
  static func checkConflicts(_ arguments: Arguments) throws(UsageError) {
    try checkMeaning(arguments)
    try checkQuantized(arguments)
    try checkFactors(arguments)
    try checkStart(arguments)
    if arguments[Options.force], arguments[Options.resume] == .required {
      throw .conflict("--force and --resume required contradict each other")
    }
  }

  /// Refuses what the method does not read.
  private static func checkMeaning(_ arguments: Arguments) throws(UsageError) {
    let method = arguments[Options.method]
    let lacks: [(any DeclaredOption, Bool, Bool, String)] =
      [
        (Options.rank, arguments.isGiven(Options.rank), method.hasLowRank, "has no low-rank part"),
        (
          Options.targetBits, arguments.isGiven(Options.targetBits), method.hasLowRank,
          "has no low-rank part"
        ),
        (
          Options.factorFormat, arguments.isGiven(Options.factorFormat), method.hasLowRank,
          "has no low-rank part"
        ),
        (
          Options.factorRounding, arguments.isGiven(Options.factorRounding), method.hasLowRank,
          "has no low-rank part"
        ),
        (
          Options.innerIterations, arguments.isGiven(Options.innerIterations), method.hasLowRank,
          "has no low-rank part"
        ),
        (
          Options.factorBlockSize, arguments.isGiven(Options.factorBlockSize), method == .lordq,
          method.hasLowRank ? "finds all components together" : "has no low-rank part"
        ),
        (
          Options.format, arguments.isGiven(Options.format), method.hasQuantized,
          "has no Q"
        ),
        (Options.groupSize, arguments.isGiven(Options.groupSize), method.hasQuantized, "has no Q"),
        (Options.grid, arguments.isGiven(Options.grid), method.hasQuantized, "has no Q"),
        (Options.scaleFit, arguments.isGiven(Options.scaleFit), method.hasQuantized, "has no Q"),
        (
          Options.actOrder, arguments.isGiven(Options.actOrder), method == .gptq,
          "does not round the columns in an order of its own"
        ),
        (
          Options.refinementRounds, arguments.isGiven(Options.refinementRounds),
          method.alternates || method == .gptq, "has nothing to refine"
        ),
      ]
      + alternating(arguments).map { option, isGiven in
        (
          option, isGiven, method.alternates,
          method.hasLowRank ? "does not alternate" : "has no low-rank part"
        )
      }
    for (option, isGiven, hasMeaning, reason) in lacks where isGiven && !hasMeaning {
      throw .conflict(
        "--\(option.declaration.name) has no meaning with --method \(method.rawValue), which "
          + reason)
    }
  }

  /// The options that are about the alternation of Q and L R, and whether they are given.
  private static func alternating(_ arguments: Arguments) -> [(any DeclaredOption, Bool)] {
    [
      (Options.initialization, arguments.isGiven(Options.initialization)),
      (Options.outlierChannels, arguments.isGiven(Options.outlierChannels)),
      (Options.outlierStorage, arguments[Options.outlierStorage] != .none),
      (Options.updateOrder, arguments.isGiven(Options.updateOrder)),
      (Options.outerIterations, arguments.isGiven(Options.outerIterations)),
      (Options.hessianDowndate, arguments.isGiven(Options.hessianDowndate)),
    ]
  }

  /// Refuses what contradicts itself about Q.
  private static func checkQuantized(_ arguments: Arguments) throws(UsageError) {
    let method = arguments[Options.method]
    let isPlain = method == .awq || method == .lqer
    let format = arguments[Options.format] ?? (isPlain ? .int4 : .e8p)
    if format == .e8p, method.hasQuantized {
      if arguments[Options.grid] == .asymmetric {
        throw .conflict("--grid asymmetric has no meaning with --format e8p, a lattice")
      }
      if arguments[Options.scaleFit] == .range {
        throw .conflict("--scale-fit range has no meaning with --format e8p, a lattice")
      }
      if arguments[Options.actOrder] {
        throw .conflict(
          "--act-order has no meaning with --format e8p, which rounds eight columns together")
      }
    }
    if method == .awq {
      if let sides = arguments[Options.incoherence], sides != .none {
        throw .conflict(
          "--incoherence \(sides.rawValue) and --method awq contradict each other: rotated inputs are "
            + "all of one size")
      }
      if arguments[Options.propagation] == .corrected {
        throw .conflict(
          "--propagate corrected and --method awq contradict each other: rescaling an input changes "
            + "matrices that are corrected before it")
      }
    }
  }

  /// Refuses what contradicts itself about L and R.
  private static func checkFactors(_ arguments: Arguments) throws(UsageError) {
    if arguments.isGiven(Options.rank), arguments.isGiven(Options.targetBits) {
      throw .conflict("--rank and --target-bits, which chooses the ranks, contradict each other")
    }
    if arguments.isGiven(Options.targetBits), arguments[Options.outlierStorage] == .int8 {
      throw .conflict(
        "--target-bits and --outlier-storage int8, whose columns are paid for with ranks, contradict "
          + "each other")
    }
    if arguments[Options.method] == .lordq, arguments[Options.rank] == 0 {
      throw .conflict("--rank 0 and --method lordq, which is L R alone, contradict each other")
    }
    guard arguments[Options.factorFormat] == .f16 else { return }
    if arguments[Options.method] == .lordq {
      throw .conflict("--lr-format f16 has no meaning with --method lordq, which stores few bits")
    }
    if arguments.isGiven(Options.factorRounding) {
      throw .conflict("--lr-rounding has no meaning with --lr-format f16, which is not rounded")
    }
    if arguments.isGiven(Options.innerIterations) {
      throw .conflict(
        "--inner-iterations has no meaning with --lr-format f16, where L R is found in one step")
    }
  }

  /// Refuses a start that is not the method's.
  private static func checkStart(_ arguments: Arguments) throws(UsageError) {
    let storesOutliers = arguments[Options.outlierStorage] == .int8
    switch (arguments[Options.method], arguments[Options.initialization]) {
    case (_, .odlri?) where storesOutliers:
      throw .conflict(
        "--initialization odlri has no meaning with --outlier-storage int8: L R would start from "
          + "the columns that are stored apart")
    case (.odlri, let start?) where !storesOutliers && start != .odlri && start != .auto:
      throw .conflict(
        "--method odlri starts from the outlier channels; --initialization \(start.rawValue) is for "
          + "--method caldera")
    case (.caldera, .odlri?):
      throw .conflict("--initialization odlri is --method odlri, not caldera")
    case (.caldera, let start) where start != .auto && !storesOutliers:
      if arguments.isGiven(Options.outlierChannels) {
        throw .conflict(
          "--outlier-channels has no meaning with --method caldera unless they are stored apart, by "
            + "--outlier-storage int8")
      }
    default: break
    }
  }
}

extension CompressionPlan.Method {
  /// Whether Q and L R are fitted in turn.
  fileprivate var alternates: Bool { self == .odlri || self == .caldera }
}
