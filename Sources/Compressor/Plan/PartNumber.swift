/// The number of a part of a model, when several machines compress a part each: "2/6" is the second of six.
public struct PartNumber: Sendable, Hashable, CustomStringConvertible {
  /// Which part it is, from 1.
  public let index: Int
  /// The number of all parts.
  public let count: Int

  /// The number of a part, or nil unless 1 <= index <= count.
  public init?(_ index: Int, of count: Int) {
    guard index >= 1, index <= count else { return nil }
    self.index = index
    self.count = count
  }

  /// Reads "2/6"; nil for any other text.
  public init?(reading text: String) {
    let numbers = text.split(separator: "/", omittingEmptySubsequences: false)
    // Int would also accept a sign.
    guard numbers.count == 2, numbers.allSatisfy({ $0.utf8.allSatisfy { (48...57).contains($0) } }),
      let index = Int(numbers[0]), let count = Int(numbers[1])
    else { return nil }
    self.init(index, of: count)
  }

  /// All parts of a division into `count`.
  static func all(_ count: Int) -> [PartNumber] {
    (0..<count).compactMap { PartNumber($0 + 1, of: count) }
  }

  /// "2/6".
  public var description: String { "\(index)/\(count)" }

  /// The range of this part when `total` things are divided into parts that differ by one at most.
  ///
  /// It is empty for some parts when there are more parts than things.
  func share(of total: Int) -> Range<Int> {
    total * (index - 1) / count..<total * index / count
  }
}
