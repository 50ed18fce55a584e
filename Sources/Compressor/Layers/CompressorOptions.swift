/// How a compression runs, none of which changes its result.
public struct CompressorOptions: Sendable {
  /// The number of threads.
  public var threadCount: Int
  /// The most bytes of hidden states that are held in memory; more go into a file.
  public var hiddenStatesLimit: Int
  /// What to do with an earlier run in the folder.
  public var resume: ResumeMode
  /// Whether what is in the folder may be replaced.
  public var force: Bool
  /// The bytes that the run will write, or 0 when nobody knows: the disk must have room for them.
  public var neededByteCount: Int
  /// A second folder that gets the model as dense weights again, or nil for none.
  public var denseFolder: String?

  /// Options.
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
