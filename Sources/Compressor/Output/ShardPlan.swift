package import DuetRuntime
internal import DuetSystem
package import DuetText

/// Which tensor goes into which file of weights.
package struct ShardPlan {
  /// A file.
  package struct Shard {
    /// The name of the file.
    package let name: String
    /// Its tensors, in the order of their names' bytes.
    package let tensors: [StoredTensor]
  }

  /// The files, at least one.
  package let shards: [Shard]

  package static let indexName = "model.safetensors.index.json"

  /// Deals out tensors in the order of their names' bytes; a file is full when the next tensor would
  /// make it larger than `largestShard` bytes.
  ///
  /// - Throws: `ModelWritingError.tensorTwice`.
  package init(_ tensors: [StoredTensor], largestShard: Int) throws(ModelWritingError) {
    let sorted = tensors.sorted { $0.name.precedesInBytes($1.name) }
    for (tensor, next) in zip(sorted, sorted.dropFirst())
    where !tensor.name.precedesInBytes(next.name) {
      throw .tensorTwice(tensor: tensor.name)
    }
    var groups: [[StoredTensor]] = [[]]
    var room = largestShard
    for tensor in sorted {
      if tensor.byteCount > room, groups[groups.count - 1].isEmpty == false {
        groups.append([])
        room = largestShard
      }
      groups[groups.count - 1].append(tensor)
      room -= tensor.byteCount
    }
    let count = groups.count
    shards = groups.enumerated().map { index, tensors in
      let name =
        count == 1
        ? "model.safetensors"
        : "model-\(Self.digits(index + 1))-of-\(Self.digits(count)).safetensors"
      return Shard(name: name, tensors: tensors)
    }
  }

  /// Deals out tensors in the order of their names' bytes into at most `shardCount` files, the largest
  /// of which is as small as that allows.
  ///
  /// Fewer files come out where tensors are fewer, or so unequal that one more would not make the largest
  /// smaller.
  ///
  /// - Precondition: `shardCount` is at least 1.
  /// - Throws: `ModelWritingError.tensorTwice`.
  /// - Complexity: O(tensors * log(bytes)).
  package init(_ tensors: [StoredTensor], atMost shardCount: Int) throws(ModelWritingError) {
    precondition(shardCount >= 1, "weights in \(shardCount) files")
    // With more room there are never more files: the least room that makes few enough is between these.
    var tooSmall = 0
    var enough = max(1, tensors.reduce(0) { $0 + $1.byteCount })
    while enough - tooSmall > 1 {
      let room = tooSmall + (enough - tooSmall) / 2
      if try ShardPlan(tensors, largestShard: room).shards.count <= shardCount {
        enough = room
      } else {
        tooSmall = room
      }
    }
    try self.init(tensors, largestShard: enough)
  }

  /// The contents of model.safetensors.index.json, or nil when there is one file.
  package var index: JSONOutput? {
    guard shards.count > 1 else { return nil }
    var total = 0
    var places: [JSONOutput.Member] = []
    for shard in shards {
      for tensor in shard.tensors {
        total += tensor.byteCount
        places.append(.init(tensor.name, .string(shard.name)))
      }
    }
    return ["metadata": ["total_size": .integer(total)], "weight_map": .object(places)]
  }

  /// A number with zeros before it, five digits at least.
  private static func digits(_ number: Int) -> String {
    let text = String(number)
    return String(repeating: "0", count: max(0, 5 - text.count)) + text
  }
}
