internal import DuetSystem
internal import DuetText

/// Typed access to the keys of a configuration file, with errors that name the key.
///
/// A key whose value is `null` counts as absent, except where `isNull` is asked.
struct ConfigurationFile {
  let path: String
  private let root: JSONValue
  /// Names of the enclosing objects, for messages: "rope_scaling.".
  private let prefix: String

  init(contentsOf path: String) throws(ConfigurationError) {
    let bytes: [UInt8]
    do throws(FileError) {
      bytes = try readFile(path, limit: JSONLimits.smallFile.byteCount)
    } catch {
      throw .file(error)
    }
    try self.init(parsing: bytes, path: path)
  }

  init(parsing bytes: [UInt8], path: String) throws(ConfigurationError) {
    let document: JSONDocument
    do throws(JSONError) {
      document = try JSONDocument(parsing: bytes, path: path, limits: .smallFile)
    } catch {
      throw .json(error)
    }
    guard document.root.kind == .object else { throw .notAnObject(path: path) }
    self.init(path: path, root: document.root, prefix: "")
  }

  private init(path: String, root: JSONValue, prefix: String) {
    self.path = path
    self.root = root
    self.prefix = prefix
  }

  /// The key as messages name it.
  func name(_ key: String) -> String { prefix + key }

  func value(_ key: String) -> JSONValue? {
    guard let value = root[key], !value.isNull else { return nil }
    return value
  }

  /// The keys, in the order of the file.
  var keys: [String] { root.members.map { $0.map(\.name) } ?? [] }

  func isNull(_ key: String) -> Bool { root[key]?.isNull == true }

  func object(_ key: String) throws(ConfigurationError) -> ConfigurationFile? {
    guard let value = value(key) else { return nil }
    guard value.kind == .object else { throw wrongType(key, "an object or null") }
    return ConfigurationFile(path: path, root: value, prefix: name(key) + ".")
  }

  func bool(_ key: String) throws(ConfigurationError) -> Bool? {
    guard let value = value(key) else { return nil }
    guard let bool = value.bool else { throw wrongType(key, "true or false") }
    return bool
  }

  func string(_ key: String) throws(ConfigurationError) -> String? {
    guard let value = value(key) else { return nil }
    guard let string = value.string else { throw wrongType(key, "a string") }
    return string
  }

  /// An integer of a range; one that is written as a float, such as 64.0, counts as an integer.
  func int(_ key: String, in range: ClosedRange<Int>) throws(ConfigurationError) -> Int? {
    guard let value = value(key) else { return nil }
    return try int(value, key, in: range)
  }

  /// One integer or an array of integers.
  func ints(_ key: String, in range: ClosedRange<Int>) throws(ConfigurationError) -> [Int]? {
    guard let value = value(key) else { return nil }
    guard let elements = value.elements else { return [try int(value, key, in: range)] }
    var result: [Int] = []
    for element in elements { result.append(try int(element, key, in: range)) }
    return result
  }

  /// An array of strings.
  func strings(_ key: String) throws(ConfigurationError) -> [String]? {
    guard let value = value(key) else { return nil }
    let strings = value.elements?.map(\.string)
    guard let strings, strings.allSatisfy({ $0 != nil }) else {
      throw wrongType(key, "an array of strings")
    }
    return strings.compactMap { $0 }
  }

  /// A finite number above (or, where `allowsLowest`, at) `lowest` and at most `highest`.
  func double(
    _ key: String, from lowest: Double, allowsLowest: Bool = false, to highest: Double
  ) throws(ConfigurationError) -> Double? {
    guard let value = value(key) else { return nil }
    guard value.kind == .number else { throw wrongType(key, "a number") }
    guard let double = value.double, double <= highest,
      allowsLowest ? double >= lowest : double > lowest
    else {
      throw .outOfRange(
        path: path, key: name(key), value: value.double.map { "\($0)" } ?? "too large",
        allowed: "\(allowsLowest ? "at least" : "above") \(lowest) and at most \(highest)")
    }
    return double
  }

  private func int(
    _ value: JSONValue, _ key: String, in range: ClosedRange<Int>
  ) throws(ConfigurationError) -> Int {
    guard value.kind == .number else { throw wrongType(key, "an integer") }
    // Some programs write integers as floats: 64.0 is 64.
    if let int = value.int ?? value.double.flatMap({ Int(exactly: $0) }) {
      guard range.contains(int) else { throw outOfRange(key, "\(int)", range) }
      return int
    }
    guard let double = value.double, double.rounded() != double
    else { throw outOfRange(key, value.double.map { "\($0)" } ?? "too large", range) }
    throw wrongType(key, "an integer")
  }

  private func outOfRange(
    _ key: String, _ value: String, _ range: ClosedRange<Int>
  ) -> ConfigurationError {
    .outOfRange(
      path: path, key: name(key), value: value,
      allowed: "\(range.lowerBound) to \(range.upperBound)")
  }

  private func wrongType(_ key: String, _ expected: String) -> ConfigurationError {
    .wrongType(path: path, key: name(key), expected: expected)
  }
}
