internal import DuetRuntime
internal import DuetSystem

/// Causal attention over one sequence, and the derivatives of a loss by queries, keys and values.
///
/// With the rotated q and k of a head, d its size, for a token i and the tokens j that it sees:
///
///     p_ij = exp(q_i . k_j / sqrt(d) - l_i),    l_i = log sum over j of exp(q_i . k_j / sqrt(d)),    o_i = sum over j of p_ij v_j
///
///     dv_j = sum over i of p_ij do_i
///     ds_ij = p_ij (do_i . v_j - do_i . o_i) / sqrt(d)
///     dq_i = sum over j of ds_ij k_j,    dk_j = sum over i of ds_ij q_i
///
/// and the derivatives of a rotation are rotated back. The query heads of a group share their key head, so its
/// derivatives are sums over them. Only l is kept; p is computed again for blocks of tokens.
///
/// Source: Dao, FlashAttention-2, arXiv:2307.08691, section 2.3.
struct AttentionGradient<Element: GradientElement>: ~Copyable {
  /// Queries (n, queryWidth), keys and values (n, keyValueWidth): set before `forward`, which rotates them.
  let queries: Buffer<Element>
  let keys: Buffer<Element>
  let values: Buffer<Element>
  /// o, (n, queryWidth).
  let output: Buffer<Element>
  /// The derivatives by o, set before `backward`.
  let outputGradient: Buffer<Element>
  /// The derivatives by the queries, keys and values before their rotation.
  let queryGradient: Buffer<Element>
  let keyGradient: Buffer<Element>
  let valueGradient: Buffer<Element>

  private let configuration: Configuration
  private let tokenCount: Int
  private let pool: WorkerPool
  /// l, (headCount, n).
  private let logSums: Buffer<Element>
  /// Cosines and sines, (n, headSize).
  private let angles: Buffer<Element>
  /// Two blocks of (blockRows, n) on each thread.
  private let scratch: Buffer<Element>

  /// The tokens i of a block.
  private static var blockRows: Int { 128 }

  /// An attention with these sizes.
  init(_ configuration: Configuration, tokenCount: Int, _ algebra: LinearAlgebra) {
    let (q, k, n) = (configuration.queryWidth, configuration.keyValueWidth, tokenCount)
    self.configuration = configuration
    self.tokenCount = tokenCount
    pool = algebra.pool
    queries = Buffer(count: n * q)
    keys = Buffer(count: n * k)
    values = Buffer(count: n * k)
    output = Buffer(count: n * q)
    outputGradient = Buffer(count: n * q)
    queryGradient = Buffer(count: n * q)
    keyGradient = Buffer(count: n * k)
    valueGradient = Buffer(count: n * k)
    logSums = Buffer(count: configuration.headCount * n)
    scratch = Buffer(count: 2 * pool.threadCount * Self.blockRows * n)
    var table = Buffer<Float>(count: n * configuration.headSize)
    RotaryEmbedding(configuration).fill(from: 0, count: n, &table)
    var angles = Buffer<Element>(count: table.count)
    for index in 0..<table.count { angles[index] = Element(table[index]) }
    self.angles = angles
  }

  /// The tokens j that some token of a block sees.
  private func seen(by block: Range<Int>) -> Range<Int> {
    max(0, block.lowerBound + 1 - (configuration.slidingWindow ?? tokenCount))..<block.upperBound
  }

  /// The blocks of tokens.
  private var blocks: [Range<Int>] {
    stride(from: 0, to: tokenCount, by: Self.blockRows).map {
      $0..<min($0 + Self.blockRows, tokenCount)
    }
  }

  // MARK: - Forward

  /// Rotates queries and keys, and computes o.
  func forward() {
    rotate(queries, headCount: configuration.headCount, back: false)
    rotate(keys, headCount: configuration.keyValueHeadCount, back: false)
    let (d, q, k) = (
      configuration.headSize, configuration.queryWidth, configuration.keyValueWidth
    )
    let (group, n) = (configuration.queriesPerKeyValueHead, tokenCount)
    let (value, out) = unsafe (values.pointer, output.pointer)
    pool.run(configuration.headCount) { head, worker in
      let p = unsafe scratch.pointer + 2 * worker * Self.blockRows * n
      for block in blocks {
        let seen = seen(by: block)
        unsafe scores(head, block, seen, into: p)
        unsafe softmax(head, block, seen, p)
        unsafe Element.multiply(
          false, false, block.count, d, seen.count, 1, p, seen.count,
          value + seen.lowerBound * k + head / group * d, k, 0,
          out + block.lowerBound * q + head * d, q)
      }
    }
  }

  /// Computes the scores of the tokens i of a block, the products of q_i and k_j over sqrt(d): (block, seen).
  @unsafe
  private func scores(
    _ head: Int, _ block: Range<Int>, _ seen: Range<Int>, into p: UnsafeMutablePointer<Element>
  ) {
    let (d, q, k) = (
      configuration.headSize, configuration.queryWidth, configuration.keyValueWidth
    )
    unsafe Element.multiply(
      false, true, block.count, seen.count, d, 1 / Element(d).squareRoot(),
      queries.pointer + block.lowerBound * q + head * d, q,
      keys.pointer + seen.lowerBound * k + head / configuration.queriesPerKeyValueHead * d, k, 0,
      p, seen.count)
  }

  /// The columns of a row of a block that its token sees.
  private func columns(_ token: Int, _ seen: Range<Int>) -> Range<Int> {
    let first = max(0, token + 1 - (configuration.slidingWindow ?? tokenCount))
    return first - seen.lowerBound..<token + 1 - seen.lowerBound
  }

  /// Replaces the scores of a block by p, 0 where a token does not see the other, and keeps l.
  @unsafe
  private func softmax(
    _ head: Int, _ block: Range<Int>, _ seen: Range<Int>, _ p: UnsafeMutablePointer<Element>
  ) {
    for token in block {
      let row = unsafe p + (token - block.lowerBound) * seen.count
      let columns = columns(token, seen)
      var largest = -Element.infinity
      for column in columns { largest = unsafe max(largest, row[column]) }
      var sum = Element.zero
      for column in columns {
        let value = unsafe Element.exponential(row[column] - largest)
        unsafe row[column] = value
        sum += value
      }
      let factor = 1 / sum
      for column in columns { unsafe row[column] *= factor }
      unsafe clear(row, except: columns, seen.count)
      unsafe logSums.pointer[head * tokenCount + token] = largest + Element.logarithm(sum)
    }
  }

  /// Sets the columns of a row to 0 that its token does not see.
  @unsafe
  private func clear(_ row: UnsafeMutablePointer<Element>, except columns: Range<Int>, _ count: Int)
  {
    for column in 0..<columns.lowerBound { unsafe row[column] = 0 }
    for column in columns.upperBound..<count { unsafe row[column] = 0 }
  }

  /// Replaces the scores of a block by p = exp(score - l), 0 where a token does not see the other.
  @unsafe
  private func normalize(
    _ head: Int, _ block: Range<Int>, _ seen: Range<Int>, _ p: UnsafeMutablePointer<Element>
  ) {
    for token in block {
      let row = unsafe p + (token - block.lowerBound) * seen.count
      let columns = columns(token, seen)
      let logSum = unsafe logSums.pointer[head * tokenCount + token]
      for column in columns {
        unsafe row[column] = unsafe Element.exponential(row[column] - logSum)
      }
      unsafe clear(row, except: columns, seen.count)
    }
  }

  // MARK: - Backward

  /// Computes the derivatives by queries, keys and values from those by o.
  func backward() {
    let (d, q, k) = (
      configuration.headSize, configuration.queryWidth, configuration.keyValueWidth
    )
    let (group, n) = (configuration.queriesPerKeyValueHead, tokenCount)
    let scale = 1 / Element(d).squareRoot()
    let (query, key, value) = unsafe (queries.pointer, keys.pointer, values.pointer)
    let (dq, dk, dv) = unsafe (
      queryGradient.pointer, keyGradient.pointer, valueGradient.pointer
    )
    let (o, dout) = unsafe (output.pointer, outputGradient.pointer)
    for index in 0..<n * k { unsafe (dk[index], dv[index]) = (0, 0) }
    pool.run(configuration.keyValueHeadCount) { shared, worker in
      let p = unsafe scratch.pointer + 2 * worker * Self.blockRows * n
      let ds = unsafe p + Self.blockRows * n
      for head in shared * group..<(shared + 1) * group {
        for block in blocks {
          let seen = seen(by: block)
          let (rows, columns) = (block.count, seen.count)
          let (at, sharedAt) = (block.lowerBound * q + head * d, seen.lowerBound * k + shared * d)
          unsafe scores(head, block, seen, into: p)
          unsafe normalize(head, block, seen, p)
          // dv += p^T do,   ds = do v^T
          unsafe Element.multiply(
            true, false, columns, d, rows, 1, p, columns, dout + at, q, 1, dv + sharedAt, k)
          unsafe Element.multiply(
            false, true, rows, columns, d, 1, dout + at, q, value + sharedAt, k, 0, ds, columns)
          for row in 0..<rows {
            var sum = Element.zero
            for index in 0..<d {
              sum += unsafe dout[at + row * q + index] * o[at + row * q + index]
            }
            let start = row * columns
            for index in start..<start + columns {
              unsafe ds[index] = unsafe p[index] * (ds[index] - sum) * scale
            }
          }
          // dq = ds k,   dk += ds^T q
          unsafe Element.multiply(
            false, false, rows, d, columns, 1, ds, columns, key + sharedAt, k, 0, dq + at, q)
          unsafe Element.multiply(
            true, false, columns, d, rows, 1, ds, columns, query + at, q, 1, dk + sharedAt, k)
        }
      }
    }
    rotate(queryGradient, headCount: configuration.headCount, back: true)
    rotate(keyGradient, headCount: configuration.keyValueHeadCount, back: true)
  }

  // MARK: - Rotation

  /// Multiplies each pair (a, b) of every head by its rotation, or with `back` by the transpose of it.
  private func rotate(_ x: borrowing Buffer<Element>, headCount: Int, back: Bool) {
    let (d, half) = (configuration.headSize, configuration.headSize / 2)
    let (target, angles) = unsafe (x.pointer, angles.pointer)
    pool.run(tokenCount) { token, _ in
      let cosines = unsafe angles + token * d
      for head in 0..<headCount {
        let row = unsafe target + (token * headCount + head) * d
        for pair in 0..<half {
          let (a, b) = unsafe (row[pair], row[pair + half])
          let (cosine, sine) = unsafe (cosines[pair], cosines[half + pair])
          let s = back ? -sine : sine
          unsafe row[pair] = a * cosine - b * s
          unsafe row[pair + half] = b * cosine + a * s
        }
      }
    }
  }
}
