/// The steps and the bytes that rendering may still use.
///
/// A template is an untrusted program: every step and every byte it handles is counted before the
/// work is done, so rendering ends soon and uses bounded memory for any template.
struct TemplateBudget {
  /// The limit of evaluated nodes and made elements; a long conversation needs a few hundred per
  /// message.
  static let stepLimit = 1_000_000
  /// The limit of bytes that operations read or write; each message is read or written a few times.
  static let textLimit = 128 << 20
  /// The limit of the rendered text, in bytes.
  static let outputLimit = 16 << 20
  /// The limit of numbers in one `range`.
  static let rangeLimit = 100_000

  private(set) var steps = Self.stepLimit
  private(set) var text = Self.textLimit

  /// Subtracts steps from those that are left.
  mutating func take(steps count: Int, line: Int) throws(ChatTemplateError) {
    guard count <= steps else { throw .tooManySteps(line: line, limit: Self.stepLimit) }
    steps -= count
  }

  /// Subtracts `count` bytes of text, `weight` times for a slow operation.
  mutating func take(
    text count: Int, weight: Int = 1, line: Int
  ) throws(ChatTemplateError) {
    guard count <= text / weight else { throw .tooMuchText(line: line, limit: Self.textLimit) }
    text -= count * weight
  }
}
