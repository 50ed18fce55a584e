internal import DuetSystem
internal import Kernels

extension ExecutionContext {
  /// Rotates queries and keys to their positions and stores keys and values in the cache.
  ///
  /// For a cache in int8, queries and keys are also multiplied by a Hadamard matrix, which is orthogonal
  /// and so does not change their products.
  ///
  /// `projected` is (tokenCount, (headCount + 2 keyValueHeadCount) * headSize): queries, keys and values
  /// of each token; queries and keys are rotated in place. `table` is (tokenCount, headSize), from
  /// `RotaryEmbedding.fill`; `position` is the position of the first token.
  func rotateAndStore(
    _ projected: inout Buffer<Float>, _ table: borrowing Buffer<Float>, in cache: inout KVCache,
    layer: Int, position: Int, tokenCount: Int, _ configuration: Configuration
  ) {
    let headSize = configuration.headSize
    let keyValueHeadCount = configuration.keyValueHeadCount
    let rotatedHeadCount = configuration.headCount + keyValueHeadCount
    let stride = (rotatedHeadCount + keyValueHeadCount) * headSize
    precondition(
      projected.count >= tokenCount * stride && table.count >= tokenCount * headSize
        && position + tokenCount <= cache.capacity,
      "\(tokenCount) tokens at \(position) of \(cache.capacity)")
    let rows = unsafe projected.pointer
    let angles = unsafe UnsafePointer(table.pointer)
    let heads = unsafe cache.heads(layer: layer)
    // The largest Hadamard matrix that divides a head.
    let order = 1 << headSize.trailingZeroBitCount
    let rowCount = cache.type == .int8 ? rotatedHeadCount * headSize / order : 0
    // A part has the tokens of a block of positions, because their keys share cache lines.
    let lanes = Int(KERNELS_KEY_LANES)
    let firstBlock = position / lanes
    let end = position + tokenCount
    pool.run((end + lanes - 1) / lanes - firstBlock) { part, worker in
      let block = (firstBlock + part) * lanes
      for tokenPosition in max(block, position)..<min(block + lanes, end) {
        let token = tokenPosition - position
        let row = unsafe rows + token * stride
        let cosine = unsafe angles + token * headSize
        unsafe kernels.pointee.rotate(
          row, rotatedHeadCount, headSize, cosine, cosine + headSize / 2)
        unsafe kernels.pointee.hadamard(row, rowCount, order, 1 / Float(order).squareRoot())
        for head in 0..<keyValueHeadCount {
          let key = unsafe row + (configuration.headCount + head) * headSize
          unsafe heads[head].store(
            key: key, value: key + keyValueHeadCount * headSize, at: tokenPosition,
            row: scratch(of: worker), kernels)
        }
      }
    }
  }

  /// Lets every query attend to the keys that its position sees.
  ///
  /// The query at position q sees keys k with q - slidingWindow < k <= q, or all k <= q without a
  /// window; query head h reads key-value head h / queriesPerKeyValueHead.
  ///
  /// `projected` is the result of `rotateAndStore`, which also stored the keys and values of the tokens
  /// in the cache; `position` is the position of the first token; `output` is (tokenCount, headCount *
  /// headSize), overwritten.
  ///
  /// - Complexity: O(tokenCount * headCount * headSize * keys seen).
  ///
  /// Source: Vaswani et al., arXiv:1706.03762, equation 1; grouped heads: Ainslie et al.,
  /// arXiv:2305.13245; window: Jiang et al., arXiv:2310.06825, section 2.
  func attend(
    _ projected: borrowing Buffer<Float>, to cache: borrowing KVCache, layer: Int, position: Int,
    tokenCount: Int, _ configuration: Configuration, into output: inout Buffer<Float>
  ) {
    let rows = unsafe AttentionRows(
      projected.pointer, output: output.pointer, configuration)
    precondition(
      unsafe projected.count >= tokenCount * rows.inputStride
        && output.count >= tokenCount * rows.outputStride,
      "attention of \(tokenCount) tokens in \(projected.count) and \(output.count) numbers")
    // The queries that share a key-value head, token by token, are split into tiles.
    let queryCount = tokenCount * configuration.queriesPerKeyValueHead
    let tileSize = unsafe AttentionTile.capacity
    let attention = unsafe Attention(
      rows: rows, heads: cache.heads(layer: layer), parts: cache.parts.addresses,
      position: position, tokenCount: tokenCount, queryCount: queryCount,
      tileCount: (queryCount + tileSize - 1) / tileSize, kernel: kernel(cache.type),
      scratch: scratch(of: 0), scratchStride: scratchCount)
    unsafe pool.run(configuration.keyValueHeadCount * attention.partCount, with: attention) {
      attention, part, worker in
      unsafe attention.run(part, worker)
    }
    if unsafe attention.isSplit {
      unsafe pool.run(configuration.headCount, with: attention) { attention, head, _ in
        unsafe attention.join(head)
      }
    }
  }

  /// The kernel for keys and values of a type.
  private func kernel(_ type: KVCacheType) -> kernels_attend {
    switch type {
    case .f16: unsafe kernels.pointee.attend_f16
    case .f32: unsafe kernels.pointee.attend_f32
    case .int8: unsafe kernels.pointee.attend_int8
    }
  }
}

/// The attention of a batch of tokens in one layer.
///
/// There is a part for each tile of queries or, for one token, for each part of the keys.
@unsafe
private struct Attention {
  let rows: AttentionRows
  let heads: KeyValueHeads
  let parts: AttentionPartAddresses
  let position: Int
  let tokenCount: Int
  let queryCount: Int
  let tileCount: Int
  let kernel: kernels_attend
  let scratch: UnsafeMutablePointer<Float>
  let scratchStride: Int

  /// The first part of the keys that one token sees, and the number of parts.
  private var keyParts: Range<Int> {
    let size = AttentionParts.positionCount
    return unsafe rows.keys(of: position).lowerBound / size..<position / size + 1
  }

  /// Whether the keys are in several parts.
  var isSplit: Bool { unsafe tokenCount == 1 && tileCount == 1 && keyParts.count > 1 }

  /// The parts of a key-value head.
  var partCount: Int { unsafe isSplit ? keyParts.count : tileCount }

  /// Computes one part.
  func run(_ part: Int, _ worker: Int) {
    let (head, partInHead) = unsafe (part / partCount, part % partCount)
    let scratch = unsafe scratch + worker * scratchStride
    if unsafe isSplit {
      let (size, first) = unsafe (AttentionParts.positionCount, keyParts.lowerBound + partInHead)
      unsafe rows.attend(
        keys: first * size..<(first + 1) * size, part: partInHead, head: head,
        position: position, kernel, to: heads[head], parts: parts, scratch: scratch)
    } else {
      let first = unsafe partInHead * AttentionTile.capacity
      unsafe rows.attend(
        first..<min(first + AttentionTile.capacity, queryCount), head: head, firstRow: 0,
        position: position, kernel, to: heads[head], scratch: scratch)
    }
  }

  /// Joins the parts of a query head.
  func join(_ head: Int) {
    unsafe parts.join(
      head: head, count: keyParts.count, into: rows.output + head * rows.headSize)
  }
}

/// The addresses of the queries of a batch and of their outputs.
///
/// The queries that share a key-value head are numbered row by row in a run of rows: query i is the
/// query head i % group of that key-value head, in row i / group of the run.
@unsafe
struct AttentionRows {
  /// (row, inputStride): queries, keys and values of each row.
  let projected: UnsafePointer<Float>
  /// (row, outputStride): the outputs of the heads for each row.
  let output: UnsafeMutablePointer<Float>
  let headSize: Int
  /// The query heads that share a key-value head.
  let group: Int
  let inputStride: Int
  let outputStride: Int
  /// The most positions that a query sees.
  let window: Int

  init(
    _ projected: UnsafeMutablePointer<Float>, output: UnsafeMutablePointer<Float>,
    _ configuration: Configuration
  ) {
    unsafe self.projected = unsafe UnsafePointer(projected)
    unsafe self.output = unsafe output
    unsafe headSize = configuration.headSize
    unsafe group = configuration.queriesPerKeyValueHead
    unsafe inputStride = configuration.queryWidth + 2 * configuration.keyValueWidth
    unsafe outputStride = configuration.queryWidth
    unsafe window = configuration.slidingWindow ?? Int.max
  }

  /// The keys that a query at `position` sees.
  func keys(of position: Int) -> Range<Int> {
    unsafe max(0, window > position ? 0 : position + 1 - window)..<position + 1
  }

  /// Lets some queries, at most `AttentionTile.capacity`, attend to the keys that their positions see.
  ///
  /// - Parameters:
  ///   - queries: The numbers of the queries in the run.
  ///   - head: The key-value head that they share.
  ///   - firstRow: The first row of the run.
  ///   - position: The position of that row in its sequence, in tokens.
  ///   - kernel: The kernel for the type of the keys.
  ///   - memory: The keys and values of the head.
  ///   - scratch: The scratch memory of the worker.
  func attend(
    _ queries: Range<Int>, head: Int, firstRow: Int, position: Int, _ kernel: kernels_attend,
    to memory: KeyValueHead, scratch: UnsafeMutablePointer<Float>
  ) {
    var tile = unsafe AttentionTile(query: projected, output: output)
    for query in queries {
      let (token, inGroup) = unsafe (query / group, query % group)
      let row = firstRow + token
      let offset = unsafe (head * group + inGroup) * headSize
      unsafe tile.append(
        query: projected + row * inputStride + offset, output: output + row * outputStride + offset,
        keys: keys(of: position + token))
    }
    unsafe tile.run(kernel, memory, parts: nil, scratch: scratch)
  }

  /// Lets the queries of the first row that share a key-value head attend to a part of the keys.
  ///
  /// - Parameters:
  ///   - positions: The positions of the part, of which those that the queries see are used.
  ///   - part: The number of the part, where the result is stored in `parts`.
  ///   - head: The key-value head.
  ///   - position: The position of the row.
  ///   - kernel: The kernel for the type of the keys.
  ///   - memory: The keys and values of the head.
  ///   - parts: The memory for the results.
  ///   - scratch: The scratch memory of the worker.
  func attend(
    keys positions: Range<Int>, part: Int, head: Int, position: Int, _ kernel: kernels_attend,
    to memory: KeyValueHead, parts: AttentionPartAddresses, scratch: UnsafeMutablePointer<Float>
  ) {
    var tile = unsafe AttentionTile(query: projected, output: output)
    let heads = unsafe head * group..<(head + 1) * group
    for queryHead in heads {
      unsafe tile.append(
        query: projected + queryHead * headSize, output: parts.output(head: queryHead, part: part),
        keys: keys(of: position).clamped(to: positions))
    }
    unsafe tile.run(
      kernel, memory, parts: parts.softmax(head: heads.lowerBound, part: part), scratch: scratch)
  }
}

/// The arguments of one call of an attention kernel, gathered on the stack.
@unsafe
struct AttentionTile {
  /// The most queries of a tile.
  static var capacity: Int { Int(KERNELS_MAX_QUERIES) }

  // 64 is KERNELS_MAX_QUERIES. Unused places hold the first query, because the kernel accepts no null
  // pointer.
  private var queries: InlineArray<64, UnsafePointer<Float>>
  private var outputs: InlineArray<64, UnsafeMutablePointer<Float>>
  private var first = InlineArray<64, Int>(repeating: 0)
  private var last = InlineArray<64, Int>(repeating: 0)
  private var count = 0

  init(query: UnsafePointer<Float>, output: UnsafeMutablePointer<Float>) {
    unsafe queries = unsafe InlineArray(repeating: query)
    unsafe outputs = unsafe InlineArray(repeating: output)
  }

  mutating func append(
    query: UnsafePointer<Float>, output: UnsafeMutablePointer<Float>, keys: Range<Int>
  ) {
    unsafe queries[count] = unsafe query
    unsafe outputs[count] = unsafe output
    unsafe first[count] = keys.lowerBound
    unsafe last[count] = keys.upperBound
    unsafe count += 1
  }

  /// Calls the kernel; `parts` has room for the softmax of each query, or is nil for all keys.
  func run(
    _ kernel: kernels_attend, _ head: KeyValueHead, parts: UnsafeMutablePointer<kernels_softmax>?,
    scratch: UnsafeMutablePointer<Float>
  ) {
    let scale = unsafe 1 / Float(head.headSize).squareRoot()
    unsafe withUnsafePointer(to: head.kernelHead) { head in
      unsafe withUnsafePointer(to: queries) { queries in
        unsafe withUnsafePointer(to: outputs) { outputs in
          unsafe withUnsafePointer(to: first) { first in
            unsafe withUnsafePointer(to: last) { last in
              unsafe kernel(
                head, UnsafeRawPointer(queries).assumingMemoryBound(to: UnsafePointer<Float>.self),
                count, scale, UnsafeRawPointer(first).assumingMemoryBound(to: Int.self),
                UnsafeRawPointer(last).assumingMemoryBound(to: Int.self),
                UnsafeRawPointer(outputs).assumingMemoryBound(
                  to: UnsafeMutablePointer<Float>.self),
                parts, scratch)
            }
          }
        }
      }
    }
  }
}
