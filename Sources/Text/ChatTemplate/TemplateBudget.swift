/// What rendering may still use up.
///
/// A template is a foreign program: every step and every byte it handles is counted before the work
/// is done, so rendering ends soon and within bounded memory whatever the template says.
struct TemplateBudget {
  /// Evaluated nodes and elements made; a long conversation needs some hundred per message.
  static let stepLimit = 1_000_000
  /// Bytes of text read or written by operations; each message is handled a few times.
  static let textLimit = 128 << 20
  /// Bytes of the rendered text.
  static let outputLimit = 16 << 20
  /// Numbers in one `range`.
  static let rangeLimit = 100_000

  private(set) var steps = Self.stepLimit
  private(set) var text = Self.textLimit

  /// Takes steps away.
  mutating func take(steps count: Int, line: Int) throws(ChatTemplateError) {
    guard count <= steps else { throw .tooManySteps(line: line, limit: Self.stepLimit) }
    steps -= count
  }

  /// Takes bytes of text away, `weight` times where an operation is slow.
  mutating func take(
    text count: Int, weight: Int = 1, line: Int
  ) throws(ChatTemplateError) {
    guard count <= text / weight else { throw .tooMuchText(line: line, limit: Self.textLimit) }
    text -= count * weight
  }
}
