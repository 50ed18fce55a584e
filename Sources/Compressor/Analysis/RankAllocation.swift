internal import DuetRuntime

/// The choice of a rank for every matrix, so that all of them together take the wanted bits per weight.
///
/// All matrices begin with their smallest rank. Each step raises the rank of the matrix for which the sum of
/// the squares of all expected relative errors falls most per added byte, until nothing more fits:
///
///     argmax over matrices of (e(r)^2 - e(r + step)^2) / (bytes(r + step) - bytes(r))
///
/// If the gains of every matrix fall with its rank, this gives the least sum of squares for the bytes, up to
/// the last step.
package struct RankAllocation: Sendable {
  /// The figures of a matrix that its rank is chosen by.
  struct Candidate {
    let name: String
    let outputSize: Int
    let inputSize: Int
    /// The squares of the relative errors expected with ranks 0, 1, ...
    let squaredErrors: [Double]
  }

  private let plan: CompressionPlan
  private let options: LowRankOptions
  private let targetBits: Double

  /// The choice for a plan.
  ///
  /// - Precondition: The method of the plan has L R, with `targetBits`.
  package init(_ plan: CompressionPlan) {
    guard let options = plan.method.lowRank, let targetBits = options.targetBits else {
      preconditionFailure("ranks for no number of bits")
    }
    self.plan = plan
    self.options = options
    self.targetBits = targetBits
  }

  /// The number of components that one step adds.
  var step: Int { options.rankStep }

  /// The largest rank that a matrix may get: eight times the equal rank of all matrices that meets the bits.
  ///
  /// It limits the number of eigenvalues that are computed. Spectra fall, so a larger rank would gain little.
  ///
  /// - Throws: `IncoherenceError`, `CompressionDataError.budget`.
  func largestRank(_ configuration: Configuration) throws -> Int {
    8 * max(step, try CompressionForecast.uniform(plan, configuration).uniformRank ?? options.rank)
  }

  /// The ranks of all matrices, by name.
  ///
  /// - Parameters:
  ///   - matrices: The analyses of the matrices.
  ///   - sharedByteCount: The bytes of the rotations, which the matrices share.
  /// - Returns: Ranks that take no more than the plan's bits per weight.
  /// - Throws: `CompressionDataError.budget` when the smallest ranks take more already.
  package func ranks(
    for matrices: [MatrixAnalysis], sharedByteCount: Int
  ) throws(CompressionDataError) -> [String: Int] {
    try ranks(
      for: matrices.map { matrix in
        Candidate(
          name: matrix.name, outputSize: matrix.outputSize, inputSize: matrix.inputSize,
          squaredErrors: plan.method.expectedErrors(matrix).map { $0 * $0 })
      }, sharedByteCount: sharedByteCount)
  }

  func ranks(
    for candidates: [Candidate], sharedByteCount: Int
  ) throws(CompressionDataError) -> [String: Int] {
    let weightCount = candidates.reduce(0) { $0 + $1.outputSize * $1.inputSize }
    let budget = Int(targetBits * Double(weightCount) / 8)
    let format = plan.compressedFormat
    // A matrix without Q is L R alone, so its rank is not 0.
    var ranks = candidates.map { format.format == nil ? next(0, $0) : 0 }
    var spent = sharedByteCount
    for (candidate, rank) in zip(candidates, ranks) {
      spent +=
        (format.quantizedLayout(
          outputSize: candidate.outputSize, inputSize: candidate.inputSize)?
          .byteCount(hasOffsets: format.grid == .asymmetric) ?? 0) + byteCount(rank, candidate)
    }
    guard spent <= budget else {
      throw .budget(
        targetBits: targetBits, leastBits: Double(spent) * 8 / Double(weightCount))
    }
    var offers = zip(candidates, ranks).map { offer($0, from: $1) }
    while true {
      var best: (index: Int, offer: Offer)?
      for (index, offer) in offers.enumerated() {
        guard let offer, spent + offer.byteCount <= budget else { continue }
        if best.map({ offer.gainPerByte > $0.offer.gainPerByte }) ?? true { best = (index, offer) }
      }
      guard let (index, offer) = best else { break }
      ranks[index] = offer.rank
      spent += offer.byteCount
      offers[index] = self.offer(candidates[index], from: offer.rank)
    }
    return Dictionary(zip(candidates.map(\.name), ranks)) { first, _ in first }
  }

  /// The next larger rank of a matrix, with its cost and its gain.
  private struct Offer {
    let rank: Int
    let byteCount: Int
    let gainPerByte: Double
  }

  /// The next step of a matrix, or nil when there is none.
  private func offer(_ candidate: Candidate, from rank: Int) -> Offer? {
    let next = next(rank, candidate)
    if next == rank { return nil }
    let bytes = byteCount(next, candidate) - byteCount(rank, candidate)
    let errors = candidate.squaredErrors
    let gain = errors[rank] - errors[next]
    return Offer(rank: next, byteCount: bytes, gainPerByte: gain / Double(max(bytes, 1)))
  }

  /// The rank after `rank`, at most the smaller side and the largest rank whose error is known.
  private func next(_ rank: Int, _ candidate: Candidate) -> Int {
    min(
      rank + step, candidate.outputSize, candidate.inputSize, candidate.squaredErrors.count - 1)
  }

  private func byteCount(_ rank: Int, _ candidate: Candidate) -> Int {
    options.storage.byteCount(
      rank: rank, outputSize: candidate.outputSize, inputSize: candidate.inputSize)
  }
}
