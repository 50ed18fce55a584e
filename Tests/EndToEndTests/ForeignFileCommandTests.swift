import DuetSystem
import Foundation
import TestSupport
import Testing

/// Files of other kinds given to the executables, in place of a model's files and of texts.
@Suite("Files of other kinds on the command line")
struct ForeignFileCommandTests {
  private static let pointer = """
    version https://git-lfs.github.com/spec/v1
    oid sha256:\(String(repeating: "5", count: 64))
    size 1044992

    """

  @Test(
    "a Git LFS pointer in place of any file of a model is named",
    arguments: [
      "config.json", "model.safetensors", "model.safetensors.index.json", "tokenizer.json",
      "tokenizer_config.json", "generation_config.json", "tokenizer.model", "added_tokens.json",
      "special_tokens_map.json", "chat_template.jinja",
    ])
  func pointers(name: String) throws {
    let folder = try RefusableModel.folder()
    if name == "model.safetensors.index.json" {
      try FileManager.default.removeItem(atPath: "\(folder.path)/model.safetensors")
    }
    if name == "tokenizer.model" {
      try FileManager.default.removeItem(atPath: "\(folder.path)/tokenizer.json")
    }
    try folder.write(name, Self.pointer)
    let result = try RefusableModel.chat(folder.path)
    // Not every file is read: what is beside a tokenizer.json that has all is not needed.
    if result.exitCode == 0, name == "added_tokens.json" || name == "special_tokens_map.json" {
      return
    }
    expectRefusal(
      result, code: 3, "chat: \(folder.path)/\(name): this is a Git LFS pointer", "'git lfs pull'")
  }

  @Test("a Git LFS pointer in place of a shard is named")
  func shards() throws {
    let folder = try RefusableModel.folder()
    let manager = FileManager.default
    try manager.removeItem(atPath: "\(folder.path)/model.safetensors")
    try folder.write(
      "model.safetensors.index.json", #"{"weight_map":{"a":"model-00001-of-00001.safetensors"}}"#)
    try folder.write("model-00001-of-00001.safetensors", Self.pointer)
    expectRefusal(
      try RefusableModel.chat(folder.path), code: 3,
      "model-00001-of-00001.safetensors: this is a Git LFS")
  }

  @Test("an adapter alone is named")
  func adapter() throws {
    let folder = try TemporaryFolder()
    try folder.write("adapter_config.json", "{}")
    try folder.write("adapter_model.safetensors", [1])
    expectRefusal(
      try RefusableModel.chat(folder.path), code: 3,
      "adapter_model.safetensors: this is an adapter", "PEFT")
  }

  /// The first bytes of files that are given as texts, and what the message names.
  static let samples: [(bytes: [UInt8], words: String)] = [
    (Array("PAR1".utf8) + [0x15, 0, 0x15, 0x80], "Parquet"),
    (Array("ARROW1".utf8) + [0, 0, 0xFF], "Arrow"), ([0xFF, 0xFF, 0xFF, 0xFF, 0x10, 0], "Arrow"),
    ([0x1F, 0x8B, 8, 0], "gzip"), ([0x50, 0x4B, 3, 4], "ZIP"), (Array("%PDF-1.5\n".utf8), "PDF"),
    ([0xFD, 0x37, 0x7A, 0x58, 0x5A, 0], "xz"), ([0x28, 0xB5, 0x2F, 0xFD], "Zstandard"),
    ([0x80, 4, 0x95], "pickle"), (Array(pointer.utf8), "Git LFS pointer"),
    ([0xFF, 0xFE, 0x61, 0], "UTF-16"), (Array("GGUF".utf8) + [3, 0, 0, 0], "GGUF"),
  ]

  @Test("other files given as a text are named, also with --lossy", arguments: samples.indices)
  func texts(index: Int) throws {
    let (bytes, words) = Self.samples[index]
    let folder = try TemporaryFolder()
    let path = try folder.write("data.jsonl", bytes + Array("some text".utf8))
    let model = SharedData.project("models/stories")
    let runs: [(String, [String])] = [
      ("perplexity", ["-m", model, "-f", path]),
      ("perplexity", ["-m", model, "-f", path, "--lossy"]),
      ("compress", [model, "-o", "\(folder.path)/out", "--calibration", path]),
      ("evaluate", ["-m", model, "--tasks", path]), ("tokenize", ["-m", model, "-f", path]),
    ]
    for (executable, arguments) in runs {
      let result = try runExecutable(executable, arguments)
      expectRefusal(result, code: 3, "\(executable): \(path): this is ", words)
    }
    #expect(!FileManager.default.fileExists(atPath: "\(folder.path)/out"))
  }

  @Test("the calibration text of a folder is named when it is a Git LFS pointer")
  func bundledText() throws {
    let folder = try RefusableModel.folder()
    let path = try folder.write("calibration.txt", Self.pointer)
    expectRefusal(
      try runExecutable("compress", [folder.path, "-o", "\(folder.path)/out"]), code: 3,
      "compress: \(path): this is a Git LFS pointer")
  }

  @Test("compress names a byte that is not UTF-8, and no option that it does not have")
  func calibrationInLatin1() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write("text", Array("caf".utf8) + [0xE9] + Array(" au lait".utf8))
    let result = try runExecutable(
      "compress",
      [
        SharedData.project("models/stories"), "-o", "\(folder.path)/out", "--calibration", path,
      ])
    expectRefusal(
      result, code: 3, "compress: \(path): byte 3 is not UTF-8; convert the file to UTF-8")
    #expect(!result.stderr.contains("--lossy"))
  }

  @Test("a folder of links, as the Hub's cache has, is a model, and a broken link is named")
  func links() throws {
    let blobs = try RefusableModel.folder()
    let folder = try TemporaryFolder()
    let manager = FileManager.default
    for name in try manager.contentsOfDirectory(atPath: blobs.path) {
      try manager.createSymbolicLink(
        atPath: "\(folder.path)/\(name)", withDestinationPath: "\(blobs.path)/\(name)")
    }
    #expect(try RefusableModel.chat(folder.path).exitCode == 0)
    try manager.removeItem(atPath: "\(blobs.path)/model.safetensors")
    expectRefusal(
      try RefusableModel.chat(folder.path), code: 4,
      "model.safetensors: this is a link to a file that is not there"
    )
  }
}
