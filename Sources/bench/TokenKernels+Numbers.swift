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
    let memory = TokenMemory(configuration)
    let attention = AttentionCall(
      headSize: configuration.headSize, queryCount: configuration.queriesPerKeyValueHead,
      keyCount: keyCount, .f16)
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
        unsafe attention.run(table)
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
  var flag: Int32 = 0

  init(_ configuration: Configuration) {
    let count = max(
      configuration.vocabularySize, configuration.intermediateSize, configuration.hiddenSize,
      configuration.queryWidth + configuration.keyValueWidth)
    x = MachineProbe.gaussians(count: count)
    gains = MachineProbe.gaussians(count: count)
    y = Buffer(count: count)
    zeros = Buffer(count: count)
    turned = MachineProbe.gaussians(count: count)
    halfRoots = Buffer(count: configuration.headSize)
    halves = Buffer(count: configuration.headSize)
    for index in 0..<halfRoots.count {
      // The cosines and sines are both the square root of a half, so lengths do not change.
      unsafe halfRoots.pointer[index] = Float(0.5).squareRoot()
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
