package import DuetSystem

/// The residual streams of all calibration samples at one boundary between layers.
///
/// (sampleCount, contextLength, hiddenSize). Up to a limit they are held in memory, else in a file without
/// a name, which the system removes even after a crash. They are read and written one sample at a time.
package struct HiddenStates: ~Copyable {
  /// The number of samples.
  package let sampleCount: Int
  /// The number of tokens of each sample.
  package let contextLength: Int
  /// The number of values for each token.
  package let hiddenSize: Int

  /// Empty when the states are in a file.
  private var memory: Buffer<Float>
  private var file: HiddenStatesFile?

  /// States of zeros.
  ///
  /// - Parameters:
  ///   - sampleCount: The number of samples.
  ///   - contextLength: The number of tokens of each sample.
  ///   - hiddenSize: The number of values for each token.
  ///   - memoryLimit: The most bytes that are held in memory.
  ///   - folder: Where a temporary file is made when the states are larger.
  /// - Throws: `FileError` when the file cannot be made, or the disk has too little space for it.
  /// - Precondition: The sizes are positive and their product fits in memory.
  package init(
    sampleCount: Int, contextLength: Int, hiddenSize: Int, memoryLimit: Int, folder: String
  ) throws(FileError) {
    precondition(
      sampleCount > 0 && contextLength > 0 && hiddenSize > 0,
      "hidden states of \(sampleCount) x \(contextLength) x \(hiddenSize)")
    self.sampleCount = sampleCount
    self.contextLength = contextLength
    self.hiddenSize = hiddenSize
    let byteCount = Self.byteCount(sampleCount, contextLength, hiddenSize)
    if byteCount <= memoryLimit {
      memory = Buffer(count: byteCount / MemoryLayout<Float>.stride)
      file = nil
    } else {
      memory = Buffer(count: 0)
      file = try HiddenStatesFile(temporaryIn: folder, byteCount: byteCount)
    }
  }

  /// The bytes of all states.
  ///
  /// - Precondition: They fit in memory.
  package static func byteCount(
    _ sampleCount: Int, _ contextLength: Int, _ hiddenSize: Int
  ) -> Int {
    var result = MemoryLayout<Float>.stride
    for factor in [sampleCount, contextLength, hiddenSize] {
      let (product, overflow) = result.multipliedReportingOverflow(by: factor)
      precondition(!overflow, "hidden states of \(sampleCount) x \(contextLength) x \(hiddenSize)")
      result = product
    }
    return result
  }

  /// Whether the states are in memory.
  package var isInMemory: Bool { file == nil }

  /// The number of values of one sample.
  package var sampleSize: Int { contextLength * hiddenSize }

  /// Copies the states of a sample, (contextLength, hiddenSize), to the start of `hidden`.
  ///
  /// - Throws: `FileError`.
  package func read(_ sample: Int, into hidden: inout Buffer<Float>) throws(FileError) {
    check(sample, hidden.count)
    let count = sampleSize
    if file == nil {
      unsafe hidden.pointer.update(from: memory.pointer + sample * count, count: count)
    } else {
      try file?.read(&hidden, count: count, at: sample * count * MemoryLayout<Float>.stride)
    }
  }

  /// Replaces the states of a sample by the first (contextLength, hiddenSize) numbers of `hidden`.
  ///
  /// - Throws: `FileError`; the states of the sample are then undefined.
  package mutating func write(
    _ sample: Int, from hidden: borrowing Buffer<Float>
  ) throws(FileError) {
    check(sample, hidden.count)
    let count = sampleSize
    if file == nil {
      unsafe (memory.pointer + sample * count).update(from: hidden.pointer, count: count)
    } else {
      try file?.write(hidden, count: count, at: sample * count * MemoryLayout<Float>.stride)
    }
  }

  private func check(_ sample: Int, _ count: Int) {
    precondition(sample >= 0 && sample < sampleCount, "sample \(sample) of \(sampleCount)")
    precondition(count >= sampleSize, "\(count) numbers for a sample of \(sampleSize)")
  }
}
