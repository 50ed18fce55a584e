internal import DuetSystem
internal import Kernels

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// Memory for the attention of one token, of which each part sees some of the keys.
///
/// Parts are of positions that do not depend on the number of threads, so results do not either.
struct AttentionParts: ~Copyable {
  /// The positions of a part.
  ///
  /// The keys and values of 512 positions take some ten microseconds to read, ten times as long as
  /// starting a job.
  static var positionCount: Int { 512 }

  /// The most parts.
  private let capacity: Int
  private let headCount: Int
  private let headSize: Int
  /// (part, query head, headSize): outputs that are not divided by their sums.
  private let outputs: Buffer<Float>
  /// (part, query head).
  private let softmaxes: Buffer<kernels_softmax>

  /// Memory for `capacity` positions.
  init(_ configuration: Configuration, capacity: Int) {
    self.capacity = (capacity + Self.positionCount - 1) / Self.positionCount
    headCount = configuration.headCount
    headSize = configuration.headSize
    let count = self.capacity > 1 ? headCount * self.capacity : 0
    outputs = Buffer(count: count * headSize)
    softmaxes = Buffer(count: count)
  }

  /// The addresses, for the threads of a job.
  @unsafe
  var addresses: AttentionPartAddresses {
    unsafe AttentionPartAddresses(
      headCount: headCount, headSize: headSize, outputs: outputs.pointer,
      softmaxes: softmaxes.pointer)
  }
}

/// The addresses of `AttentionParts`.
@unsafe
struct AttentionPartAddresses {
  let headCount: Int
  let headSize: Int
  let outputs: UnsafeMutablePointer<Float>
  let softmaxes: UnsafeMutablePointer<kernels_softmax>

  /// The output of a query head for a part of the keys.
  func output(head: Int, part: Int) -> UnsafeMutablePointer<Float> {
    unsafe outputs + (part * headCount + head) * headSize
  }

  /// The softmax of a query head for a part of the keys; that of the next head follows.
  func softmax(head: Int, part: Int) -> UnsafeMutablePointer<kernels_softmax> {
    unsafe softmaxes + part * headCount + head
  }

  /// Joins the parts of a query head.
  ///
  /// output = sum_p 2^(m_p - m) output_p / sum_p 2^(m_p - m) sum_p, with m_p the maximum of part p and m
  /// the largest of them.
  ///
  /// - Complexity: O(`count` * headSize); no allocation.
  ///
  /// Source: Dao et al., Flash-Decoding, 2023.
  func join(head: Int, count: Int, into output: UnsafeMutablePointer<Float>) {
    var maximum = -Float.greatestFiniteMagnitude
    for part in 0..<count {
      maximum = unsafe max(maximum, softmax(head: head, part: part).pointee.maximum)
    }
    var sum: Float = 0
    for part in 0..<count {
      let part = unsafe softmax(head: head, part: part).pointee
      sum += exp2(part.maximum - maximum) * part.sum
    }
    for part in 0..<count {
      let factor = unsafe exp2(softmax(head: head, part: part).pointee.maximum - maximum) / sum
      let source = unsafe self.output(head: head, part: part)
      for index in unsafe 0..<headSize {
        let rest = unsafe part == 0 ? 0 : output[index]
        unsafe output[index] = rest + factor * source[index]
      }
    }
  }
}
