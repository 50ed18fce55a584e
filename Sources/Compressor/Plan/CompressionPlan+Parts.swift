extension CompressionPlan {
  /// Refuses a plan by which a part of the layers cannot be compressed without the others.
  ///
  /// - Throws: `CompressionPlanError.conflict`.
  public func checkParts() throws(CompressionPlanError) {
    guard propagation == .original else {
      throw .conflict(
        "a model is compressed in parts with --propagate original, not with \(propagation.rawValue), where a "
          + "layer depends on the compressed layers before it, which other parts make")
    }
    guard method.lowRank?.targetBits == nil else {
      throw .conflict(
        "a model is not compressed in parts with --target-bits, which chooses the ranks from the matrices of "
          + "all parts; give --rank")
    }
  }
}
