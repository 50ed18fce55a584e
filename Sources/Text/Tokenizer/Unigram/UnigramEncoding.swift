/// The unigram model: cuts a word into the pieces whose scores have the highest sum.
///
/// A scalar at which no piece of its own length begins may also be unknown, with a score of ten below the
/// lowest. Sums are formed from the start of the word, and of equal sums the one with the
/// piece that begins first is taken.
///
/// Source: Kudo, arXiv:1804.10959; sums and ties as in Hugging Face tokenizers 0.23, `unigram/model.rs`, and
/// google/sentencepiece, `unigram_model.cc`.
struct UnigramEncoding: Sendable {
  /// How far an unknown scalar's score is below the lowest of a piece.
  static let unknownPenalty = 10.0
  /// The number of bytes after which the best path is looked for the first time.
  static let windowSize = 1 << 14

  let vocabulary: Vocabulary
  private let trie: PieceTrie
  /// The score of each id.
  private let scores: [Double]
  private let unknownScore: Double
  /// The id of unknown text, or -1.
  private let unknown: Int32
  /// The id of each byte's piece `<0xHH>`, or -1; empty without byte fallback.
  private let byteFallback: [Int32]
  /// Whether sums are rounded to single precision, as SentencePiece does.
  private let isSinglePrecision: Bool

  /// A model of some pieces.
  ///
  /// - Parameters:
  ///   - vocabulary: All pieces; text becomes only those that are not hidden.
  ///   - scores: The score of each id.
  ///   - lowestScore: The lowest score of an ordinary piece.
  ///   - unknown: The id for text without a piece.
  ///   - byteFallback: The id of each byte's piece, or -1; empty without byte fallback.
  ///   - isSinglePrecision: Whether sums are rounded to single precision.
  init(
    vocabulary: Vocabulary, scores: [Double], lowestScore: Double, unknown: Int?,
    byteFallback: [Int32], isSinglePrecision: Bool
  ) {
    self.vocabulary = vocabulary
    self.scores = scores
    self.unknown = unknown.map { Int32($0) } ?? -1
    self.byteFallback = byteFallback
    self.isSinglePrecision = isSinglePrecision
    let penalized = lowestScore - Self.unknownPenalty
    unknownScore = isSinglePrecision ? Double(Float(penalized)) : penalized
    trie = PieceTrie(
      scores.indices.compactMap { id in
        guard let piece = vocabulary.piece(id), !piece.isEmpty,
          vocabulary.id(of: Array(piece)) == Int32(id)
        else { return nil }
        return (piece, Int32(id))
      })
  }

  /// The last piece of the best path to each place of a word.
  private struct Paths {
    /// The place to which index 0 belongs.
    var origin: Int
    /// The sum of scores of the path; only where `starts` is not negative.
    var sums: [Double] = [0]
    /// The start of the path's last piece, or -1 when no path leads to the place.
    var starts: [Int] = [-1]
    /// The id of the path's last piece; -1 for text without one.
    var ids: [Int32] = [-1]

    mutating func grow(to count: Int) {
      guard count > sums.count else { return }
      let more = count - sums.count
      sums.append(contentsOf: repeatElement(0, count: more))
      starts.append(contentsOf: repeatElement(-1, count: more))
      ids.append(contentsOf: repeatElement(-1, count: more))
    }

    /// Takes the path with the last piece `start..<end` if it is the best one to `end` so far.
    @inline(__always)
    mutating func offer(_ id: Int32, from start: Int, to end: Int, sum: Double) {
      let index = end - origin
      if starts[index] < 0 || sum > sums[index] {
        sums[index] = sum
        starts[index] = start
        ids[index] = id
      }
    }

    /// Forgets all places before `place`.
    mutating func forget(before place: Int) {
      let count = place - origin
      sums.removeFirst(count)
      starts.removeFirst(count)
      ids.removeFirst(count)
      origin = place
    }
  }

  /// Appends the ids of the word `text[range]` to `ids`.
  ///
  /// Paths are kept from the last place through which all best paths go, so the memory does not grow with
  /// the length of ordinary text.
  ///
  /// - Parameters:
  ///   - text: Valid UTF-8.
  ///   - range: The word.
  ///   - windowSize: The number of bytes between two attempts to write tokens.
  ///   - droppedByteCount: Grows by the number of bytes that have no token.
  ///   - ids: The array to which the ids are appended.
  /// - Complexity: O(length * length of the longest piece).
  func encode(
    _ text: [UInt8], in range: Range<Int>, windowSize: Int = Self.windowSize,
    droppedByteCount: inout Int, into ids: inout [Int]
  ) {
    var paths = Paths(origin: range.lowerBound)
    var writer = Writer()
    var position = range.lowerBound
    var nextAttempt = position + windowSize
    while position < range.upperBound {
      let scalarEnd = min(position + scalarLength(text[position]), range.upperBound)
      let pieceEnd = min(position + trie.longestPiece, range.upperBound)
      paths.grow(to: max(pieceEnd, scalarEnd) - paths.origin + 1)
      extend(&paths, text, from: position, scalarEnd: scalarEnd, pieceEnd: pieceEnd)
      position = scalarEnd
      if position >= nextAttempt {
        let meeting = meetingPlace(paths, position)
        if meeting > paths.origin {
          write(paths, upTo: meeting, text, &writer, &droppedByteCount, &ids)
          paths.forget(before: meeting)
        }
        // If the paths do not meet for long, the attempts become rare, so that their cost stays linear.
        nextAttempt = position + max(windowSize, position - paths.origin)
      }
    }
    write(paths, upTo: range.upperBound, text, &writer, &droppedByteCount, &ids)
    finishUnknown(&writer, text, &droppedByteCount, &ids)
  }

  /// Extends the best path to `position` by each piece that begins there.
  private func extend(
    _ paths: inout Paths, _ text: [UInt8], from position: Int, scalarEnd: Int, pieceEnd: Int
  ) {
    let sum = paths.sums[position - paths.origin]
    var hasScalar = false
    trie.forEachPiece(in: text, position..<pieceEnd) { id, end in
      paths.offer(id, from: position, to: end, sum: added(sum, scores[Int(id)]))
      if end == scalarEnd { hasScalar = true }
    }
    if !hasScalar {
      paths.offer(
        unknown, from: position, to: scalarEnd, sum: added(sum, unknownScore))
    }
  }

  private func added(_ sum: Double, _ score: Double) -> Double {
    // The sum of two single-precision numbers, rounded twice, is the one rounded once.
    isSinglePrecision ? Double(Float(sum + score)) : sum + score
  }

  /// The last place before `position` through which all paths go that may still become the best one.
  private func meetingPlace(_ paths: Paths, _ position: Int) -> Int {
    var isOnPath = [Bool](repeating: false, count: paths.sums.count)
    var count = 0
    for index in max(0, position - paths.origin)..<paths.sums.count where paths.starts[index] >= 0 {
      isOnPath[index] = true
      count += 1
    }
    for index in isOnPath.indices.reversed() where isOnPath[index] {
      if count == 1 { return paths.origin + index }
      count -= 1
      guard index > 0 else { break }
      let start = paths.starts[index] - paths.origin
      if !isOnPath[start] {
        isOnPath[start] = true
        count += 1
      }
    }
    return paths.origin
  }

  // MARK: - Tokens

  /// What is known of unknown text whose end has not been seen yet.
  private struct Writer {
    var unknown: Range<Int>?
  }

  /// Appends the tokens of the best path to `end`.
  private func write(
    _ paths: Paths, upTo end: Int, _ text: [UInt8], _ writer: inout Writer,
    _ droppedByteCount: inout Int, _ ids: inout [Int]
  ) {
    var ends: [Int] = []
    var place = end
    while place > paths.origin {
      ends.append(place)
      place = paths.starts[place - paths.origin]
    }
    for end in ends.reversed() {
      let id = paths.ids[end - paths.origin]
      if id == unknown {
        let start = paths.starts[end - paths.origin]
        writer.unknown = (writer.unknown?.lowerBound ?? start)..<end
      } else {
        finishUnknown(&writer, text, &droppedByteCount, &ids)
        ids.append(Int(id))
      }
    }
  }

  /// Appends the tokens of a run of unknown text: its bytes, or one token for the whole run.
  private func finishUnknown(
    _ writer: inout Writer, _ text: [UInt8], _ droppedByteCount: inout Int, _ ids: inout [Int]
  ) {
    guard let run = writer.unknown else { return }
    writer.unknown = nil
    if let id = vocabulary.id(of: text, in: run) {
      ids.append(Int(id))
    } else if !byteFallback.isEmpty, text[run].allSatisfy({ byteFallback[Int($0)] >= 0 }) {
      for byte in text[run] { ids.append(Int(byteFallback[Int(byte)])) }
    } else if unknown >= 0 {
      ids.append(Int(unknown))
    } else {
      droppedByteCount += run.count
    }
  }
}
