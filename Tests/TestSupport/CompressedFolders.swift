import DuetRuntime
import Foundation

/// The folders of all `TinyCompressedModel`s, in which one file at a time is replaced while it is
/// read.
struct CompressedFolders {
  /// A file and its original contents.
  private struct File {
    let folder: String
    let name: String
    let original: [UInt8]

    func write(_ bytes: [UInt8]) throws {
      try Data(bytes).write(to: URL(fileURLWithPath: "\(folder)/\(name)"))
    }
  }

  private let files: [File]

  /// Writes the models into folders in `parent`.
  init(_ parent: String) throws {
    var files: [File] = []
    for (index, model) in TinyCompressedModel.all.enumerated() {
      let folder = "\(parent)/\(index)"
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      try model.write(to: folder)
      for name in model.fileNames {
        let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(name)")))
        files.append(File(folder: folder, name: name, original: bytes))
      }
    }
    self.files = files
  }

  /// The original files, each after a byte that is the index of the file.
  static func examples() throws -> [[UInt8]] {
    let folder = try TemporaryFolder()
    return try Self(folder.path).files.enumerated().map { [UInt8($0)] + $1.original }
  }

  /// Loads a model with one file replaced, runs it for four tokens and compares its checksums.
  ///
  /// The first byte of `input` is the index of the file; the other bytes replace its contents.
  ///
  /// - Throws: The error with which the model is refused.
  func read(_ input: [UInt8]) throws {
    let file = files[Int(input.first ?? 0) % files.count]
    try file.write(Array(input.dropFirst()))
    defer { try? file.write(file.original) }
    let model = try Model(contentsOf: file.folder)
    _ = (model.unusedTensorNames, model.byteCountPerToken, model.multipliedWeightCount)
    // One thread, so that its clock measures all of the work.
    var session = try Session(model, options: SessionOptions(contextLength: 8, threadCount: 1))
    try session.append([0, 1, 2])
    try session.append(3)
    let logits = session.logits
    precondition(logits.indices.allSatisfy { logits[$0].isFinite }, "logits that are no numbers")
    // Changed weights never match the checksums of the report.
    if !file.name.hasSuffix(".safetensors") { _ = try model.checkpoint.verifyChecksums() }
  }
}
