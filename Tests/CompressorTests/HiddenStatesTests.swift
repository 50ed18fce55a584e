import DuetCompressor
import DuetRuntime
import DuetSystem
import Foundation
import TestSupport
import Testing

@Suite("HiddenStates")
struct HiddenStatesTests {
  private static let (samples, length, size) = (3, 5, 7)

  /// States where every number says where it is.
  private func states(memoryLimit: Int, _ folder: TemporaryFolder) throws -> HiddenStates {
    var states = try HiddenStates(
      sampleCount: Self.samples, contextLength: Self.length, hiddenSize: Self.size,
      memoryLimit: memoryLimit, folder: folder.path)
    var hidden = Buffer<Float>(count: states.sampleSize)
    // Written out of order, and one sample twice.
    for sample in [2, 0, 0, 1] {
      for index in 0..<hidden.count { hidden[index] = Float(1000 * sample + index) }
      try states.write(sample, from: hidden)
    }
    return states
  }

  private func check(_ states: borrowing HiddenStates) throws {
    var hidden = Buffer<Float>(count: states.sampleSize)
    for sample in [1, 2, 0] {
      try states.read(sample, into: &hidden)
      for index in 0..<hidden.count { #expect(hidden[index] == Float(1000 * sample + index)) }
    }
  }

  private func restored(
    _ path: String, memoryLimit: Int = 1 << 20, sampleCount: Int = samples, folder: TemporaryFolder,
    run: String = ""
  ) throws(HiddenStatesError) -> HiddenStates {
    try HiddenStates.restored(
      from: path, sampleCount: sampleCount, contextLength: Self.length, hiddenSize: Self.size,
      memoryLimit: memoryLimit, folder: folder.path, run: run)
  }

  @Test("what is written is read, in memory and in a file", arguments: [419, 420])
  func roundTrip(memoryLimit: Int) throws {
    let folder = try TemporaryFolder()
    let states = try states(memoryLimit: memoryLimit, folder)
    // 3 * 5 * 7 numbers of 4 bytes are 420.
    #expect(states.isInMemory == (memoryLimit >= 420))
    try check(states)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
  }

  @Test("new states are zero", arguments: [0, 1 << 20])
  func zeros(memoryLimit: Int) throws {
    let folder = try TemporaryFolder()
    let states = try HiddenStates(
      sampleCount: 2, contextLength: 3, hiddenSize: 2, memoryLimit: memoryLimit,
      folder: folder.path)
    var hidden = Buffer<Float>(count: 6)
    hidden[0] = 1
    try states.read(1, into: &hidden)
    for index in 0..<6 { #expect(hidden[index] == 0) }
  }

  @Test("saved states are restored", arguments: [0, 1 << 20], [0, 1 << 20])
  func saving(savedLimit: Int, restoredLimit: Int) throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/states"
    let states = try states(memoryLimit: savedLimit, folder)
    try states.save(to: path)
    // 64 bytes of header, the states, 32 bytes of digest.
    #expect(try folder.read("states").count == 64 + 420 + 32)
    try check(restored(path, memoryLimit: restoredLimit, folder: folder))
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["states"])
  }

  @Test("a torn file is refused at any length", arguments: [0, 1, 63, 64, 96, 97, 300, 484, 515])
  func torn(length: Int) throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/states"
    try states(memoryLimit: 0, folder).save(to: path)
    try folder.write("states", Array(try folder.read("states").prefix(length)))
    #expect(throws: HiddenStatesError.damaged(path: path)) {
      _ = try restored(path, folder: folder)
    }
  }

  @Test("a changed byte is noticed", arguments: [0, 15, 64, 200, 483, 484, 515])
  func changed(place: Int) throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/states"
    try states(memoryLimit: 0, folder).save(to: path)
    var bytes = try folder.read("states")
    bytes[place] ^= 1
    try folder.write("states", bytes)
    #expect(throws: HiddenStatesError.damaged(path: path)) {
      _ = try restored(path, folder: folder)
    }
    // And so is a byte too many.
    bytes[place] ^= 1
    try folder.write("states", bytes + [0])
    #expect(throws: HiddenStatesError.damaged(path: path)) {
      _ = try restored(path, folder: folder)
    }
  }

  @Test("states of another size are refused")
  func shape() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/states"
    try states(memoryLimit: 0, folder).save(to: path)
    #expect(
      throws: HiddenStatesError.shapeMismatch(path: path, expected: [4, 5, 7], actual: [3, 5, 7])
    ) {
      _ = try restored(path, sampleCount: 4, folder: folder)
    }
  }

  @Test("states of another run are refused")
  func runs() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/states"
    // Names of runs are digests, of which 24 bytes are kept.
    let runs = [String(repeating: "a", count: 64), String(repeating: "a", count: 23) + "b", ""]
    try states(memoryLimit: 0, folder).save(to: path, run: runs[0])
    try check(restored(path, folder: folder, run: runs[0]))
    #expect(try HiddenStates.wereSaved(at: path, by: runs[0]))
    for other in runs.dropFirst() {
      #expect(try !HiddenStates.wereSaved(at: path, by: other))
      #expect(throws: HiddenStatesError.damaged(path: path)) {
        _ = try restored(path, folder: folder, run: other)
      }
    }
    // Nor are there states of the run in a file that is damaged at its start, or ends there.
    var bytes = try folder.read("states")
    bytes[0] ^= 1
    for damaged in [bytes, Array(bytes.prefix(64)), []] {
      try folder.write("states", damaged)
      #expect(try !HiddenStates.wereSaved(at: path, by: runs[0]))
    }
  }

  @Test("a missing folder or file is a file error")
  func missing() throws {
    let folder = try TemporaryFolder()
    let nowhere = folder.path + "/nowhere"
    #expect(throws: FileError.self) {
      _ = try HiddenStates(
        sampleCount: 1, contextLength: 1, hiddenSize: 1, memoryLimit: 0, folder: nowhere)
    }
    #expect(throws: HiddenStatesError.file(.notFound(path: nowhere))) {
      _ = try restored(nowhere, folder: folder)
    }
    let states = try states(memoryLimit: 0, folder)
    #expect(throws: FileError.self) { try states.save(to: nowhere + "/states") }
  }
}
