internal import DuetSystem
internal import Kernels

extension ExecutionContext {
  /// Lets every query attend within its own sequence, many sequences at once.
  ///
  /// Does what `rotateAndStore` and `attend` do for one sequence. Each part of the job is one sequence
  /// and one key-value head, so that many short sequences keep all threads busy.
  ///
  /// `projected` is (rows, (headCount + 2 keyValueHeadCount) * headSize): queries, keys and values of
  /// each row; queries and keys are rotated in place by `table`, (rows, headSize). `output` is (rows,
  /// headCount * headSize); the rows of the sequences are overwritten.
  ///
  /// - Complexity: O(rows * headCount * headSize * keys seen).
  func attend(
    _ projected: inout Buffer<Float>, _ table: borrowing Buffer<Float>,
    within sequences: [PackedSequence], keys: borrowing PackedKeys, _ configuration: Configuration,
    into output: inout Buffer<Float>
  ) {
    let headSize = configuration.headSize
    let keyValueHeadCount = configuration.keyValueHeadCount
    let headCount = configuration.headCount
    let group = configuration.queriesPerKeyValueHead
    let batch = unsafe AttentionRows(projected.pointer, output: output.pointer, configuration)
    let tileSize = unsafe AttentionTile.capacity
    let (inputStride, outputStride) = unsafe (batch.inputStride, batch.outputStride)
    let runs = sequences.flatMap(\.runs)
    let rowCount = runs.map(\.rows.upperBound).max() ?? 0
    let length = runs.map { $0.position + $0.rows.count }.max() ?? 0
    precondition(
      projected.count >= rowCount * inputStride && table.count >= rowCount * headSize
        && output.count >= rowCount * outputStride && length <= keys.capacity
        && pool.threadCount <= keys.threadCount,
      "attention of \(rowCount) rows over \(length) of \(keys.capacity) positions")
    let rows = unsafe projected.pointer
    let angles = unsafe UnsafePointer(table.pointer)
    let heads = unsafe keys.heads

    pool.run(sequences.count * keyValueHeadCount) { part, worker in
      let head = part % keyValueHeadCount
      let memory = unsafe heads[worker]
      let scratch = unsafe scratch(of: worker)
      for run in sequences[part / keyValueHeadCount].runs {
        for (index, row) in run.rows.enumerated() {
          let query = unsafe rows + row * inputStride + head * group * headSize
          let key = unsafe rows + row * inputStride + (headCount + head) * headSize
          let cosine = unsafe angles + row * headSize
          let sine = unsafe cosine + headSize / 2
          unsafe kernels.pointee.rotate(query, group, headSize, cosine, sine)
          unsafe kernels.pointee.rotate(key, 1, headSize, cosine, sine)
          unsafe memory.store(
            key: key, value: key + keyValueHeadCount * headSize, at: run.position + index,
            row: scratch, kernels)
        }
        let queryCount = run.rows.count * group
        for first in stride(from: 0, to: queryCount, by: tileSize) {
          unsafe batch.attend(
            first..<min(first + tileSize, queryCount), head: head,
            firstRow: run.rows.lowerBound, position: run.position, kernels.pointee.attend_f32,
            to: memory, scratch: scratch)
        }
      }
    }
  }
}
