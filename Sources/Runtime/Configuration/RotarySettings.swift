#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// The settings of the rotary embedding, from every spelling that transformers reads.
///
/// The base is "rope_theta", at the top or in "rope_scaling" or "rope_parameters"; the scaling is one of
/// these two objects. Settings that are given twice must agree.
struct RotarySettings {
  let base: Double
  let scaling: Configuration.RotaryScaling

  /// Reads the settings of a config.json with the given "max_position_embeddings".
  init(_ file: ConfigurationFile, contextLength: Int) throws(ConfigurationError) {
    try Self.refusePartial(file)
    var bases: [(key: String, value: Double)] = []
    var scalings: [(key: String, value: Configuration.RotaryScaling)] = []
    if let base = try Self.base(file) { bases.append(("rope_theta", base)) }
    for key in ["rope_scaling", "rope_parameters"] {
      guard let object = try file.object(key) else { continue }
      try Self.refusePartial(object)
      // One object for each kind of layer: models with several kinds are not supported.
      for kind in ["full_attention", "sliding_attention"] where object.value(kind) != nil {
        throw .unsupportedValue(
          path: file.path, key: object.name(kind), value: "present",
          supported: "one set of parameters for all layers")
      }
      if let base = try Self.base(object) { bases.append((object.name("rope_theta"), base)) }
      scalings.append((key, try Self.scaling(object, file, key: key, contextLength)))
    }
    for other in bases.dropFirst() where other.value != bases[0].value {
      throw .conflict(path: file.path, key: bases[0].key, otherKey: other.key)
    }
    for other in scalings.dropFirst() where other.value != scalings[0].value {
      throw .conflict(path: file.path, key: scalings[0].key, otherKey: other.key)
    }
    base = bases.first?.value ?? 10_000
    scaling = scalings.first?.value ?? .none
  }

  private static func base(_ file: ConfigurationFile) throws(ConfigurationError) -> Double? {
    // The largest base seen in published models is 1e9 or so; angles are computed in Double.
    try file.double("rope_theta", from: 0, to: 1e15)
  }

  private static func refusePartial(_ file: ConfigurationFile) throws(ConfigurationError) {
    if let share = try file.double("partial_rotary_factor", from: 0, to: 1), share != 1 {
      throw .unsupportedValue(
        path: file.path, key: file.name("partial_rotary_factor"), value: "\(share)",
        supported: "1")
    }
  }

  private static func scaling(
    _ object: ConfigurationFile, _ file: ConfigurationFile, key: String, _ contextLength: Int
  ) throws(ConfigurationError) -> Configuration.RotaryScaling {
    let type = try object.string("rope_type")
    let olderType = try object.string("type")
    if let type, let olderType, type != olderType {
      throw .conflict(
        path: file.path, key: object.name("type"), otherKey: object.name("rope_type"))
    }
    switch type ?? olderType ?? "default" {
    case "default": return .none
    case "linear": return .linear(factor: try factor("factor", of: object))
    case "llama3": return try llama3(object, file)
    case "yarn": return try yarn(object, file, contextLength)
    case let other:
      throw .unsupportedRotaryType(path: file.path, key: key, value: other)
    }
  }

  private static func factor(
    _ key: String, of object: ConfigurationFile
  ) throws(ConfigurationError) -> Double {
    guard let value = try object.double(key, from: 0, to: 1e6) else {
      throw .missing(path: object.path, key: object.name(key))
    }
    return value
  }

  private static let lengthKey = "original_max_position_embeddings"

  /// The context length before it was extended, from the top of the file or from the scaling.
  private static func originalLength(
    _ object: ConfigurationFile, _ file: ConfigurationFile
  ) throws(ConfigurationError) -> Int? {
    let lengths = 1...(1 << 24)
    if let length = try file.int(lengthKey, in: lengths) { return length }
    return try object.int(lengthKey, in: lengths)
  }

  private static func llama3(
    _ object: ConfigurationFile, _ file: ConfigurationFile
  ) throws(ConfigurationError) -> Configuration.RotaryScaling {
    let low = try factor("low_freq_factor", of: object)
    let high = try factor("high_freq_factor", of: object)
    guard low < high else {
      throw .outOfRange(
        path: object.path, key: object.name("high_freq_factor"), value: "\(high)",
        allowed: "above \"low_freq_factor\" (\(low))")
    }
    guard let length = try originalLength(object, file) else {
      throw .missing(path: object.path, key: object.name(lengthKey))
    }
    return .llama3(
      factor: try factor("factor", of: object), lowFrequencyFactor: low, highFrequencyFactor: high,
      originalContextLength: length)
  }

  /// YaRN with the defaults of transformers.
  ///
  /// The attention factor is "attention_factor", or m(mscale) / m(mscale_all_dim) when both are given, or
  /// m(1), where m(s) = 0.1 s ln(factor) + 1 for factors above 1, else 1.
  private static func yarn(
    _ object: ConfigurationFile, _ file: ConfigurationFile, _ contextLength: Int
  ) throws(ConfigurationError) -> Configuration.RotaryScaling {
    let length = try originalLength(object, file) ?? contextLength
    // null means the ratio of the two lengths.
    let factor =
      try object.isNull("factor")
      ? Double(contextLength) / Double(length) : Self.factor("factor", of: object)
    func number(_ key: String) throws(ConfigurationError) -> Double? {
      try object.double(key, from: 0, allowsLowest: true, to: 1e6)
    }
    func magnitude(_ scale: Double) -> Double { factor > 1 ? 0.1 * scale * log(factor) + 1 : 1 }
    var attention = magnitude(1)
    if let given = try number("attention_factor") {
      attention = given
    } else {
      // Zero counts as absent.
      let (scale, other) = (try number("mscale") ?? 0, try number("mscale_all_dim") ?? 0)
      if scale != 0, other != 0 { attention = magnitude(scale) / magnitude(other) }
    }
    func turns(_ key: String, _ fallback: Double) throws(ConfigurationError) -> Double {
      let given = try number(key) ?? 0
      return given == 0 ? fallback : given
    }
    let (fast, slow) = (try turns("beta_fast", 32), try turns("beta_slow", 1))
    guard slow <= fast else {
      throw .outOfRange(
        path: object.path, key: object.name("beta_fast"), value: "\(fast)",
        allowed: "at least \"beta_slow\" (\(slow))")
    }
    return .yarn(
      factor: factor, attentionFactor: attention, fastTurns: fast, slowTurns: slow,
      originalContextLength: length, roundsBounds: try object.bool("truncate") ?? true)
  }
}
