package import DuetRuntime
internal import DuetSystem
package import DuetText

/// The distribution of tensors over files of weights.
package struct ShardPlan {
  /// A file of weights.
  package struct Shard {
    /// The name of the file.
    package let name: String
    /// Its tensors, in the order of the bytes of their names.
    package let tensors: [StoredTensor]
  }

  /// The files, at least one.
  package let shards: [Shard]

  package static let indexName = "model.safetensors.index.json"

  /// Distributes tensors over files in the order of the bytes of their names.
  ///
  /// A file is full when the next tensor would make it larger than `largestShard` bytes.
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

  /// Distributes tensors, in the order of the bytes of their names, over at most `shardCount` files, so that
  /// the largest file is as small as possible.
  ///
  /// There are fewer files when there are fewer tensors, or when one more file would not make the largest
  /// smaller.
  ///
  /// - Precondition: `shardCount` is at least 1.
  /// - Throws: `ModelWritingError.tensorTwice`.
  /// - Complexity: O(tensors * log(bytes)).
  package init(_ tensors: [StoredTensor], atMost shardCount: Int) throws(ModelWritingError) {
    precondition(shardCount >= 1, "weights in \(shardCount) files")
    // More room never gives more files, so bisection finds the least room that gives few enough.
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

  /// A number with leading zeros, at least five digits.
  private static func digits(_ number: Int) -> String {
    let text = String(number)
    return String(repeating: "0", count: max(0, 5 - text.count)) + text
  }
}
