/// The variables of a block, and through its parent those of the blocks around it.
///
/// As in Jinja, the bodies of loops, macros, `call`, `set`, `filter` and `with` have scopes of their
/// own; those of `if` have not.
final class TemplateScope {
  private var values: [Int: TemplateValue] = [:]
  private let parent: TemplateScope?

  init(inside parent: TemplateScope?) { self.parent = parent }

  /// The value of a variable of this scope itself.
  subscript(own variable: Int) -> TemplateValue? { values[variable] }

  /// The value of a variable of this scope or one around it; setting it sets it in this scope.
  subscript(variable: Int) -> TemplateValue? {
    get {
      var scope = self
      while true {
        if let value = scope.values[variable] { return value }
        guard let parent = scope.parent else { return nil }
        scope = parent
      }
    }
    set { values[variable] = newValue }
  }
}
