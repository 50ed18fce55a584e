import DuetEvaluation
import DuetRuntime
import DuetSystem
import DuetText
import Foundation

/// A kind of untrusted file or text, for the tests, the mutations of `Scripts/torture` and the
/// fuzzer.
package enum HostileKind: String, CaseIterable, Sendable {
  /// A safetensors file, with data.
  case header
  /// Any JSON text.
  case json
  /// A tokenizer.json.
  case tokenizer
  /// A tokenizer.model.
  case sentencepiece
  /// A chat template.
  case template
  /// A config.json, also read as a generation_config.json.
  case configuration
  /// A model.safetensors.index.json beside two files of weights.
  case index
  /// One file of a compressed model: a byte that is its index, then its contents. See
  /// `CompressedFolders`.
  case packed
  /// A saved session of a tiny model; see `SavedSessions`.
  case session
}

/// A reader of inputs of one kind, which also checks what must hold for every input.
///
/// A check that fails traps, so that the fuzzer and the mutations count it as a crash.
package final class HostileInput {
  private let kind: HostileKind
  private let folder: String
  private let models: CompressedFolders?
  private let sessions: SavedSessions?

  /// Makes a reader with a temporary folder, which is in memory where there is /dev/shm.
  package init(_ kind: HostileKind) throws {
    self.kind = kind
    let parent = FileManager.default.fileExists(atPath: "/dev/shm") ? "/dev/shm" : "/tmp"
    folder =
      "\(parent)/duet-hostile-\(ProcessInfo.processInfo.processIdentifier)-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    models = kind == .packed ? try CompressedFolders(folder) : nil
    sessions = kind == .session ? try SavedSessions() : nil
    guard kind == .index else { return }
    try write("config.json", Array("{\"model_type\":\"llama\"}".utf8))
    for name in ["a", "b"] {
      try write(
        "\(name).safetensors",
        safeTensorsBytes(
          header: #"{"\#(name)":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}"#, dataBytes: 2))
    }
  }

  deinit { try? FileManager.default.removeItem(atPath: folder) }

  /// Reads `bytes`.
  ///
  /// - Returns: Whether they were accepted; otherwise they were refused with one printable sentence.
  package func accepts(_ bytes: [UInt8]) -> Bool {
    do {
      switch kind {
      case .header: try readHeader(bytes)
      case .json: Self.visit(try JSONDocument(parsing: bytes, path: "j", limits: .smallFile).root)
      case .tokenizer: try readTokenizer("tokenizer.json", bytes)
      case .sentencepiece: try readTokenizer("tokenizer.model", bytes)
      case .template: try readTemplate(bytes)
      case .configuration: try readConfiguration(bytes)
      case .index:
        try write("model.safetensors.index.json", bytes)
        _ = try Checkpoint(contentsOf: folder)
      case .packed: try models?.read(bytes)
      case .session: try sessions?.read(bytes)
      }
      return true
    } catch {
      check(error)
      return false
    }
  }

  /// Checks that an error is one sentence that a terminal can show, with an exit code for bad data.
  private func check(_ error: any Error) {
    guard let error = error as? any DuetError else { broken("an error of another kind: \(error)") }
    let sentence = String(describing: error)
    if sentence.isEmpty || !sentence.unicodeScalars.allSatisfy(isSafeToDisplay) {
      broken("an error that cannot be shown: \(sentence)")
    }
    switch error.category {
    case .refusedData: break
    // An index can name files that do not exist, a template can refuse the conversation.
    case .inputOutput where kind == .index || kind == .packed: break
    // A scale or a weight that is not a number, or numbers that grow beyond all bounds.
    case .numerical where kind == .packed || kind == .session: break
    // A session can be longer than the context.
    case .usage where kind == .template || kind == .session: break
    default: broken("the wrong exit code, \(error.category), for: \(sentence)")
    }
  }

  /// Prints the reason and traps; in release mode a precondition does not print its message.
  private func broken(_ promise: String) -> Never {
    FileHandle.standardError.write(Data("\(kind.rawValue): \(promise)\n".utf8))
    preconditionFailure()
  }

  private func write(_ name: String, _ bytes: [UInt8]) throws {
    try Data(bytes).write(to: URL(fileURLWithPath: "\(folder)/\(name)"))
  }

  // MARK: - Kinds

  private func readHeader(_ bytes: [UInt8]) throws {
    let file = try SafeTensorsFile(MappedFile(bytes, path: "h"))
    var end = file.tensors.first?.byteRange.lowerBound ?? bytes.count
    for info in file.tensors {
      precondition(info.byteRange.lowerBound == end && info.byteRange.upperBound <= bytes.count)
      end = info.byteRange.upperBound
      precondition(file.tensor(named: info.name) == info)
      guard info.byteRange.lowerBound % info.elementType.alignment == 0 else { continue }
      let tensor = StoredTensor(
        name: info.name, elementType: info.elementType, shape: info.shape, file: file.file,
        byteOffset: info.byteRange.lowerBound)
      precondition(tensor.byteCount == info.byteRange.count)
    }
    precondition(end == bytes.count)
  }

  /// Reads every value through every accessor.
  private static func visit(_ value: JSONValue) {
    _ = (value.int, value.uint64, value.double, value.string, value.utf8)
    for element in value.elements.map(Array.init) ?? [] { visit(element) }
    for member in value.members.map(Array.init) ?? [] {
      _ = member.name
      visit(member.value)
    }
  }

  private func readTokenizer(_ name: String, _ bytes: [UInt8]) throws {
    try write(name, bytes)
    let tokenizer = try Tokenizer(contentsOf: folder)
    let ids = tokenizer.encode("ab  abc <s> \u{e9} \u{0} \u{1F999} aaaa<|end|>")
    precondition(ids.allSatisfy { $0 >= 0 && $0 < tokenizer.vocabularySize })
    let content = tokenizer.encode([
      TextSegment("<s>ab", isContent: false), TextSegment("<s> a", isContent: true),
    ])
    _ = tokenizer.decode(ids + [-1, .max, tokenizer.vocabularySize], skippingSpecialTokens: true)
    var stream = TokenStream(tokenizer)
    for id in content { _ = stream.append(id) }
    _ = stream.finish()
    for id in ids { _ = tokenizer.displayedPiece(id) }
  }

  private func readTemplate(_ bytes: [UInt8]) throws {
    let template = try ChatTemplate(source: String(decoding: bytes, as: UTF8.self))
    let messages = [
      ChatMessage(role: .system, content: " S "), ChatMessage(role: .user, content: "{{ U }}"),
      ChatMessage(role: .assistant, content: "A"), ChatMessage(role: .user, content: "V"),
    ]
    let segments = try template.render(
      messages, beginningOfSequence: "<s>", endOfSequence: "</s>",
      date: CalendarDate(year: 2025, month: 3, day: 9))
    precondition(segments.allSatisfy { !$0.text.isEmpty })
  }

  private func readConfiguration(_ bytes: [UInt8]) throws {
    do {
      _ = try GenerationConfiguration(parsing: bytes, path: "g")
    } catch {
      check(error)
    }
    let accepted = try Configuration(parsing: bytes, path: "c")
    precondition(accepted.headSize % 2 == 0)
    precondition(
      accepted.queriesPerKeyValueHead * accepted.keyValueHeadCount == accepted.headCount)
    precondition((1...(1 << 24)).contains(accepted.queryWidth))
    precondition(accepted.rotaryBase.isFinite && accepted.rotaryBase > 0)
  }
}
