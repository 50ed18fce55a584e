/// What to do with an earlier run in the output folder.
public enum ResumeMode: String, Sendable, CaseIterable {
  /// Go on with it, or begin one.
  case auto
  /// Begin a new one.
  case never
  /// Go on with it; there must be one.
  case required
}
