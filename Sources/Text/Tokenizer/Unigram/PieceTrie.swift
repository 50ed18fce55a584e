/// Pieces as a tree of bytes, to find all that begin at a place of a text.
///
/// The nodes lie in order of their depth, so the children of a node are neighbours, sorted by byte.
struct PieceTrie: Sendable {
  /// Per node: its first child; the children end where those of the next node begin.
  private var firstChildren: [Int32] = []
  /// Per node: the byte that leads to it.
  private var labels: [UInt8] = []
  /// Per node: the id of the piece that ends there, or -1.
  private var ids: [Int32] = []
  /// The number of bytes of the longest piece.
  let longestPiece: Int

  /// The tree of some pieces; no two are equal and none is empty.
  ///
  /// - Complexity: O(n log n) for n bytes of pieces.
  init(_ pieces: [(bytes: ArraySlice<UInt8>, id: Int32)]) {
    let sorted = pieces.sorted { $0.bytes.lexicographicallyPrecedes($1.bytes) }
    longestPiece = pieces.reduce(0) { max($0, $1.bytes.count) }
    /// Per node that has no children yet: its pieces in `sorted` and the number of their common bytes.
    var waiting: [(pieces: Range<Int>, depth: Int)] = [(sorted.indices, 0)]
    labels.append(0)
    var node = 0
    while node < waiting.count {
      var (range, depth) = waiting[node]
      firstChildren.append(Int32(labels.count))
      // Of pieces with a common start the shortest comes first.
      if let first = range.first, sorted[first].bytes.count == depth {
        ids.append(sorted[first].id)
        range = range.dropFirst()
      } else {
        ids.append(-1)
      }
      while let first = range.first {
        let label = byte(sorted[first].bytes, depth)
        var end = first + 1
        while end < range.upperBound, byte(sorted[end].bytes, depth) == label { end += 1 }
        labels.append(label)
        waiting.append((first..<end, depth + 1))
        range = end..<range.upperBound
      }
      node += 1
    }
    firstChildren.append(Int32(labels.count))

    func byte(_ bytes: ArraySlice<UInt8>, _ offset: Int) -> UInt8 {
      bytes[bytes.startIndex + offset]
    }
  }

  /// Calls `body` with the id and the end of each piece that begins at the start of `text[range]`,
  /// the shortest first.
  @inline(__always)
  func forEachPiece(
    in text: [UInt8], _ range: Range<Int>, _ body: (_ id: Int32, _ end: Int) -> Void
  ) {
    var node = 0
    for position in range {
      guard let child = child(of: node, text[position]) else { return }
      node = child
      if ids[node] >= 0 { body(ids[node], position + 1) }
    }
  }

  private func child(of node: Int, _ label: UInt8) -> Int? {
    var low = Int(firstChildren[node])
    let end = Int(firstChildren[node + 1])
    var high = end
    while low < high {
      let middle = (low + high) / 2
      if labels[middle] < label { low = middle + 1 } else { high = middle }
    }
    return low < end && labels[low] == label ? low : nil
  }
}
