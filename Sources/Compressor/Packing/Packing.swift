package import DuetRuntime
internal import DuetSystem

/// The tensors of a compressed linear layer, as they are stored in the file.
package struct Packing {
  let name: String
  let pool: WorkerPool

  /// The packing of the layer `name`.
  package init(_ name: String, _ algebra: LinearAlgebra) {
    self.name = name
    pool = algebra.pool
  }

  /// The number of bytes of `count` outlier columns with their indexes.
  package static func columnsByteCount(outputSize: Int, count: Int) -> Int {
    count == 0
      ? 0
      : CompressedFormat.columnsLayout(outputSize: outputSize, count: count).byteCount() + 4 * count
  }

  /// All tensors of a layer.
  ///
  /// - Throws: `PackedMatrixError` when a scale is not finite as F16, or when there is not enough memory.
  package func tensors(
    _ decomposition: borrowing Decomposition, _ columns: borrowing QuantizedMatrix?,
    _ channels: OutlierColumns?
  ) throws(PackedMatrixError) -> [StoredTensor] {
    var tensors: [StoredTensor] = []
    switch decomposition.quantized {
    case .none: break
    case .some(let quantized): tensors += try packed(quantized).storedTensors(named: name)
    }
    let factors = decomposition.factors.copy()
    if factors.rank > 0 { tensors += try self.factors(factors) }
    switch columns {
    case .none: break
    case .some(let columns):
      tensors += try packed(columns).storedTensors(named: "\(name).columns")
    }
    if let channels = channels?.channels {
      tensors.append(
        try stored("\(name).columns.index", .i32, [channels.count]) { memory in
          for (index, channel) in channels.enumerated() {
            memory.storeBytes(of: Int32(channel), toByteOffset: 4 * index, as: Int32.self)
          }
        })
    }
    return tensors
  }

  /// The tensors of L and R.
  private func factors(
    _ factors: borrowing StoredFactors
  ) throws(PackedMatrixError) -> [StoredTensor] {
    let product = factors.product.copy()
    let (rank, m, n) = (
      product.rank, product.leftTransposed.columnCount, product.right.columnCount
    )
    guard let layouts = factors.storage.layouts(rank: rank, outputSize: m, inputSize: n) else {
      let left = try stored("\(name).left.values", .f16, [m, rank]) { memory in
        for row in 0..<m {
          for component in 0..<rank {
            let value = Float16(product.leftTransposed[component, row])
            memory.storeBytes(
              of: value.bitPattern, toByteOffset: 2 * (row * rank + component), as: UInt16.self)
          }
        }
      }
      let right = try stored("\(name).right.values", .f16, [rank, n]) { memory in
        for index in 0..<rank * n {
          let value = Float16(product.right.elements[index])
          memory.storeBytes(of: value.bitPattern, toByteOffset: 2 * index, as: UInt16.self)
        }
      }
      return [left, right]
    }
    var left = QuantizedMatrix(layouts.left)
    for row in 0..<m {
      for component in 0..<rank {
        left.values[row, component] = product.leftTransposed[component, row]
      }
    }
    left.scales = factors.leftScales.copy()
    var right = QuantizedMatrix(layouts.right)
    right.values = product.right.copy()
    right.scales = factors.rightScales.copy()
    return try packed(left).storedTensors(named: "\(name).left")
      + packed(right).storedTensors(named: "\(name).right")
  }

  // MARK: - Codes

  /// Packs a matrix into the form that the kernels read.
  ///
  /// The codes reproduce the values exactly.
  ///
  /// - Throws: `PackedMatrixError`.
  /// - Precondition: Every value is on the grid of the matrix.
  package func packed(
    _ matrix: borrowing QuantizedMatrix
  ) throws(PackedMatrixError) -> PackedMatrix {
    let layout = matrix.layout
    var scales = Buffer<Float>(count: layout.outputSize * layout.groupCount)
    var offsets = Buffer<Float>(count: matrix.grid == .asymmetric ? scales.count : 0)
    for row in 0..<layout.outputSize {
      for group in 0..<layout.groupCount {
        let place = row * layout.groupCount + group
        scales[place] = matrix.scale(row: row, group: group)
        if matrix.grid == .asymmetric { offsets[place] = matrix.offset(row: row, group: group) }
      }
    }
    switch layout.format.coding {
    case .lattice:
      let codes = latticeCodes(matrix)
      return try PackedMatrix(packing: codes.span, layout: layout, scales: scales.span)
    case .trellis:
      let bits = trellisBits(matrix)
      return try PackedMatrix(packingTrellis: bits.span, layout: layout, scales: scales.span)
    case .integers:
      let codes = integerCodes(matrix)
      if matrix.grid == .symmetric {
        return try PackedMatrix(packing: codes.span, layout: layout, scales: scales.span)
      }
      return try PackedMatrix(
        packing: codes.span, layout: layout, scales: scales.span, offsets: offsets.span)
    }
  }

  private func integerCodes(_ matrix: borrowing QuantizedMatrix) -> Buffer<UInt8> {
    let layout = matrix.layout
    let width = FeedbackRounding.groupColumns(layout)
    let codes = Buffer<UInt8>(count: layout.outputSize * layout.inputSize)
    pool.run(layout.outputSize) { row, _ in
      for column in 0..<layout.inputSize {
        let scale = matrix.scale(row: row, group: column / width)
        if scale == 0 { continue }
        // Exact: the scale has 11 bits, and the code less the zero point at most 9. With offsets, value and
        // offset are the scale times integers of at most 4 bits.
        let code =
          matrix.grid == .asymmetric
          ? (matrix.values[row, column] - matrix.offset(row: row, group: column / width)) / scale
          : matrix.values[row, column] / scale + layout.format.zeroPoint
        precondition(
          code >= 0 && code <= Float(layout.format.largestCode) && code == code.rounded(),
          "\(name): \(matrix.values[row, column]) is no value of the scale \(scale)")
        unsafe codes.pointer[row * layout.inputSize + column] = UInt8(code)
      }
    }
    return codes
  }

  private func latticeCodes(_ matrix: borrowing QuantizedMatrix) -> Buffer<UInt16> {
    let layout = matrix.layout
    let width = FeedbackRounding.groupColumns(layout)
    let codebook = LatticeCodebook.e8p
    let tail = PartialPoints(coordinateCount: layout.inputSize % 8)
    let codes = Buffer<UInt16>(count: layout.outputSize * layout.codesPerRow)
    pool.run(layout.outputSize) { row, _ in
      for block in 0..<layout.codesPerRow {
        let scale = matrix.scale(row: row, group: 8 * block / width)
        if scale == 0 { continue }
        let count = min(8, layout.inputSize - 8 * block)
        var point = SIMD8<Int8>()
        for i in 0..<count {
          point[i] = Int8((matrix.values[row, 8 * block + i] / scale * 4).rounded())
        }
        guard let code = count == 8 ? codebook.code(of: point) : tail.code(of: point) else {
          preconditionFailure("\(name): \(point) is no point of the codebook")
        }
        unsafe codes.pointer[row * layout.codesPerRow + block] = code
      }
    }
    return codes
  }

  private func stored(
    _ name: String, _ type: ElementType, _ shape: [Int], fill: (inout MutableRawSpan) -> Void
  ) throws(PackedMatrixError) -> StoredTensor {
    do throws(FileError) {
      let byteCount = shape.reduce(1, *) * type.byteCount
      return StoredTensor(
        name: name, elementType: type, shape: shape,
        file: try MappedFile(anonymousByteCount: byteCount, fill: fill), byteOffset: 0)
    } catch {
      throw .memory(error)
    }
  }
}

/// The codes of e8p by the first coordinates of their points.
///
/// Where a matrix ends inside a block of eight columns, only the first coordinates are known, and the
/// others have no effect.
private struct PartialPoints {
  private let coordinateCount: Int
  /// The smallest code for every combination of first coordinates that occurs.
  private var codes: [SIMD8<Int8>: UInt16] = [:]

  /// The codes by the first `coordinateCount` coordinates; none for 0, when there is no such block.
  init(coordinateCount: Int) {
    self.coordinateCount = coordinateCount
    if coordinateCount == 0 { return }
    for code in (0...UInt16.max).reversed() {
      codes[beginning(LatticeCodebook.e8p.point(of: code))] = code
    }
  }

  /// A code whose point has the same first coordinates as `point`, or nil if there is none.
  func code(of point: SIMD8<Int8>) -> UInt16? { codes[beginning(point)] }

  private func beginning(_ point: SIMD8<Int8>) -> SIMD8<Int8> {
    var result = point
    for index in coordinateCount..<8 { result[index] = 0 }
    return result
  }
}
