/// The options of how a compression runs; none of them changes its result.
public struct CompressorOptions: Sendable {
  /// The number of threads.
  public var threadCount: Int
  /// The most bytes of hidden states that are held in memory; beyond that they go into a file.
  public var hiddenStatesLimit: Int
  /// What to do with an earlier run in the folder.
  public var resume: ResumeMode
  /// Whether existing files in the folder may be replaced.
  public var force: Bool
  /// The bytes that the run will write, or 0 when unknown; the disk must have room for them.
  public var neededByteCount: Int
  /// The most share of the time in which the states of the samples are saved, so that a run that ends can go on
  /// behind the last layer; with infinity they are saved after every layer.
  public var savingShare = 0.05
  /// A second folder for the compressed model as dense weights, or nil for none.
  public var denseFolder: String?

  /// The options of a run.
  public init(
    threadCount: Int, hiddenStatesLimit: Int = Int.max, resume: ResumeMode = .auto,
    force: Bool = false, neededByteCount: Int = 0, denseFolder: String? = nil
  ) {
    self.threadCount = threadCount
    self.hiddenStatesLimit = hiddenStatesLimit
    self.resume = resume
    self.force = force
    self.neededByteCount = neededByteCount
    self.denseFolder = denseFolder
  }
}
