/// A token that is cut out of the text before the rest is encoded.
public struct AddedToken: Sendable, Hashable {
  /// The longest text of an added token, in bytes.
  static let longestContent = 1024

  /// The token's id.
  public let id: Int
  /// The text that becomes this token.
  public let content: String
  /// Whether the token controls the model instead of being text.
  public let isSpecial: Bool
  /// Whether the text is matched after normalization instead of before.
  public let isNormalized: Bool
  /// Whether the white space before the token becomes part of it.
  public let stripsLeft: Bool
  /// Whether the white space after the token becomes part of it.
  public let stripsRight: Bool
  /// Whether the token must not touch a word character.
  public let isSingleWord: Bool

  /// A token with the given text, matched before normalization.
  public init(
    id: Int, content: String, isSpecial: Bool, isNormalized: Bool = false,
    stripsLeft: Bool = false, stripsRight: Bool = false, isSingleWord: Bool = false
  ) {
    self.id = id
    self.content = content
    self.isSpecial = isSpecial
    self.isNormalized = isNormalized
    self.stripsLeft = stripsLeft
    self.stripsRight = stripsRight
    self.isSingleWord = isSingleWord
  }

  /// The same token with another id.
  func with(id: Int) -> AddedToken {
    AddedToken(
      id: id, content: content, isSpecial: isSpecial, isNormalized: isNormalized,
      stripsLeft: stripsLeft, stripsRight: stripsRight, isSingleWord: isSingleWord)
  }
}
