import DuetRuntime
import DuetSystem
import Glibc

/// Many mutations of good inputs, given to the readers of one kind in this process.
///
/// Case number n depends only on the seed, not on the cases before it, so it can be replayed alone.
package struct MutationRun {
  /// What is mutated.
  package let kind: HostileKind
  /// The seed of the random changes.
  package let seed: UInt64
  private let examples: [[UInt8]]

  /// The result of a run.
  package struct Outcome: Sendable {
    /// The number of inputs that were accepted.
    package var acceptedCount = 0
    /// The number of inputs that were refused.
    package var refusedCount = 0
    /// The longest time of a case, in seconds of processor time.
    package var slowestSeconds = 0.0
    /// The number of the slowest case.
    package var slowestCase = 0
    /// The number of cases that took more than `timeLimit`.
    package var hangCount = 0
    /// How much the resident memory grew after the first thousandth of the cases, in bytes.
    package var growth = 0
  }

  /// The longest time that any input may take, in seconds of processor time.
  package static let timeLimit = 1.0
  /// The largest growth of resident memory, in bytes.
  package static let growthLimit = 64 << 20

  /// A run over `kind`.
  package init(_ kind: HostileKind, seed: UInt64) throws {
    self.kind = kind
    self.seed = seed
    examples = try kind.examples()
  }

  /// The input of case `number`.
  package func input(_ number: Int) -> [UInt8] {
    var generator = RandomGenerator(seed: seed &* 0x9E37_79B9_7F4A_7C15 &+ UInt64(number))
    let example = examples[number % examples.count]
    // The first case of each example is the example itself.
    guard number >= examples.count else { return example }
    switch kind {
    case .header: return Self.mutatedWeights(example, using: &generator)
    case .packed:
      let (selector, file) = (example[0], Array(example[1...]))
      // JSON begins with a brace, weights with a length.
      guard file.first != UInt8(ascii: "{") else {
        return [selector]
          + (generator.next() % 2 == 0
            ? mutated(file, using: &generator) : withOtherValues(file, using: &generator))
      }
      return [selector]
        + (generator.next() % 2 == 0
          ? Self.mutatedWeights(file, using: &generator)
          : Self.mutatedData(file, using: &generator))
    default: return mutated(example, using: &generator)
    }
  }

  /// The bytes of the header of a safetensors file, without its length, and of the data.
  private static func parts(_ file: [UInt8]) -> (header: [UInt8], data: [UInt8]) {
    let size = file[..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
    return (Array(file[8..<8 + size]), Array(file[(8 + size)...]))
  }

  /// A safetensors file with a changed header.
  ///
  /// The length before the header fits it, except in two cases of eight. In another one of eight
  /// the data are changed too.
  private static func mutatedWeights(
    _ file: [UInt8], using generator: inout RandomGenerator
  ) -> [UInt8] {
    var (header, data) = parts(file)
    header = mutated(header, using: &generator)
    let choice = generator.next() % 8
    var length = (0..<8).map { UInt8(truncatingIfNeeded: header.count >> (8 * $0)) }
    if choice == 0 { length = mutated(length, using: &generator) }
    if choice == 1 { header = mutated(header, using: &generator) }
    if choice == 2 { data = mutated(data, using: &generator) }
    return length + header + data
  }

  /// A safetensors file with an unchanged header and one to three changed bytes of data.
  ///
  /// Small tensors are as likely to be changed as large ones: most of the values that are checked
  /// are in them.
  private static func mutatedData(
    _ file: [UInt8], using generator: inout RandomGenerator
  ) -> [UInt8] {
    var result = file
    let ranges = (try? SafeTensorsFile(MappedFile(file)))?.tensors.map(\.byteRange) ?? []
    for _ in 0..<Int.random(in: 1...3, using: &generator) {
      guard let range = ranges.randomElement(using: &generator),
        let place = range.randomElement(using: &generator)
      else { continue }
      // Exponents of all ones, as in infinities and NaN, would be rare by chance.
      result[place] =
        [0x7C, 0x7F, 0xFF, UInt8.random(in: 0...255, using: &generator)]
        .randomElement(using: &generator) ?? 0
    }
    return result
  }

  /// Reads the inputs of all cases in `range`.
  ///
  /// - Parameters:
  ///   - range: The numbers of the cases.
  ///   - began: Called with the number of a case before its input is made.
  /// - Returns: The counts.
  /// - Throws: An error when no temporary folder can be made.
  package func run(_ range: Range<Int>, began: (Int) -> Void = { _ in }) throws -> Outcome {
    let reader = try HostileInput(kind)
    var outcome = Outcome()
    var start = 0
    for number in range {
      began(number)
      let bytes = input(number)
      let before = threadSeconds()
      if reader.accepts(bytes) { outcome.acceptedCount += 1 } else { outcome.refusedCount += 1 }
      let seconds = threadSeconds() - before
      if seconds > Self.timeLimit { outcome.hangCount += 1 }
      if seconds > outcome.slowestSeconds {
        (outcome.slowestSeconds, outcome.slowestCase) = (seconds, number)
      }
      let done = number - range.lowerBound + 1
      if done == max(1, range.count / 1000) { start = residentBytes() }
      if done % 1024 == 0 || done == range.count {
        outcome.growth = max(outcome.growth, start == 0 ? 0 : residentBytes() - start)
      }
    }
    return outcome
  }
}

/// The memory of this process that is in RAM, in bytes.
package func residentBytes() -> Int {
  guard let file = unsafe fopen("/proc/self/statm", "r") else { return 0 }
  defer { _ = unsafe fclose(file) }
  var text = [CChar](repeating: 0, count: 128)
  guard unsafe fgets(&text, 128, file) != nil else { return 0 }
  let fields = String(
    decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self
  )
  .split(separator: " ")
  return fields.count > 1 ? (Int(fields[1]) ?? 0) * Int(sysconf(Int32(_SC_PAGESIZE))) : 0
}

/// The processor time of this thread, in seconds, which other work on the machine does not
/// lengthen.
package func threadSeconds() -> Double {
  var time = timespec()
  guard unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) == 0 else { return 0 }
  return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}
