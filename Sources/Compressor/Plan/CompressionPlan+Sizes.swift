internal import DuetRuntime

extension CompressionPlan {
  /// What L R starts from, one after the other.
  ///
  /// Without a low-rank part there is one run, and nothing to start from.
  package func initializations(rank: Int) -> [Initialization] {
    if rank == 0 { return [.zero] }
    switch initialization {
    // With columns of their own the outlier channels are no matter for L R.
    case .auto:
      return outlierStorage == .int8 ? [.zero, .lowRank] : [.zero, .lowRank, .odlri, .srr]
    case .zero, .lowRank, .odlri, .srr: return [initialization]
    }
  }

  /// The number of outlier channels that the low-rank part starts with: as asked, or a sixteenth of the
  /// rank.
  ///
  /// 16 of rank 256 is what the paper documents.
  package func channelCount(rank: Int, inputSize: Int) -> Int {
    min(outlierChannelCount ?? max(1, rank / 16), inputSize - 1)
  }

  /// The number of channels of a matrix with `inputSize` inputs that are stored as columns.
  public func columnCount(inputSize: Int) -> Int {
    outlierStorage == .int8 && method.hasLowRank
      ? channelCount(rank: rank, inputSize: inputSize) : 0
  }

  /// The rank of the low-rank part of a matrix: the one chosen for it, or that of the plan and at most
  /// its smaller side; 0 without one.
  ///
  /// Outlier columns are paid for with components, so that a matrix takes no more bytes than without
  /// them.
  public func rank(of name: String = "", outputSize: Int, inputSize: Int) -> Int {
    guard method.hasLowRank else { return 0 }
    if let chosen = moduleRanks[name] { return chosen }
    let full = min(rank, outputSize, inputSize)
    let columnCount = columnCount(inputSize: inputSize)
    if columnCount == 0 { return full }
    func byteCount(_ rank: Int) -> Int {
      factorStorage.byteCount(rank: rank, outputSize: outputSize, inputSize: inputSize)
    }
    let columns = Packing.columnsByteCount(outputSize: outputSize, count: columnCount)
    var result = full
    while result > 0, byteCount(result) + columns > byteCount(full) { result -= 1 }
    return result
  }
}
