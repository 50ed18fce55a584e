internal import DuetSystem
internal import Kernels

extension ExecutionContext {
  /// Rotates queries and keys to their positions and stores keys and values in the cache.
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
    let keys = unsafe UnsafeMutableRawPointer(cache.keys.pointer)
    let values = unsafe UnsafeMutableRawPointer(cache.values.pointer)
    let first = cache.byteOffset(layer: layer, head: 0, position: position)
    let headByteCount = cache.headByteCount
    let type = cache.type
    let rowByteCount = headSize * type.byteCount
    forEachToken(tokenCount) { token in
      let row = unsafe rows + token * stride
      let cosine = unsafe angles + token * headSize
      unsafe kernels.pointee.rotate(
        row, rotatedHeadCount, headSize, cosine, cosine + headSize / 2)
      for head in 0..<keyValueHeadCount {
        let offset = first + head * headByteCount + token * rowByteCount
        let key = unsafe row + (configuration.headCount + head) * headSize
        let value = unsafe row + (rotatedHeadCount + head) * headSize
        unsafe store(key, headSize, type, keys + offset)
        unsafe store(value, headSize, type, values + offset)
      }
    }
  }

  private func store(
    _ source: UnsafePointer<Float>, _ count: Int, _ type: KVCacheType,
    _ target: UnsafeMutableRawPointer
  ) {
    switch type {
    case .f16:
      unsafe kernels.pointee.narrow_f16(
        source, count, target.assumingMemoryBound(to: UInt16.self))
    case .f32:
      unsafe target.assumingMemoryBound(to: Float.self).update(from: source, count: count)
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
    let keys = unsafe UnsafeRawPointer(cache.keys.pointer)
    let values = unsafe UnsafeRawPointer(cache.values.pointer)
    let layerOffset = cache.byteOffset(layer: layer, head: 0, position: 0)
    let kernel = unsafe cache.type == .f16 ? kernels.pointee.attend_f16 : kernels.pointee.attend_f32

    // The queries that share a key-value head, token by token, are split into tiles.
    let queryCount = tokenCount * configuration.queriesPerKeyValueHead
    let tileSize = unsafe AttentionTile.capacity
    let tileCount = (queryCount + tileSize - 1) / tileSize
    let attention = unsafe Attention(
      rows: rows, keys: keys + layerOffset, values: values + layerOffset,
      headByteCount: cache.headByteCount, position: position, queryCount: queryCount,
      tileCount: tileCount, kernel: kernel, scratch: scratch(of: 0), scratchStride: scratchCount)
    unsafe pool.run(configuration.keyValueHeadCount * tileCount, with: attention) {
      attention, part, worker in
      unsafe attention.run(part, worker)
    }
  }
}

/// The attention of a batch of tokens in one layer, with one part for each tile of queries.
@unsafe
private struct Attention {
  let rows: AttentionRows
  /// The keys and values of the first head, and the distance between heads in bytes.
  let keys: UnsafeRawPointer
  let values: UnsafeRawPointer
  let headByteCount: Int
  let position: Int
  let queryCount: Int
  let tileCount: Int
  let kernel: kernels_attend
  let scratch: UnsafeMutablePointer<Float>
  let scratchStride: Int

  /// Computes one tile.
  func run(_ part: Int, _ worker: Int) {
    let keyValueHead = unsafe part / tileCount
    let first = unsafe part % tileCount * AttentionTile.capacity
    let offset = unsafe keyValueHead * headByteCount
    unsafe rows.attend(
      first..<min(first + AttentionTile.capacity, queryCount), head: keyValueHead, firstRow: 0,
      position: position, kernel, keys: keys + offset, values: values + offset,
      scratch: scratch + worker * scratchStride)
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

  /// Lets some queries, at most `AttentionTile.capacity`, attend to the keys that their positions see.
  ///
  /// - Parameters:
  ///   - queries: The numbers of the queries in the run.
  ///   - head: The key-value head that they share.
  ///   - firstRow: The first row of the run.
  ///   - position: The position of that row in its sequence, in tokens.
  ///   - kernel: The kernel for the type of the keys.
  ///   - keys: The keys of the head, from position 0 on.
  ///   - values: The values of the head, from position 0 on.
  ///   - scratch: The scratch memory of the worker.
  func attend(
    _ queries: Range<Int>, head: Int, firstRow: Int, position: Int, _ kernel: kernels_attend,
    keys: UnsafeRawPointer, values: UnsafeRawPointer, scratch: UnsafeMutablePointer<Float>
  ) {
    var tile = unsafe AttentionTile(query: projected, output: output)
    for query in queries {
      let (token, inGroup) = unsafe (query / group, query % group)
      let row = firstRow + token
      let offset = unsafe (head * group + inGroup) * headSize
      let last = position + token + 1
      unsafe tile.append(
        query: projected + row * inputStride + offset, output: output + row * outputStride + offset,
        keys: max(0, window >= last ? 0 : last - window)..<last)
    }
    unsafe tile.run(
      kernel, headSize: headSize, scale: 1 / Float(headSize).squareRoot(), keys: keys,
      values: values, scratch: scratch)
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

  func run(
    _ kernel: kernels_attend, headSize: Int, scale: Float, keys: UnsafeRawPointer,
    values: UnsafeRawPointer, scratch: UnsafeMutablePointer<Float>
  ) {
    unsafe withUnsafePointer(to: queries) { queries in
      unsafe withUnsafePointer(to: outputs) { outputs in
        unsafe withUnsafePointer(to: first) { first in
          unsafe withUnsafePointer(to: last) { last in
            unsafe kernel(
              UnsafeRawPointer(queries).assumingMemoryBound(to: UnsafePointer<Float>.self), count,
              headSize, scale, keys, values,
              UnsafeRawPointer(first).assumingMemoryBound(to: Int.self),
              UnsafeRawPointer(last).assumingMemoryBound(to: Int.self),
              UnsafeRawPointer(outputs).assumingMemoryBound(to: UnsafeMutablePointer<Float>.self),
              scratch)
          }
        }
      }
    }
  }
}
