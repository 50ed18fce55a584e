import DuetCompressor
import DuetRuntime
import DuetSystem
import DuetText
import Foundation
import TestSupport
import Testing

@Suite("Journal")
struct JournalTests {
  /// The names that the fields of a type have in JSON.
  private func snakeCase(_ value: Any) -> Set<String> {
    Set(
      Mirror(reflecting: value).children.compactMap(\.label).map { label in
        label.reduce(into: "") { $0 += $1.isUppercase ? "_\($1.lowercased())" : "\($1)" }
      })
  }

  @Test("every field of a plan and of a record is written")
  func completeness() {
    // The ranks of single matrices follow from the bits that they are chosen for.
    let derived = Set(["module_ranks"])
    #expect(
      Set(FlatPlan().made.members().map(\.name))
        == snakeCase(FlatPlan()).subtracting(derived))
    #expect(Set(MatrixRecord().members.map(\.name)) == snakeCase(MatrixRecord()))
  }

  @Test("a recorded matrix comes back bit for bit, also in the next run")
  func roundTrip() throws {
    let fixture = try CompressedModelFixture()
    let folder = try TemporaryFolder()
    let linear = fixture.linears[1]
    for run in 0..<2 {
      let output = try OutputFolder(folder.path, source: fixture.source.path)
      var journal = try Journal(output, fingerprint: try fixture.fingerprint())
      #expect(journal.isResumed == (run == 1))
      if run == 0 {
        #expect(try journal.completed(linear.record.name) == nil)
        try journal.record(linear, seconds: 2.5)
      }
      let back = try #require(try journal.completed(linear.record.name))
      #expect(back.record == linear.record)
      #expect(back.tensors.map(\.name).sorted() == linear.tensors.map(\.name).sorted())
      for tensor in linear.tensors {
        let other = try #require(back.tensors.first { $0.name == tensor.name })
        #expect(other.shape == tensor.shape && other.elementType == tensor.elementType)
        #expect(other.byteArray == tensor.byteArray)
      }
      #expect(journal.seconds[linear.record.name] == 2.5 && journal.refusedParts.isEmpty)
      #expect(try journal.completed("another") == nil)
    }
  }

  @Test("torn and damaged parts are redone")
  func damage() throws {
    let fixture = try CompressedModelFixture()
    let folder = try TemporaryFolder()
    let linear = fixture.linears[1]
    let name = linear.record.name
    let output = try OutputFolder(folder.path, source: fixture.source.path)
    var journal = try Journal(output, fingerprint: try fixture.fingerprint())
    try journal.record(linear)
    let url = URL(fileURLWithPath: journal.partPath(name))
    let whole = [UInt8](try Data(contentsOf: url))
    var generator = RandomGenerator(seed: 5)
    for trial in 0..<300 {
      var bytes = whole
      if trial < 100 {
        bytes.removeLast(Int.random(in: 1...bytes.count, using: &generator))
      } else {
        // One bit anywhere, but for the spaces before the data and the seconds, which may differ.
        let place = Int.random(in: 0..<bytes.count, using: &generator)
        bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
      }
      try Data(bytes).write(to: url)
      guard let back = try journal.completed(name) else {
        #expect(!FileManager.default.fileExists(atPath: url.path))
        continue
      }
      #expect(back.record == linear.record, "trial \(trial)")
      for tensor in linear.tensors {
        let other = try #require(back.tensors.first { $0.name == tensor.name })
        #expect(other.byteArray == tensor.byteArray, "trial \(trial)")
      }
    }
    #expect(journal.refusedParts.count > 250)
    // The part of another matrix under this name is none.
    try journal.record(fixture.linears[0])
    try? FileManager.default.removeItem(at: url)
    try FileManager.default.copyItem(
      atPath: journal.partPath(fixture.linears[0].record.name), toPath: url.path)
    #expect(try journal.completed(name) == nil)
  }

  @Test("the ways to resume")
  func modes() throws {
    let fixture = try CompressedModelFixture()
    let folder = try TemporaryFolder()
    let fingerprint = try fixture.fingerprint()
    let linear = fixture.linears[0]
    func journal(_ mode: ResumeMode, force: Bool = false) throws -> Journal {
      try Journal(
        try OutputFolder(folder.path, source: fixture.source.path, force: force),
        fingerprint: fingerprint, resume: mode)
    }
    let nothing = JournalError.nothingToResume(path: folder.path)
    #expect(throws: nothing) { try journal(.required) }
    #expect(nothing.category == .resumable)
    do {
      var first = try journal(.never)
      try first.record(linear)
    }
    #expect(throws: JournalError.runExists(path: folder.path)) { try journal(.never) }
    for mode in [ResumeMode.auto, .required] {
      var resumed = try journal(mode)
      #expect(try resumed.completed(linear.record.name) != nil)
    }
    var anew = try journal(.never, force: true)
    #expect(try !anew.isResumed && anew.completed(linear.record.name) == nil)
  }

  @Test("a damaged fingerprint is no run to resume")
  func damagedFingerprint() throws {
    let fixture = try CompressedModelFixture()
    let folder = try TemporaryFolder()
    _ = try Journal(
      try OutputFolder(folder.path, source: fixture.source.path),
      fingerprint: try fixture.fingerprint())
    for text in ["", "{\"a\":1}", "[]", "{\"a\":\"b\""] {
      try folder.write(".compress/fingerprint.json", text)
      let error = #expect(throws: JournalError.self) {
        try Journal(
          try OutputFolder(folder.path, source: fixture.source.path),
          fingerprint: try fixture.fingerprint())
      }
      #expect(error?.category == .resumable)
    }
  }

  @Test("saved hidden states of older layers go")
  func hiddenStates() throws {
    let fixture = try CompressedModelFixture()
    let folder = try TemporaryFolder()
    let journal = try Journal(
      try OutputFolder(folder.path, source: fixture.source.path),
      fingerprint: try fixture.fingerprint())
    #expect(try journal.lastHiddenStates() == nil)
    let states = try HiddenStates(
      sampleCount: 1, contextLength: 2, hiddenSize: 3, memoryLimit: .max, folder: folder.path)
    // Those of another run, without a run, and no states at all do not count.
    for layer in [2, 9, 10] {
      try states.save(to: journal.hiddenStatesPath(layer: layer), run: journal.run)
    }
    try states.save(to: journal.hiddenStatesPath(layer: 11), run: "x" + journal.run)
    try states.save(to: journal.hiddenStatesPath(layer: 12))
    try Data([1]).write(to: URL(fileURLWithPath: journal.hiddenStatesPath(layer: 13)))
    #expect(try journal.lastHiddenStates() == 10)
    try journal.removeHiddenStates(before: 10)
    let exists = [2, 9, 10].map {
      FileManager.default.fileExists(atPath: journal.hiddenStatesPath(layer: $0))
    }
    #expect(exists == [false, false, true])
  }
}

@Suite("Fingerprint")
struct FingerprintTests {
  static let changes: [@Sendable (inout FlatPlan) -> Void] = [
    { $0.method = .gptq }, { $0.format = .int3 }, { $0.groupSize = .row },
    { $0.grid = .asymmetric }, { $0.scaleFit = .range }, { $0.ordersByActivation.toggle() },
    { $0.headFormat = .f16 }, { $0.embeddingFormat = .int4 }, { $0.rank += 1 },
    { $0.targetBits = 2.5 },
    { $0.factorFormat = .f16 }, { $0.factorBlockSize = .columns64 },
    { $0.factorRounding = .nearest }, { $0.outlierChannelCount = 0 },
    { $0.outlierStorage = .int8 }, { $0.initialization = .zero },
    { $0.updateOrder = .lowRankFirst }, { $0.outerIterations += 1 }, { $0.innerIterations += 1 },
    { $0.refinementRounds += 1 }, { $0.projectsMetric.toggle() }, { $0.damping = 0.02 },
    { $0.incoherence = .none }, { $0.propagation = .original },
    { $0.activationType = .int8 }, { $0.metric = .guided }, { $0.sampleCount += 1 },
    { $0.contextLength += 1 }, { $0.seed = .max }, { $0.keptNames = ["lm_head"] },
  ]

  @Test("a change of any choice is named", arguments: changes.indices)
  func choices(index: Int) throws {
    let fixture = try CompressedModelFixture()
    let name = fixture.plan.made.members()[index].name
    var before = fixture.plan
    // Two options are each read by one method alone.
    if name == MethodOptions.ordersByActivation.key { before.method = .gptq }
    if name == MethodOptions.factorBlockSize.key { before.method = .lordq }
    var plan = before
    Self.changes[index](&plan)
    let differences = try fixture.fingerprint(plan).differences(from: fixture.fingerprint(before))
    let members = plan.made.members()
    // What another method does not read has its standard value, so more than the method differs.
    if name == "method" {
      #expect(differences.first?.name == "plan.method")
    } else {
      #expect(differences.map(\.name) == ["plan.\(name)"])
    }
    #expect(differences.first?.current == members[index].value.text)
    #expect(Self.changes.count == members.count)
  }

  @Test("other weights, settings, calibration, versions and files are named")
  func sources() throws {
    let fixture = try CompressedModelFixture()
    let folder = try TemporaryFolder()
    let original = try fixture.fingerprint()
    func names(_ change: (TemporaryFolder) throws -> Void) throws -> [String] {
      for (name, bytes) in try files(in: fixture.source.path) { try folder.write(name, bytes) }
      try change(folder)
      let checkpoint = try Checkpoint(contentsOf: folder.path)
      let changed = try Fingerprint(
        plan: fixture.plan.made, checkpoint: checkpoint, calibrationDigest: "none")
      // The copy is younger.
      return changed.differences(from: original).map(\.name).filter { !$0.hasPrefix("modified.") }
    }
    #expect(try names { _ in } == [])
    #expect(
      try names { folder in
        var bytes = try folder.read("model.safetensors")
        // The last byte of the last tensor, model.norm.weight by name.
        bytes[bytes.count - 1] ^= 1
        try folder.write("model.safetensors", bytes)
      }.count == 1)
    #expect(
      try names { folder in
        let text = String(decoding: try folder.read("config.json"), as: UTF8.self)
        try folder.write("config.json", text.replacingOccurrences(of: "1.0e-05", with: "1.0e-06"))
      } == ["config"])
    let younger = try Fingerprint(
      plan: fixture.plan.made, checkpoint: fixture.checkpoint, calibrationDigest: "other",
      toolVersion: "9")
    #expect(
      younger.differences(from: original).map(\.name) == ["tool_version", "calibration"])
    #expect(younger.sourceDigest == original.sourceDigest)
    try FileManager.default.setAttributes(
      [.modificationDate: Date(timeIntervalSince1970: 1)],
      ofItemAtPath: "\(fixture.source.path)/model.safetensors")
    let touched = try fixture.fingerprint()
    #expect(
      touched.differences(from: original).map(\.name) == ["modified.model.safetensors"])
    #expect(touched.sourceDigest == original.sourceDigest)
  }

  @Test("a run with another plan is refused with what differs")
  func mismatch() throws {
    let fixture = try CompressedModelFixture()
    let folder = try TemporaryFolder()
    _ = try Journal(
      try OutputFolder(folder.path, source: fixture.source.path),
      fingerprint: try fixture.fingerprint())
    var plan = fixture.plan
    plan.rank = 6
    let error = #expect(throws: JournalError.self) {
      try Journal(
        try OutputFolder(folder.path, source: fixture.source.path),
        fingerprint: try fixture.fingerprint(plan))
    }
    #expect(error?.category == .resumable)
    #expect(error?.description.contains("plan.rank (then 5, now 6)") == true)
  }
}
