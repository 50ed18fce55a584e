internal import DuetSystem

/// The contents of a tokenizer.model: a SentencePiece model of the byte-pair or the unigram kind.
///
/// Source: google/sentencepiece, `sentencepiece_model.proto`.
struct SentencePieceFile {
  /// The role of a piece.
  enum Kind: UInt64 {
    case normal = 1
    case unknown, control, userDefined, unused, byte
  }

  /// One entry of the vocabulary; its index is its id.
  struct Piece {
    var bytes: [UInt8] = []
    var score: Float = 0
    var kind = Kind.normal
  }

  /// The largest file that is read, in bytes.
  static let sizeLimit = 16_000_000
  /// The longest piece accepted, in bytes; trainers stop at 16 characters by default.
  static let longestPiece = 256

  let path: String
  private(set) var pieces: [Piece] = []
  private(set) var usesByteFallback = false
  private(set) var normalization = SentencePieceNormalization(removesExtraSpaces: true)
  private(set) var beginningOfSequence = 1
  private(set) var endOfSequence = 2
  /// Whether the pieces are for a unigram model; else for byte pairs.
  var isUnigram: Bool { modelType == 1 }
  private var modelType: UInt64 = 1

  /// Reads the file at `path`.
  init(contentsOf path: String) throws(TokenizerError) {
    self.path = path
    let bytes: [UInt8]
    do { bytes = try readFile(path, limit: Self.sizeLimit) } catch { throw .unreadable(error) }
    if Self.isTiktokenList(bytes) { throw .tiktokenFile(path: path) }
    do {
      var reader = ProtobufReader(bytes, in: bytes.indices)
      while let (field, value) = try reader.next() {
        guard case .bytes(let range) = value else { continue }
        switch field {
        case 1: pieces.append(try piece(bytes, range))
        case 2: try readTrainer(bytes, range)
        case 3, 5: try readNormalizer(bytes, range, isDenormalizer: field == 5)
        default: break
        }
      }
    } catch let problem as ProtobufReader.Problem {
      throw .malformedSentencePiece(path: path, offset: problem.offset, problem: problem.text)
    } catch let error as TokenizerError {
      throw error
    } catch {
      throw .malformedSentencePiece(path: path, offset: 0, problem: "an unknown problem")
    }
    guard !pieces.isEmpty else { throw .emptyVocabulary(path: path) }
    guard isUnigram || modelType == 2 else {
      let names: [UInt64: String] = [3: "word", 4: "char"]
      throw .unsupportedSentencePiece(
        path: path, feature: "the model type \(names[modelType] ?? "\(modelType)")")
    }
  }

  /// Whether each line of the file is a base64 word and a number, as in Meta's release of Llama 3.
  private static func isTiktokenList(_ bytes: [UInt8]) -> Bool {
    guard let line = bytes.prefix(4096).split(separator: UInt8(ascii: "\n")).first else {
      return false
    }
    let words = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
    guard words.count == 2, !words[0].isEmpty, !words[1].isEmpty else { return false }
    return words[0].allSatisfy { (0x2B...0x7A).contains($0) }
      && words[1].allSatisfy { (0x30...0x39).contains($0) }
  }

  // MARK: - Messages

  private func piece(_ bytes: [UInt8], _ range: Range<Int>) throws -> Piece {
    var result = Piece()
    var reader = ProtobufReader(bytes, in: range)
    while let (field, value) = try reader.next() {
      switch (field, value) {
      case (1, .bytes(let text)):
        guard text.count <= Self.longestPiece else {
          throw ProtobufReader.Problem(
            offset: text.lowerBound, text: "a piece of \(text.count) bytes")
        }
        result.bytes = Array(bytes[text])
      case (2, .fixed32(let bits)): result.score = Float(bitPattern: bits)
      case (3, .varint(let number)):
        guard let kind = Kind(rawValue: number) else {
          throw ProtobufReader.Problem(
            offset: range.lowerBound, text: "a piece of the unknown kind \(number)")
        }
        result.kind = kind
      default: break
      }
    }
    guard !result.bytes.isEmpty, String(validating: result.bytes, as: UTF8.self) != nil,
      !result.score.isNaN
    else {
      throw ProtobufReader.Problem(
        offset: range.lowerBound, text: "a piece that is empty, not UTF-8 or without a score")
    }
    return result
  }

  private mutating func readTrainer(_ bytes: [UInt8], _ range: Range<Int>) throws {
    var reader = ProtobufReader(bytes, in: range)
    while let (field, value) = try reader.next() {
      guard case .varint(let number) = value else { continue }
      switch field {
      case 3: modelType = number
      case 24 where number != 0:
        throw TokenizerError.unsupportedSentencePiece(
          path: path, feature: "white space as suffix")
      case 35: usesByteFallback = number != 0
      // Ids are signed 32-bit numbers; -1 means that there is none.
      case 41: beginningOfSequence = Int(Int32(truncatingIfNeeded: number))
      case 42: endOfSequence = Int(Int32(truncatingIfNeeded: number))
      default: break
      }
    }
  }

  private mutating func readNormalizer(
    _ bytes: [UInt8], _ range: Range<Int>, isDenormalizer: Bool
  ) throws {
    var reader = ProtobufReader(bytes, in: range)
    while let (field, value) = try reader.next() {
      switch (field, value) {
      case (2, .bytes(let map)) where !map.isEmpty:
        if isDenormalizer {
          throw TokenizerError.unsupportedSentencePiece(
            path: path, feature: "a map for characters of decoded text")
        }
        guard let map = CharacterMap(bytes[map]) else {
          throw ProtobufReader.Problem(offset: map.lowerBound, text: "a malformed character map")
        }
        normalization.map = map
      case (3, .varint(let number)) where !isDenormalizer:
        normalization.addsDummyPrefix = number != 0
      case (4, .varint(let number)) where !isDenormalizer:
        normalization.removesExtraSpaces = number != 0
      case (5, .varint(0)) where !isDenormalizer:
        throw TokenizerError.unsupportedSentencePiece(path: path, feature: "unescaped white space")
      default: break
      }
    }
  }
}
