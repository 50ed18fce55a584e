import DuetRuntime
import Foundation
import TestSupport
import Testing

/// A change to a model in two shards, and what it must be refused with.
struct BadIndex: Sendable, CustomTestStringConvertible {
  /// What can be changed.
  struct Model {
    let folder: TemporaryFolder
    /// Which tensor is in which file.
    var map: [String: String]
    /// The text of the index, instead of one made of `map`.
    var text: [UInt8]?
  }

  let testDescription: String
  let code: Int32
  let fragment: String
  let change: @Sendable (inout Model) throws -> Void

  init(
    _ name: String, code: Int32 = 3, _ fragment: String,
    _ change: @escaping @Sendable (inout Model) throws -> Void
  ) {
    (testDescription, self.code, self.fragment, self.change) = (name, code, fragment, change)
  }

  /// An index that says that a tensor is in the file `name`.
  private static func shard(_ name: String) -> BadIndex {
    BadIndex("the shard \(name.debugDescription)", "is not the plain name") {
      $0.map["lm_head.weight"] = name
    }
  }

  /// An index with this text.
  private static func text(_ name: String, _ text: String, _ fragment: String) -> BadIndex {
    BadIndex(name, fragment) { $0.text = Array(text.utf8) }
  }

  static let first = "model-00001-of-00002.safetensors"
  static let second = "model-00002-of-00002.safetensors"
  private static let norm = "model.norm.weight"

  static let all: [BadIndex] =
    ["../\(first)", "/etc/passwd", "sub/\(first)", "..", ".", "", "a\\b", "a\u{0}b", "\(first)/"]
    .map(shard) + [
      text("no text at all", "", "not valid JSON"),
      text("a text that is cut off", "{\"weight_map\": {\"a\"", "not valid JSON"),
      text("no map", "{\"metadata\": {}}", "\"weight_map\" is missing"),
      text("a list as the map", "{\"weight_map\": []}", "\"weight_map\" is missing or not"),
      text("a number as a shard", "{\"weight_map\": {\"a\": 1}}", "is not a string"),
      text("null as a shard", "{\"weight_map\": {\"a\": null}}", "is not a string"),
      text("an empty map", "{\"weight_map\": {}}", "embed_tokens.weight\" is missing"),
      text(
        "one tensor twice", "{\"weight_map\": {\"a\": \"\(first)\", \"\\u0061\": \"\(first)\"}}",
        "\"a\" at byte 57 appears twice"),
      text("deep nesting", String(repeating: "[", count: 200_000), "nested"),
      text("a megabyte", String(repeating: " ", count: 1_000_001), "more than the 1000000"),
      BadIndex("bytes that are no text", "not UTF-8") { $0.text = [0x7B, 0x22, 0xFF] },
      BadIndex("a shard that is missing", code: 4, "is listed but missing") {
        $0.map["lm_head.weight"] = "model-00003-of-00002.safetensors"
      },
      BadIndex("a shard that is a folder", code: 4, "this is a folder") { model in
        try FileManager.default.removeItem(atPath: "\(model.folder.path)/\(second)")
        try FileManager.default.createDirectory(
          atPath: "\(model.folder.path)/\(second)", withIntermediateDirectories: false)
      },
      BadIndex("a shard that links to itself", code: 4, second) { model in
        let path = "\(model.folder.path)/\(second)"
        try FileManager.default.removeItem(atPath: path)
        try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: second)
      },
      BadIndex("a shard of another kind", "config.json") {
        $0.map["lm_head.weight"] = "config.json"
      },
      BadIndex("a tensor in the other shard", "should be in") { $0.map[norm] = first },
      BadIndex("a tensor that is nowhere", "should be in") { $0.map["a"] = second },
      BadIndex("a tensor that is not listed", "is not listed") { $0.map[norm] = nil },
      BadIndex("the same tensors in both", "is in both") { model in
        try model.folder.write(first, model.folder.read(second))
        model.map = ["lm_head.weight": first, norm: second]
      },
      BadIndex("a shard that is cut off", second) { model in
        try model.folder.write(second, model.folder.read(second).dropLast(8))
      },
      BadIndex("a shard with more behind its end", "trailing bytes") { model in
        try model.folder.write(second, model.folder.read(second) + [0])
      },
    ]
}

/// Indexes that lie about shards, given to an executable.
@Suite("Refused indexes")
struct RefusedIndexTests {
  /// A model in two files with an index.
  private func model() throws -> BadIndex.Model {
    let folder = try RefusableModel.folder()
    let checkpoint = try RefusableModel.checkpoint.inMemory()
    var shards: [String: [StoredTensor]] = [:]
    var map: [String: String] = [:]
    for name in checkpoint.names {
      let isLate = name == "lm_head.weight" || name.hasPrefix("model.norm")
      let file = isLate ? BadIndex.second : BadIndex.first
      map[name] = file
      shards[file, default: []].append(try #require(try checkpoint.tensor(named: name)))
    }
    for (file, tensors) in shards {
      try SafeTensorsWriter.write(tensors, to: "\(folder.path)/\(file)")
    }
    try FileManager.default.removeItem(atPath: "\(folder.path)/model.safetensors")
    return BadIndex.Model(folder: folder, map: map)
  }

  private func write(_ model: BadIndex.Model) throws {
    let made = try JSONSerialization.data(withJSONObject: ["weight_map": model.map])
    try model.folder.write("model.safetensors.index.json", model.text ?? Array(made))
  }

  @Test("the model that is changed in the other tests runs")
  func theGoodIndexRuns() throws {
    let model = try model()
    try write(model)
    #expect(try RefusableModel.chat(model.folder.path).exitCode == 0)
  }

  @Test("there are twenty false indexes")
  func thereAreTwenty() { #expect(BadIndex.all.count >= 20) }

  @Test("an index that lies about its shards is refused", arguments: BadIndex.all)
  func refuses(index: BadIndex) throws {
    var model = try model()
    try index.change(&model)
    try write(model)
    expectRefusal(
      try RefusableModel.chat(model.folder.path), code: index.code, "chat: ", index.fragment)
  }
}
