import DuetRuntime
import DuetSystem
import Kernels

/// The attention of some queries to the keys and values of one head, all of which they see.
@safe
final class AttentionCall {
  let headSize: Int
  let queryCount: Int
  let keyCount: Int
  let type: KVCacheType
  private let queries: Buffer<Float>
  private let outputs: Buffer<Float>
  private let keys: Buffer<UInt8>
  private let values: Buffer<UInt8>
  private let scales: Buffer<Float>
  private let scratch: Buffer<Float>
  // The arguments of the kernel for each query.
  private let queryRows: [UnsafePointer<Float>]
  private let outputRows: [UnsafeMutablePointer<Float>]
  private let first: [Int]
  private let last: [Int]

  init(headSize: Int, queryCount: Int, keyCount: Int, _ type: KVCacheType) {
    self.headSize = headSize
    self.queryCount = queryCount
    self.keyCount = keyCount
    self.type = type
    let lanes = Int(KERNELS_KEY_LANES)
    // Whole blocks of positions, which is also more than a kernel reads after the last value.
    let count = (keyCount / lanes + 1) * lanes * headSize
    queries = MachineProbe.gaussians(count: queryCount * headSize)
    outputs = Buffer(count: queryCount * headSize)
    // The order of random numbers does not matter.
    keys = Self.numbers(count: count, type)
    values = Self.numbers(count: count, type)
    scales = Buffer(count: count / headSize)
    for index in 0..<scales.count { unsafe scales.pointer[index] = 1.0 / 64 }
    scratch = Buffer(count: kernels_attend_scratch(headSize))
    let (inputs, results) = unsafe (queries.pointer, outputs.pointer)
    unsafe queryRows = unsafe (0..<queryCount).map {
      unsafe UnsafePointer(inputs + $0 * headSize)
    }
    unsafe outputRows = unsafe (0..<queryCount).map { unsafe results + $0 * headSize }
    first = [Int](repeating: 0, count: queryCount)
    last = [Int](repeating: keyCount, count: queryCount)
  }

  /// The bytes of the keys and values that are seen.
  var byteCount: Int { 2 * keyCount * headSize * type.byteCount }

  /// The keys, for the read loop.
  var region: MemoryRegion { unsafe MemoryRegion(keys.pointer, byteCount / 2) }

  /// Computes the attention.
  func run(_ table: UnsafePointer<kernels_set>) {
    var head = unsafe kernels_head(
      head_size: headSize, keys: keys.pointer, values: values.pointer,
      key_scales: scales.pointer, value_scales: scales.pointer)
    let attend =
      switch type {
      case .f16: unsafe table.pointee.attend_f16
      case .f32: unsafe table.pointee.attend_f32
      case .int8: unsafe table.pointee.attend_int8
      }
    unsafe attend(
      &head, queryRows, queryCount, 0.088, first, last, outputRows, nil, scratch.pointer)
  }

  private static func numbers(count: Int, _ type: KVCacheType) -> Buffer<UInt8> {
    let result = Buffer<UInt8>(count: count * type.byteCount)
    let numbers = MachineProbe.gaussians(count: count)
    let bytes = unsafe UnsafeMutableRawPointer(result.pointer)
    switch type {
    case .f16:
      let halves = unsafe bytes.assumingMemoryBound(to: UInt16.self)
      for index in 0..<count { unsafe halves[index] = Float16(numbers[index]).bitPattern }
    case .f32:
      unsafe bytes.assumingMemoryBound(to: Float.self).update(
        from: numbers.pointer, count: count)
    case .int8:
      let narrow = unsafe bytes.assumingMemoryBound(to: Int8.self)
      for index in 0..<count { unsafe narrow[index] = Int8(clamping: Int(numbers[index] * 32)) }
    }
    return result
  }
}

extension KernelCall {
  /// The attention kernels of `kernelSet` with keys and values that fit in the cache.
  ///
  /// One query, and four that share a key-value head, are tokens of generation; 64 queries are a tile
  /// of a prompt.
  static func attention(_ kernelSet: KernelSet) -> [KernelCall] {
    let table = unsafe kernelSet.table
    return KVCacheType.allCases.flatMap { type in
      [(1, 512, 128), (4, 512, 128), (64, 2048, 64), (64, 2048, 128)].map {
        queryCount, keyCount, headSize in
        let call = AttentionCall(
          headSize: headSize, queryCount: queryCount, keyCount: keyCount, type)
        return KernelCall(
          "attend_\(type.rawValue)",
          "\(queryCount) \(queryCount == 1 ? "query" : "queries"), \(keyCount) keys of \(headSize)",
          byteCount: call.byteCount,
          // A multiply-add for each query and each number of each key and of each value.
          operationCount: 4 * queryCount * keyCount * headSize, reading: [call.region]
        ) { _ in unsafe call.run(table) }
      }
    }
  }
}
