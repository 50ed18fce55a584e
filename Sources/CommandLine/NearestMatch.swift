/// The candidate that `word` is most likely a misspelling of, or nil when none is close.
///
/// A candidate is close when it needs at most one edit per three letters of the longer word, or one
/// edit. Of candidates with equal distance the first is returned.
///
/// - Complexity: O(candidates * word length * candidate length), with `word` cut after 64 scalars.
package func nearestMatch(to word: String, among candidates: [String]) -> String? {
  let letters = Array(word.unicodeScalars.prefix(64))
  var best: (candidate: String, distance: Int)?
  for candidate in candidates {
    let other = Array(candidate.unicodeScalars)
    let distance = editDistance(letters, other)
    let allowed = max(1, max(letters.count, other.count) / 3)
    if distance <= allowed, distance < best?.distance ?? .max {
      best = (candidate, distance)
    }
  }
  return best?.candidate
}

/// The number of insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
///
/// This is the optimal string alignment distance: no part is edited twice.
func editDistance(_ a: [Unicode.Scalar], _ b: [Unicode.Scalar]) -> Int {
  // Rows of the table of distances of prefixes: the one before the last, the last, the current one.
  var beforeLast: [Int] = []
  var last = Array(0...b.count)
  for i in a.indices {
    var current = [i + 1]
    for j in b.indices {
      var cost = min(last[j + 1] + 1, current[j] + 1, last[j] + (a[i] == b[j] ? 0 : 1))
      if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] {
        cost = min(cost, beforeLast[j - 1] + 1)
      }
      current.append(cost)
    }
    beforeLast = last
    last = current
  }
  return last[b.count]
}
