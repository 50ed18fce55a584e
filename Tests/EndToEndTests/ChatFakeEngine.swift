import DuetRuntime
import DuetText
import chat

/// An engine without a model: there is nothing to save, and nothing to choose.
protocol SimpleEngine: TextEngine {}

extension SimpleEngine {
  mutating func use(_ sampling: SamplingOptions) {}

  func save(to path: String, tokens: [Int], note: [UInt8]) throws(SessionFileError) {
    throw .otherKind(path: path)
  }

  mutating func restore(_ file: SessionFile) throws(SessionFileError) {
    throw .otherKind(path: file.path)
  }
}

/// An engine without a model: the next token is a mixture of all tokens before it, so that it shows
/// at once when a token is missing, doubled or out of place.
struct FakeEngine: SimpleEngine {
  let contextLength: Int
  private(set) var tokens: [Int] = []
  private(set) var highest = 0
  /// Token ids below this are words; the one above ends a text.
  let wordCount: Int
  /// How often a text ends: each `endRate`th mixture.
  let endRate: UInt64

  init(contextLength: Int, wordCount: Int = 1000, endRate: UInt64 = 12) {
    self.contextLength = contextLength
    self.wordCount = wordCount
    self.endRate = endRate
  }

  var position: Int { tokens.count }

  /// The token that ends a text.
  var end: Int { wordCount }

  mutating func append(_ new: [Int], isCancelled: () -> Bool) throws(GenerationError) {
    guard position + new.count <= contextLength else {
      throw .contextFull(needed: position + new.count, capacity: contextLength)
    }
    // Batches of four, so that cancelling leaves some of the tokens.
    for start in stride(from: 0, to: new.count, by: 4) {
      if isCancelled() { throw .cancelled }
      tokens += new[start..<min(start + 4, new.count)]
      highest = max(highest, position)
    }
  }

  mutating func truncate(to position: Int) { tokens.removeLast(self.position - position) }

  mutating func nextToken(history: [Int]) throws(GenerationError) -> Int {
    var mixture: UInt64 = 0xCBF2_9CE4_8422_2325
    for token in tokens { mixture = (mixture ^ UInt64(token)) &* 0x100_0000_01B3 }
    mixture ^= mixture >> 33
    return mixture % endRate == 0 ? end : Int(mixture >> 8) % wordCount
  }
}

/// Tokens of a conversation for the fake engine: a mark for the role, the words' lengths, a mark.
func fakeTokens(_ messages: [ChatMessage]) -> [Int] {
  [5000]
    + messages.flatMap { message in
      let mark = message.role == .system ? 5001 : message.role == .user ? 5002 : 5003
      return [mark] + message.content.unicodeScalars.map { Int($0.value) } + [5004]
    } + [5003]
}

/// A responder on the fake engine.
func fakeResponder(
  contextLength: Int, maximumCount: Int = 50, policy: FullContextPolicy = .stop,
  endRate: UInt64 = 12
) -> Responder<FakeEngine> {
  let engine = FakeEngine(contextLength: contextLength, endRate: endRate)
  let end = engine.end
  return Responder(
    engine, maximumCount: maximumCount, policy: policy, isStop: { $0 == end },
    encode: fakeTokens, now: { 0 })
}
