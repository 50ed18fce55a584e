/// What to do with an earlier run in the output folder.
public enum ResumeMode: String, Sendable, CaseIterable {
  /// Resume it if there is one, else begin a new run.
  case auto
  /// Begin a new run.
  case never
  /// Resume it; there must be one.
  case required
}
