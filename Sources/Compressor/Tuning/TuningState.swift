internal import DuetRuntime
internal import DuetSystem
internal import DuetText

/// What a tuning run needs to go on: the numbers, the moments of Adam, the best numbers so far and the figures.
///
/// It is one file, which is replaced after every step.
struct TuningState: ~Copyable {
  /// The steps that are done.
  var step = 0
  /// The tuned numbers.
  var numbers: Buffer<Float>
  /// The moments of Adam.
  var first: Buffer<Float>
  var second: Buffer<Float>
  /// The numbers with the least divergence on the held-out samples.
  var best: Buffer<Float>
  /// The judgements so far, the first before any step.
  var checks: [TuningCheck] = []
  /// The divergence of each step's samples, in nats per token.
  var losses: [Double] = []

  private static let fileName = "tuning.safetensors"

  /// A run that has not begun.
  init(count: Int) {
    numbers = Buffer(count: count)
    first = Buffer(count: count)
    second = Buffer(count: count)
    best = Buffer(count: count)
  }

  /// Records a judgement of the present numbers.
  mutating func record(_ divergence: Double) {
    let isBetter = checks.allSatisfy { divergence < $0.divergence }
    checks.append(TuningCheck(step: step, divergence: divergence))
    if isBetter { for index in 0..<best.count { best[index] = numbers[index] } }
  }

  /// The judgements since the best.
  var checksSinceBest: Int {
    let least = checks.map(\.divergence).min()
    let index = checks.firstIndex { $0.divergence == least } ?? 0
    return checks.count - 1 - index
  }

  // MARK: - The file

  private static func path(in folder: OutputFolder) -> String { "\(folder.statePath)/\(fileName)" }

  /// Writes the state; when this returns it is on the disk.
  ///
  /// - Throws: `SafeTensorsError`.
  func save(in folder: OutputFolder, run: String) throws {
    let tensors = [
      try tensor("numbers", numbers), try tensor("first", first), try tensor("second", second),
      try tensor("best", best),
    ]
    let figures: JSONOutput = [
      "step": .integer(step), "checks": .array(checks.map(\.json)),
      "losses": .array(losses.map { .number($0) }),
    ]
    var hash = SHA256()
    hash.update(Array(figures.text.utf8).span)
    for tensor in tensors { hash.update(tensor.bytes) }
    _ = try SafeTensorsWriter.write(
      tensors,
      metadata: [
        ("run", run), ("figures", figures.text), ("sha256", SHA256.hexadecimal(hash.finalized())),
      ],
      to: Self.path(in: folder), operations: folder.operations)
  }

  private func tensor(
    _ name: String, _ numbers: borrowing Buffer<Float>
  ) throws(FileError) -> StoredTensor {
    let source = unsafe numbers.pointer
    let count = numbers.count
    let file = try MappedFile(anonymousByteCount: 4 * count) { memory in
      for index in 0..<count {
        memory.storeBytes(of: unsafe source[index], toByteOffset: 4 * index, as: Float.self)
      }
    }
    return StoredTensor(
      name: name, elementType: .f32, shape: [count], file: file, byteOffset: 0)
  }

  /// Continues from the file of an earlier run; false when there is none, or it is damaged or of another run.
  ///
  /// - Throws: `FileError` when the file is there but cannot be read.
  mutating func restore(from folder: OutputFolder, run: String) throws(FileError) -> Bool {
    let path = Self.path(in: folder)
    guard fileExists(path) else { return false }
    let file: SafeTensorsFile
    do throws(SafeTensorsError) {
      file = try SafeTensorsFile(contentsOf: path)
    } catch {
      if case .file(let error) = error { throw error }
      return false
    }
    let metadata = Dictionary(file.metadata.map { ($0.key, $0.value) }) { first, _ in first }
    guard metadata["run"] == run, let text = metadata["figures"],
      let document = try? JSONDocument(
        parsing: Array(text.utf8), path: path, limits: JSONLimits(byteCount: 64_000_000)),
      let step = document.root["step"]?.int,
      let checks = document.root["checks"]?.elements?.map({ TuningCheck($0) }),
      let losses = document.root["losses"]?.elements?.map({ $0.double }),
      checks.allSatisfy({ $0 != nil }), losses.allSatisfy({ $0 != nil })
    else { return false }
    let count = numbers.count
    var found: [StoredTensor] = []
    for name in ["numbers", "first", "second", "best"] {
      guard let info = file.tensors.first(where: { $0.name == name }), info.shape == [count],
        info.elementType == .f32, info.byteRange.lowerBound % 4 == 0
      else { return false }
      found.append(
        StoredTensor(
          name: name, elementType: .f32, shape: [count], file: file.file,
          byteOffset: info.byteRange.lowerBound))
    }
    var hash = SHA256()
    hash.update(Array(text.utf8).span)
    for tensor in found { hash.update(tensor.bytes) }
    guard metadata["sha256"] == SHA256.hexadecimal(hash.finalized()) else { return false }
    for index in 0..<count {
      numbers[index] = found[0].float(at: index)
      first[index] = found[1].float(at: index)
      second[index] = found[2].float(at: index)
      best[index] = found[3].float(at: index)
    }
    self.step = step
    self.checks = checks.compactMap(\.self)
    self.losses = losses.compactMap(\.self)
    return true
  }
}

extension StoredTensor {
  /// The number at `index` of a tensor of F32.
  fileprivate func float(at index: Int) -> Float {
    unsafe bytes.unsafeLoadUnaligned(fromByteOffset: 4 * index, as: Float.self)
  }
}
