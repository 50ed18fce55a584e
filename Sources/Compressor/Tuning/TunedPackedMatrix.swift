internal import DuetRuntime
internal import DuetSystem

/// A packed matrix whose codes stay, while its scales and offsets change.
///
/// With the stored scale s and offset o of a row and a group of columns, and the tuned numbers a and b of that row and
/// group, both 0 at first,
///
///     value = s (1 + a) (code - zero point) + o + s b
///
/// so that a step of one size suits all scales. A matrix without offsets has no b.
struct TunedPackedMatrix {
  let packed: PackedMatrix
  /// The name before ".scales".
  let name: String
  /// The places of a, (outputSize, groups).
  let scales: Range<Int>
  /// The places of b, (outputSize, groups); nil without offsets.
  let offsets: Range<Int>?

  /// A stored matrix whose numbers begin at `start` of all tuned numbers.
  init(_ packed: PackedMatrix, _ name: String, start: Int) {
    self.packed = packed
    self.name = name
    let count = packed.outputSize * packed.layout.groupCount
    scales = start..<start + count
    offsets = packed.hasOffsets ? start + count..<start + 2 * count : nil
  }

  /// The place behind the numbers.
  var end: Int { offsets?.upperBound ?? scales.upperBound }

  /// The columns of a group, the last of which may be shorter.
  private var groupColumns: Int { packed.groupSize.columnCount ?? packed.layout.paddedInputSize }

  /// The values, (outputSize, inputSize).
  func values(_ numbers: borrowing Buffer<Float>, _ algebra: LinearAlgebra) -> Matrix<Float> {
    let (m, n) = (packed.outputSize, packed.inputSize)
    let result = Matrix<Float>(rowCount: m, columnCount: n)
    let (target, changes) = unsafe (result.pointer, numbers.pointer)
    algebra.forEachRows(of: packed) { rows, _ in
      unsafe packed.dequantize(rows: rows, into: target + rows.lowerBound * n)
      for row in rows {
        let values = unsafe target + row * n
        for group in 0..<packed.layout.groupCount {
          let place = row * packed.layout.groupCount + group
          let growth = unsafe 1 + changes[scales.lowerBound + place]
          let offset = packed.offset(row: row, group: group).map(Float.init) ?? 0
          var moved = offset
          if let offsets {
            moved +=
              unsafe Float(packed.scale(row: row, group: group))
              * changes[offsets.lowerBound + place]
          }
          for column in columns(of: group) {
            unsafe values[column] = unsafe (values[column] - offset) * growth + moved
          }
        }
      }
    }
    return result
  }

  /// Adds the derivatives by the tuned numbers.
  ///
  /// da = sum over the group's columns of dvalue (value0 - o), db = s times the sum of dvalue, with value0 the
  /// value as stored.
  ///
  /// - Parameters:
  ///   - gradient: The derivatives by the values, (outputSize, inputSize).
  ///   - result: Where those by all tuned numbers are added.
  ///   - algebra: The threads to compute with.
  func addGradient(
    of gradient: borrowing Matrix<Float>, to result: borrowing Buffer<Float>,
    _ algebra: LinearAlgebra
  ) {
    let (m, n) = (packed.outputSize, packed.inputSize)
    precondition(
      gradient.rowCount == m && gradient.columnCount == n,
      "(\(gradient.rowCount), \(gradient.columnCount)) for (\(m), \(n))")
    let size = packed.rowsTogether * n
    let stored = Buffer<Float>(count: algebra.pool.threadCount * size)
    let (source, target, scratch) = unsafe (gradient.pointer, result.pointer, stored.pointer)
    algebra.forEachRows(of: packed) { rows, thread in
      unsafe packed.dequantize(rows: rows, into: scratch + thread * size)
      for row in rows {
        let values = unsafe scratch + thread * size + (row - rows.lowerBound) * n
        for group in 0..<packed.layout.groupCount {
          let place = row * packed.layout.groupCount + group
          let offset = packed.offset(row: row, group: group).map(Double.init) ?? 0
          var (product, sum) = (0.0, 0.0)
          for column in columns(of: group) {
            let derivative = unsafe Double(source[row * n + column])
            product += unsafe derivative * (Double(values[column]) - offset)
            sum += derivative
          }
          unsafe target[scales.lowerBound + place] += Float(product)
          if let offsets {
            unsafe target[offsets.lowerBound + place] += Float(
              sum * Double(packed.scale(row: row, group: group)))
          }
        }
      }
    }
  }

  private func columns(of group: Int) -> Range<Int> {
    let start = min(group * groupColumns, packed.inputSize)
    return start..<min(start + groupColumns, packed.inputSize)
  }

  /// The scales and offsets with the tuned numbers, rounded to F16, as tensors to store.
  ///
  /// - Throws: `CompressionDataError.outOfHalfRange`, `FileError` when there is no memory.
  func storedTensors(_ numbers: borrowing Buffer<Float>) throws -> [StoredTensor] {
    try packed.storedTensors(named: name).compactMap { stored in
      switch stored.name.split(separator: ".").last {
      case "scales":
        try changed(stored) { row, group, place in
          Float(packed.scale(row: row, group: group)) * (1 + numbers[scales.lowerBound + place])
        }
      case "offsets":
        try changed(stored) { row, group, place in
          let scale = Float(packed.scale(row: row, group: group))
          let change = offsets.map { numbers[$0.lowerBound + place] } ?? 0
          return Float(packed.offset(row: row, group: group) ?? 0) + scale * change
        }
      default: nil
      }
    }
  }

  /// A copy of a tensor of a number for each row and group, with other numbers.
  private func changed(
    _ stored: StoredTensor, _ value: (_ row: Int, _ group: Int, _ place: Int) -> Float
  ) throws -> StoredTensor {
    let layout = packed.layout
    var halves = stored.bytes.halves
    for row in 0..<layout.outputSize {
      for group in 0..<layout.groupCount {
        let half = Float16(value(row, group, row * layout.groupCount + group))
        guard half.isFinite else { throw CompressionDataError.outOfHalfRange(tensor: stored.name) }
        halves[layout.scaleIndex(row: row, group: group)] = half
      }
    }
    return try StoredTensor(named: stored.name, shape: stored.shape, halves: halves)
  }
}

extension RawSpan {
  /// The bytes as numbers of F16.
  fileprivate var halves: [Float16] {
    (0..<byteCount / 2).map { index in
      Float16(bitPattern: unsafe unsafeLoadUnaligned(fromByteOffset: 2 * index, as: UInt16.self))
    }
  }
}

extension StoredTensor {
  /// A tensor of F16 in new memory.
  ///
  /// - Throws: `FileError` when there is no memory.
  init(named name: String, shape: [Int], halves: [Float16]) throws(FileError) {
    let file = try MappedFile(anonymousByteCount: 2 * halves.count) { memory in
      for (index, half) in halves.enumerated() {
        memory.storeBytes(of: half.bitPattern, toByteOffset: 2 * index, as: UInt16.self)
      }
    }
    self.init(name: name, elementType: .f16, shape: shape, file: file, byteOffset: 0)
  }
}
