import DuetRuntime
import DuetSystem
import Kernels

/// The kernel calls of a token that do not multiply weights.
///
/// They are norms, sums, checks for finite numbers, rotary embeddings, attention and the gate.
struct NumberKernels {
  /// The calls by kind of kernel.
  let kinds: [[() -> Void]]

  /// Makes the calls of a token that sees `keyCount` positions.
  init(_ configuration: Configuration, _ kernelSet: KernelSet, keyCount: Int) {
    let table = unsafe kernelSet.table
    let memory = TokenMemory(configuration, keyCount: keyCount)
    let (hidden, middle) = (configuration.hiddenSize, configuration.intermediateSize)
    let (headSize, keyHeads) = (configuration.headSize, configuration.keyValueHeadCount)
    func times(_ count: Int, _ body: @escaping () -> Void) -> [() -> Void] {
      [() -> Void](repeating: body, count: count)
    }
    let layers = configuration.layerCount
    kinds = [
      times(2 * layers + 1) {
        unsafe table.pointee.rms_norm(
          memory.x.pointer, memory.gains.pointer, hidden, 1e-5, memory.y.pointer)
      },
      times(2 * layers) {
        unsafe table.pointee.add(memory.zeros.pointer, hidden, memory.y.pointer)
      },
      times(layers) {
        memory.flag &+= unsafe table.pointee.all_finite(memory.x.pointer, hidden)
      },
      times(1) {
        memory.flag &+= unsafe table.pointee.all_finite(
          memory.x.pointer, configuration.vocabularySize)
      },
      times(layers) {
        unsafe table.pointee.rotate(
          memory.turned.pointer, configuration.headCount + keyHeads, headSize,
          memory.halfRoots.pointer, memory.halfRoots.pointer)
      },
      times(2 * layers * keyHeads) {
        unsafe table.pointee.narrow_f16(memory.x.pointer, headSize, memory.halves.pointer)
      },
      times(layers * keyHeads) {
        unsafe memory.attend(table, configuration, keyCount: keyCount)
      },
      times(layers) {
        unsafe table.pointee.silu_product(
          memory.x.pointer, memory.gains.pointer, middle, memory.y.pointer)
      },
    ]
  }
}

/// The operands of `NumberKernels`: normal numbers that do not grow in repeated calls.
@safe
private final class TokenMemory {
  let x: Buffer<Float>
  let gains: Buffer<Float>
  let y: Buffer<Float>
  let zeros: Buffer<Float>
  let turned: Buffer<Float>
  let halfRoots: Buffer<Float>
  let halves: Buffer<UInt16>
  private let scratch: Buffer<Float>
  // The arguments of attention: a query and an output for each head of a group, and the keys they see.
  private let queries: [UnsafePointer<Float>]
  private let outputs: [UnsafeMutablePointer<Float>]
  private let first: [Int]
  private let last: [Int]
  var flag: Int32 = 0

  init(_ configuration: Configuration, keyCount: Int) {
    let count = max(
      configuration.vocabularySize, configuration.intermediateSize, configuration.hiddenSize,
      configuration.queryWidth + configuration.keyValueWidth)
    x = MachineProbe.gaussians(count: count)
    gains = MachineProbe.gaussians(count: count)
    y = Buffer(count: count)
    zeros = Buffer(count: count)
    turned = MachineProbe.gaussians(count: count)
    halfRoots = Buffer(count: configuration.headSize)
    halves = Buffer(count: 2 * keyCount * configuration.headSize)
    scratch = Buffer(count: 2 * Int(KERNELS_KEY_BLOCK) * configuration.headSize)
    let (headSize, group) = (configuration.headSize, configuration.queriesPerKeyValueHead)
    let (inputs, results) = unsafe (x.pointer, y.pointer)
    unsafe queries = unsafe (0..<group).map { unsafe UnsafePointer(inputs + $0 * headSize) }
    unsafe outputs = unsafe (0..<group).map { unsafe results + $0 * headSize }
    first = [Int](repeating: 0, count: group)
    last = [Int](repeating: keyCount, count: group)
    for index in 0..<halfRoots.count {
      // The cosines and sines are both the square root of a half, so lengths do not change.
      unsafe halfRoots.pointer[index] = Float(0.5).squareRoot()
    }
    for index in 0..<halves.count {
      unsafe halves.pointer[index] = Float16(x[index % count]).bitPattern
    }
  }

  /// Computes the attention of the queries of one key-value head to `keyCount` keys.
  func attend(_ table: UnsafePointer<kernels_set>, _ configuration: Configuration, keyCount: Int) {
    let (headSize, group) = (configuration.headSize, configuration.queriesPerKeyValueHead)
    unsafe queries.withUnsafeBufferPointer { queries in
      unsafe outputs.withUnsafeBufferPointer { outputs in
        guard let query = queries.baseAddress, let output = outputs.baseAddress else { return }
        unsafe table.pointee.attend_f16(
          query, group, headSize, 0.1, halves.pointer, halves.pointer + keyCount * headSize,
          first, last, output, scratch.pointer)
      }
    }
  }
}

/// The product of one token and a dense matrix, on the calling thread.
final class DenseCall {
  private let matrix: DenseMatrix
  private let kernelSet: KernelSet
  private let input: Buffer<Float>
  private let output: Buffer<Float>

  init(_ matrix: DenseMatrix, _ kernelSet: KernelSet) {
    self.matrix = matrix
    self.kernelSet = kernelSet
    input = MachineProbe.gaussians(count: matrix.inputSize)
    output = Buffer(count: matrix.outputSize)
  }

  func run() {
    unsafe kernelSet.multiply(matrix, input.pointer, into: output.pointer)
  }
}
