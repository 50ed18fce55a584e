import DuetRuntime
import Foundation

/// The folders of all `TinyCompressedModel`s, one file of which is another one for as long as it is read.
struct CompressedFolders {
  /// A file, and what belongs there.
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

  /// The files as they are, each behind the byte that says which it is.
  static func examples() throws -> [[UInt8]] {
    let folder = try TemporaryFolder()
    return try Self(folder.path).files.enumerated().map { [UInt8($0)] + $1.original }
  }

  /// Loads the model one file of which is in `input`, runs it for four tokens and compares its checksums.
  ///
  /// - Throws: What refuses the model.
  func read(_ input: [UInt8]) throws {
    let file = files[Int(input.first ?? 0) % files.count]
    try file.write(Array(input.dropFirst()))
    defer { try? file.write(file.original) }
    let model = try Model(contentsOf: file.folder)
    _ = (model.unusedTensorNames, model.byteCountPerToken, model.multipliedWeightCount)
    // One thread, so that its clock has all of the time.
    var session = try Session(model, options: SessionOptions(contextLength: 8, threadCount: 1))
    try session.append([0, 1, 2])
    try session.append(3)
    let logits = session.logits
    precondition(logits.indices.allSatisfy { logits[$0].isFinite }, "logits that are no numbers")
    // Weights that were changed are another file than the report says.
    if !file.name.hasSuffix(".safetensors") { _ = try model.checkpoint.verifyChecksums() }
  }
}
