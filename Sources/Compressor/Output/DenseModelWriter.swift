internal import DuetRuntime
internal import DuetSystem

/// The writer of a compressed model as dense weights, for programs that do not support Q + L R.
///
/// The folder gets a checkpoint like the source: every compressed matrix as Q + L R in the basis of the
/// source, rounded to F16, and all other tensors as in the compressed model. Each matrix is written to the
/// disk before the next is computed, so that only one is in memory, and a resumed run continues after the
/// last one.
struct DenseModelWriter {
  private let output: OutputFolder
  private let checkpoint: Checkpoint
  private var journal: Journal

  /// A writer into a folder.
  ///
  /// - Parameters:
  ///   - output: The folder of the dense model.
  ///   - checkpoint: The source.
  ///   - fingerprint: The fingerprint of the compressing run.
  ///   - resume: What to do with an earlier export in the folder.
  /// - Throws: `JournalError`, `OutputFolderError.notEnoughSpace`.
  init(
    _ output: OutputFolder, checkpoint: Checkpoint, fingerprint: Fingerprint,
    resume: ResumeMode
  ) throws {
    // The dense folder may be new when the compression is resumed.
    let journal = try Journal(
      output, fingerprint: fingerprint.of("dense"), resume: resume == .never ? .never : .auto)
    // The dense weights are on the disk twice, in the journal and in the result.
    if !journal.isResumed { try output.requireFreeSpace(2 * checkpoint.byteCount) }
    self.output = output
    self.checkpoint = checkpoint
    self.journal = journal
  }

  /// Writes all files to the folder's `.compress`, from where `moveIntoPlace()` moves them.
  ///
  /// - Parameters:
  ///   - linears: The compressed matrices, with the head if it is compressed.
  ///   - reconstruction: Computes the dense matrices.
  ///   - observer: Is told of the progress and may stop the run.
  /// - Throws: Errors of files, `CompressionDataError.outOfHalfRange`, `CompressionStopped`.
  mutating func assemble(
    _ linears: [CompressedLinear], _ reconstruction: DenseReconstruction,
    observer: some CompressionObserver
  ) throws {
    if output.isReadyToMove { return }
    observer.phaseBegan(.exporting)
    var tensors: [StoredTensor] = []
    for (index, linear) in linears.enumerated() {
      tensors += try dense(linear, reconstruction)
      observer.progressed(index + 1, of: linears.count)
      if observer.isCancelled { throw CompressionStopped() }
    }
    let replaced = Set(
      tensors.map(\.name) + linears.flatMap { $0.replacedNames(in: checkpoint) })
    for name in checkpoint.names where !replaced.contains(name) {
      if let tensor = try checkpoint.tensor(named: name) { tensors.append(tensor) }
    }
    let assembly = ModelAssembly(output: output, checkpoint: checkpoint)
    let configuration = try assembly.sourceConfiguration()
    try assembly.begin()
    _ = try assembly.writeWeights(
      ShardPlan(tensors, largestShard: CompressedModelWriter.defaultLargestShard))
    try assembly.copyOtherFiles()
    try assembly.write(configuration, to: ModelAssembly.configurationName)
    try output.markReady()
  }

  /// Moves the complete model to its place, which ends the export.
  ///
  /// - Throws: `OutputFolderError`.
  func moveIntoPlace() throws(OutputFolderError) { try output.moveIntoPlace() }

  /// The dense tensors of a matrix, mapped from the disk.
  private mutating func dense(
    _ linear: CompressedLinear, _ reconstruction: DenseReconstruction
  ) throws -> [StoredTensor] {
    let name = linear.record.name
    // A head or an embedding in F16 is dense already.
    if linear.tensors.contains(where: { $0.name == "\(name).weight" }) {
      return linear.tensors
    }
    if let done = try journal.completed(name) { return done.tensors }
    let configuration = checkpoint.configuration
    let vocabularyWeight = try reconstruction.vocabularyWeight(of: linear, configuration)
    let weight = try vocabularyWeight ?? reconstruction.weight(of: linear, configuration)
    let tensor = try weight.halfTensor(named: "\(name).weight")
    let tensors = [tensor] + linear.replacements(in: checkpoint)
    try journal.record(CompressedLinear(tensors: tensors, record: linear.record))
    // The mapped copy, so that the one in memory can be freed.
    return try journal.completed(name)?.tensors ?? tensors
  }
}

extension Matrix where Element == Float {
  /// The numbers as a stored tensor of F16, rounded to nearest.
  ///
  /// - Throws: `CompressionDataError.outOfHalfRange` when a number is beyond the range of F16, `FileError`
  ///   when there is no memory.
  /// - Complexity: O(elements).
  fileprivate func halfTensor(named name: String) throws -> StoredTensor {
    for index in 0..<elements.count where !Float16(elements[index]).isFinite {
      throw CompressionDataError.outOfHalfRange(tensor: name)
    }
    let file = try MappedFile(anonymousByteCount: 2 * elements.count) { memory in
      for index in 0..<elements.count {
        memory.storeBytes(
          of: Float16(elements[index]).bitPattern, toByteOffset: 2 * index, as: UInt16.self)
      }
    }
    return StoredTensor(
      name: name, elementType: .f16, shape: [rowCount, columnCount], file: file, byteOffset: 0)
  }
}
