import DuetRuntime
import TestSupport
import Testing

@Suite("Session")
struct SessionTests {
  private func model() throws -> Model { try Model(TinyCheckpoint(ModelTests.tiny()).inMemory()) }

  @Test("positions are counted")
  func countsPositions() throws {
    var session = try Session(model(), options: SessionOptions(contextLength: 10))
    #expect(session.position == 0)
    try session.append([1, 2, 3])
    try session.append([])
    #expect(session.position == 3)
    try session.append([4])
    #expect(session.position == 4)
    session.truncate(to: 1)
    #expect(session.position == 1)
    #expect(session.contextLength == 10)
  }

  @Test("more tokens than the context holds are refused")
  func refusesMoreThanTheContextHolds() throws {
    var session = try Session(model(), options: SessionOptions(contextLength: 4))
    try session.append([1, 2, 3])
    #expect(throws: GenerationError.contextFull(needed: 5, capacity: 4)) {
      try session.append([1, 2])
    }
    #expect(session.position == 3)
    try session.append([1])
  }

  @Test("ids outside the vocabulary are refused", arguments: [-1, 50, Int.max])
  func refusesIdsOutsideTheVocabulary(id: Int) throws {
    var session = try Session(model())
    #expect(throws: GenerationError.tokenOutOfRange(id: id, vocabularySize: 50)) {
      try session.append([1, id])
    }
    #expect(session.position == 0)
  }

  @Test("impossible lengths of a context are refused", arguments: [0, -5, Int.max, 1 << 40])
  func refusesImpossibleContexts(length: Int) throws {
    let model = try model()
    let error = #expect(throws: GenerationError.self) {
      _ = try Session(model, options: SessionOptions(contextLength: length))
    }
    #expect(error == .invalidContextLength(length))
  }

  @Test("a cancelled session keeps whole batches")
  func cancellationKeepsWholeBatches() throws {
    var session = try Session(
      model(), options: SessionOptions(contextLength: 100, threadCount: 1, batchSize: 8))
    var layers = 0
    // Two layers per batch: the fourth question is asked in the middle of the second batch.
    #expect(throws: GenerationError.cancelled) {
      try session.append(Array(0..<20)) {
        layers += 1
        return layers == 4
      }
    }
    #expect(session.position == 8)
    // What stands can be continued as if nothing had been begun.
    try session.append(Array(8..<20))
    var straight = try Session(
      model(), options: SessionOptions(contextLength: 100, threadCount: 1, batchSize: 8))
    try straight.append(Array(0..<8))
    try straight.append(Array(8..<20))
    for id in straight.logits.indices { #expect(session.logits[id] == straight.logits[id]) }
  }

  @Test("an evaluation gives every token's logits and leaves the last")
  func evaluationLeavesTheLastLogits() throws {
    var session = try Session(model(), options: SessionOptions(threadCount: 1))
    var seen: [Int] = []
    var last: [Float] = []
    try session.evaluate([5, 6, 7]) { index, logits in
      seen.append(index)
      last = logits.indices.map { logits[$0] }
    }
    #expect(seen == [0, 1, 2])
    var other = try Session(model(), options: SessionOptions(threadCount: 1))
    try other.append([5, 6, 7])
    for id in last.indices { #expect(abs(last[id] - other.logits[id]) < 1e-4) }
  }

  @Test("several sessions share a model")
  func twoSessionsShareAModel() async throws {
    let model = try model()
    let results = try await withThrowingTaskGroup(of: [Float].self) { group in
      for _ in 0..<4 {
        group.addTask {
          var session = try Session(model, options: SessionOptions(threadCount: 2))
          for token in 0..<30 { try session.append([token]) }
          return session.logits.indices.map { session.logits[$0] }
        }
      }
      var results: [[Float]] = []
      for try await result in group { results.append(result) }
      return results
    }
    for result in results { #expect(result == results[0]) }
  }
}
