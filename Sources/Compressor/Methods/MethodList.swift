/// The methods that can be selected by name.
///
/// Only this list, `MatrixAnalysis.Start` and the methods themselves refer to particular methods.
public enum MethodList {
  /// All methods, in the order of help texts.
  public static let all: [any CompressionMethod.Type] = [
    ODLRI.self, CALDERA.self, SRR.self, QERA.self, LQER.self, LoRDQ.self, GPTQ.self, AWQ.self,
    RTN.self,
  ]

  /// The default method.
  public static var standard: any CompressionMethod.Type { CALDERA.self }

  /// The recommended method where L R is not worth its bytes.
  public static var withoutLowRank: any CompressionMethod.Type { GPTQ.self }

  /// The method that rounds to nearest, by which the output head is rounded too.
  static var nearest: any CompressionMethod.Type { RTN.self }

  /// The options that the methods share, and then those that one method declares for itself.
  public static var options: [any MethodOptionDeclaration] {
    MethodOptions.all + all.flatMap { $0.init().choices.others }
  }

  /// The method called `name`, with the values that are given for its options.
  ///
  /// - Parameters:
  ///   - name: `CompressionMethod.name`.
  ///   - choices: The values.
  /// - Returns: The method.
  /// - Throws: `CompressionPlanError` for an unknown name, an option that the method does not read, and
  ///   options that contradict each other.
  public static func method(
    named name: String, _ choices: MethodChoices
  ) throws(CompressionPlanError) -> any CompressionMethod {
    guard let type = all.first(where: { $0.name == name }) else { throw .unknownMethod(name) }
    return try type.init(checking: choices)
  }

  /// The default of an option in words, or nil for an option that takes no value.
  ///
  /// For example "e8p; int4 with lqer and awq".
  package static func defaultText(of option: any MethodOptionDeclaration) -> String? {
    if option.placeholder == nil { return nil }
    if let text = option.defaultText { return text }
    let readers = all.filter { $0.reads(option) }
    return defaultText(of: readers) { $0.defaultText(of: option) }
  }

  /// A default that each method sets itself, in words: "both; none with lqer and awq".
  package static func defaultText(
    _ value: (any CompressionMethod.Type) -> String
  ) -> String {
    defaultText(of: all, value)
  }

  /// The value of the standard method, or of the first if it is not among `types`, then all other values with
  /// their methods.
  private static func defaultText(
    of types: [any CompressionMethod.Type], _ value: (any CompressionMethod.Type) -> String
  ) -> String {
    guard let first = types.first(where: { $0 == standard }) ?? types.first else { return "" }
    let usual = value(first)
    var names: [String: [String]] = [:]
    var order: [String] = []
    for type in types where value(type) != usual {
      let text = value(type)
      if names[text] == nil { order.append(text) }
      names[text, default: []].append(type.name)
    }
    return ([usual] + order.map { "\($0) with \((names[$0] ?? []).joined(separator: " and "))" })
      .joined(separator: "; ")
  }

  /// What an option does, with the name of the method where only one reads it.
  package static func help(of option: any MethodOptionDeclaration) -> String {
    let readers = all.filter { $0.reads(option) }
    return option.help + (readers.count == 1 ? "; \(readers[0].name) only" : "")
  }
}

extension CompressionMethod {
  /// Whether the method reads an option.
  static func reads(_ option: any MethodOptionDeclaration) -> Bool {
    var none = MethodChoices()
    _ = Self(reading: &none)
    return none.isRead(option)
  }

  /// The default of an option that the method reads.
  fileprivate static func defaultText(of option: any MethodOptionDeclaration) -> String {
    option.text(in: Self().choices)
  }
}
