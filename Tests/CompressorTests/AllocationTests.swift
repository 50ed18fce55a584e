import AllocationCounter
import DuetCompressor
import DuetRuntime
import DuetSystem
import Foundation
import TestSupport
import Testing

/// A token takes nothing from the heap once a session is warm.
///
/// The allocator of the whole process counts, so every case runs in a process of its own.
@Suite("Allocations")
struct AllocationTests {
  private static let isAvailable = allocation_counter_is_available() != 0

  /// The blocks that generating some tokens takes, the likeliest each time, after a few to warm up.
  private static func count(_ model: Model, threadCount: Int) throws -> Int64 {
    var session = try Session(
      model, options: SessionOptions(contextLength: 64, threadCount: threadCount))
    var sampler = Sampler(
      SamplingOptions(temperature: 0), vocabularySize: model.configuration.vocabularySize)
    try session.append([1, 2, 3])
    func generate(_ count: Int) throws {
      for _ in 0..<count { try session.append(try sampler.next(session.logits)) }
    }
    try generate(8)
    allocation_counter_start()
    try generate(32)
    return allocation_counter_stop()
  }

  /// A compressed model with packed factors, outlier columns and rotations of both sides; its sizes are no
  /// powers of two.
  private static func compressed(_ format: WeightFormat) throws -> Model {
    var fixture = try CompressionFixture()
    fixture.plan.method = .caldera
    fixture.plan.initialization = .zero
    fixture.plan.format = format
    fixture.plan.outlierStorage = .int8
    fixture.plan.outlierChannelCount = 3
    let folder = try TemporaryFolder()
    try fixture.run(to: "\(folder.path)/model")
    return try Model(contentsOf: "\(folder.path)/model")
  }

  /// Ends the process with the number of blocks as its exit code, as far as it goes.
  private static func finish(_ count: Int64) -> Never { exit(Int32(min(count, 250))) }

  @Test("the counter counts", .enabled(if: isAvailable))
  func counter() async {
    await #expect(processExitsWith: .exitCode(2)) {
      // The first use of a generic type of another module allocates its metadata.
      _ = [Buffer<Float>(count: 1).count, Buffer<UInt8>(count: 1).count]
      allocation_counter_start()
      let blocks = [Buffer<Float>(count: 10_000).count, Buffer<UInt8>(count: 1).count]
      let count = allocation_counter_stop()
      // The array itself is a third block, unless the compiler puts it on the stack.
      precondition(blocks.count == 2)
      Self.finish(count == 3 ? 2 : count)
    }
  }

  @Test("a token of a dense model takes none", .enabled(if: isAvailable))
  func dense() async {
    await #expect(processExitsWith: .success) {
      let model = try Model(CompressionFixture().checkpoint)
      Self.finish(try Self.count(model, threadCount: 1) + Self.count(model, threadCount: 2))
    }
  }

  @Test("a token of a compressed model takes none", .enabled(if: isAvailable))
  func integers() async {
    await #expect(processExitsWith: .success) {
      let model = try Self.compressed(.int3)
      Self.finish(try Self.count(model, threadCount: 1) + Self.count(model, threadCount: 2))
    }
  }

  @Test("a token of a compressed model of lattice points takes none", .enabled(if: isAvailable))
  func lattice() async {
    await #expect(processExitsWith: .success) {
      let model = try Self.compressed(.e8p)
      Self.finish(try Self.count(model, threadCount: 1) + Self.count(model, threadCount: 2))
    }
  }
}
