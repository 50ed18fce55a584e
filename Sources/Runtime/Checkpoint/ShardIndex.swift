internal import DuetSystem
internal import DuetText

/// The contents of model.safetensors.index.json: which tensor is in which file.
struct ShardIndex {
  /// The names of the files, in the order of their bytes.
  let names: [String]

  private let path: String
  /// Tensors and the positions of their files in `names`, in the order of the tensors' bytes.
  private let tensors: [(name: String, shard: Int)]

  /// Reads the index at `path` and checks what can be checked without the files.
  init(contentsOf path: String) throws(CheckpointError) {
    let bytes: [UInt8]
    do throws(FileError) {
      bytes = try readFile(path, limit: JSONLimits.smallFile.byteCount)
    } catch {
      throw .file(error)
    }
    let document: JSONDocument
    do throws(JSONError) {
      document = try JSONDocument(parsing: bytes, path: path, limits: .smallFile)
    } catch {
      throw .indexNotJSON(error)
    }
    guard let members = document.root["weight_map"]?.members else {
      throw .malformedIndex(path: path, problem: "\"weight_map\" is missing or not an object")
    }
    var places: [(name: String, shard: String)] = []
    for member in members {
      guard let shard = member.value.string else {
        throw .malformedIndex(
          path: path,
          problem: "the file of \"\(printable(member.name))\" is not a string")
      }
      guard Self.isPlain(shard) else { throw .shardNameNotPlain(path: path, shard: shard) }
      places.append((member.name, shard))
    }
    var names: [String] = []
    var tensors: [(name: String, shard: Int)] = []
    for place in places.sorted(by: { $0.shard.precedesInBytes($1.shard) }) {
      if names.last?.precedesInBytes(place.shard) ?? true { names.append(place.shard) }
      tensors.append((place.name, names.count - 1))
    }
    self.path = path
    self.names = names
    self.tensors = tensors.sorted { $0.name.precedesInBytes($1.name) }
  }

  /// Whether `name` can only mean a file in the folder itself.
  private static func isPlain(_ name: String) -> Bool {
    !name.isEmpty && name != "." && !name.contains("..")
      && !name.utf8.contains { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "\\") || $0 == 0 }
  }

  /// Checks that the files hold exactly the tensors they should.
  ///
  /// - Parameter files: The opened files, in the order of `names`.
  /// - Throws: `CheckpointError` for the first tensor in a wrong place.
  func check(_ files: [SafeTensorsFile]) throws(CheckpointError) {
    for tensor in tensors where files[tensor.shard].tensor(named: tensor.name) == nil {
      throw .tensorNotInShard(path: path, tensor: tensor.name, shard: names[tensor.shard])
    }
    var found: [(name: String, shard: Int)] = []
    for (shard, file) in files.enumerated() {
      for tensor in file.tensors { found.append((tensor.name, shard)) }
    }
    found.sort { $0.name.precedesInBytes($1.name) }
    for (tensor, next) in zip(found, found.dropFirst())
    where !tensor.name.precedesInBytes(next.name) {
      throw .tensorInTwoShards(
        path: path, tensor: tensor.name, shard: names[tensor.shard], otherShard: names[next.shard])
    }
    // Both lists are sorted and without repetition, and every tensor of the index was found.
    var position = 0
    for tensor in found {
      guard position < tensors.count, !tensor.name.precedesInBytes(tensors[position].name) else {
        throw .tensorNotInIndex(path: path, tensor: tensor.name, shard: names[tensor.shard])
      }
      position += 1
    }
  }
}
