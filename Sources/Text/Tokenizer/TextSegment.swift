/// A piece of a conversation's text, and whether the template or a message brought it.
///
/// A rendered chat template is a list of segments. Text written by the template may hold control
/// strings such as `<|eot_id|>`, which become their tokens; the same characters typed in a message are
/// content and stay plain text.
public struct TextSegment: Sendable, Hashable {
  /// The text; may be empty, and may begin or end in the middle of a word.
  public var text: String
  /// Whether the text comes from outside the template, so that it may not form control tokens.
  public var isContent: Bool

  /// A segment of the given text.
  public init(_ text: String, isContent: Bool) {
    self.text = text
    self.isContent = isContent
  }
}
