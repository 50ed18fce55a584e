/// A loop that runs: the elements that are left, and what `loop` tells about it.
///
/// As in Jinja the condition of a loop is evaluated when its next element is wanted, so it sees what
/// the passes before did to namespaces.
struct TemplateLoopState {
  let loop: TemplateLoop
  /// The variables around the loop.
  let scope: TemplateScope
  /// The number of the loops around it that called it, for recursive loops.
  let depth: Int
  let line: Int
  /// The elements to come; before `position` they are done.
  var elements: [TemplateValue]
  var position = 0
  /// Whether the condition was already evaluated for the elements to come.
  var isFiltered: Bool
  /// Whether all elements were read to count them.
  var isReadAhead = false
  /// The number of elements that were never read, once the loop has ended.
  private(set) var unreadCount = 0
  /// The element after the current one, if something asked for it.
  var ahead: TemplateValue?
  var index = -1
  var count: Int?
  var previous: TemplateValue?
  var current: TemplateValue?
  /// The values that `loop.changed` was called with last.
  var changing: TemplateValue?

  init(
    _ loop: TemplateLoop, elements: [TemplateValue], scope: TemplateScope, depth: Int, line: Int
  ) {
    self.loop = loop
    self.scope = scope
    self.depth = depth
    self.line = line
    self.elements = elements
    isFiltered = loop.filter == nil
    if isFiltered { count = elements.count }
  }

  /// Drops the elements, which may be many, after the last pass.
  mutating func finish() {
    if !isReadAhead { unreadCount = elements.count - position }
    elements = []
  }
}
