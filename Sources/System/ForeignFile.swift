/// A kind of file that is often given in place of a text, a JSON file or weights.
///
/// It is known by its first bytes, with which no text in UTF-8 is likely to begin.
public enum ForeignFile: Sendable, Hashable, CaseIterable {
  /// The few lines that Git keeps in place of a large file.
  case gitPointer
  /// A table of Apache Parquet.
  case parquet
  /// The file or the stream format of Arrow.
  case arrow
  /// A file packed by gzip.
  case gzip
  /// A ZIP archive, of which Office documents are a kind.
  case zip
  /// A file packed by xz.
  case xz
  /// A file packed by zstd.
  case zstandard
  /// A file packed by bzip2.
  case bzip2
  /// An archive of 7-Zip.
  case sevenZip
  /// A PDF document.
  case pdf
  /// A database of SQLite.
  case sqlite
  /// A file of HDF5.
  case hdf5
  /// An array of NumPy.
  case numpy
  /// The weights of a model for llama.cpp.
  case gguf
  /// Python objects.
  case pickle
  /// Text in UTF-16, with its byte order mark.
  case utf16

  /// The number of bytes from which every kind is known.
  package static let prefixByteCount = 64

  /// The kind of a file that begins with `bytes`, or nil for any other.
  package init?(_ bytes: some Collection<UInt8>) {
    let found = Self.allCases.first { kind in
      kind.beginnings.contains { bytes.starts(with: $0) }
    }
    guard let found else { return nil }
    self = found
  }

  /// The byte sequences that files of this kind begin with.
  private var beginnings: [[UInt8]] {
    switch self {
    case .gitPointer: [Array("version https://git-lfs.github.com/spec/".utf8)]
    case .parquet: [Array("PAR1".utf8)]
    case .arrow: [Array("ARROW1\0\0".utf8), [0xFF, 0xFF, 0xFF, 0xFF]]
    case .gzip: [[0x1F, 0x8B, 8]]
    case .zip: [Array("PK\u{3}\u{4}".utf8), Array("PK\u{5}\u{6}".utf8)]
    case .xz: [[0xFD] + Array("7zXZ\0".utf8)]
    case .zstandard: [[0x28, 0xB5, 0x2F, 0xFD]]
    case .bzip2:
      // The size of a block, then the digits of pi that begin the first block.
      (UInt8(ascii: "1")...UInt8(ascii: "9")).map { digit in
        Array("BZh".utf8) + [digit, 0x31, 0x41, 0x59, 0x26, 0x53, 0x59]
      }
    case .sevenZip: [Array("7z".utf8) + [0xBC, 0xAF, 0x27, 0x1C]]
    case .pdf: [Array("%PDF-1.".utf8), Array("%PDF-2.".utf8)]
    case .sqlite: [Array("SQLite format 3\0".utf8)]
    case .hdf5: [[0x89] + Array("HDF\r\n\u{1A}\n".utf8)]
    case .numpy: [[0x93] + Array("NUMPY".utf8)]
    // The name, then the version as a little-endian number of 32 bits.
    case .gguf: (1...3).map { Array("GGUF".utf8) + [$0, 0, 0, 0] }
    case .pickle: (2...5).map { [0x80, $0] }
    case .utf16: [[0xFF, 0xFE], [0xFE, 0xFF]]
    }
  }

  /// What the file is, and what to do.
  var advice: String {
    switch self {
    case .gitPointer:
      "this is a Git LFS pointer, not the file itself; fetch the file with 'git lfs pull'"
    case .parquet: Self.table("a Parquet file")
    case .arrow: Self.table("an Arrow file")
    case .gzip: Self.archive("a gzip file")
    case .zip: Self.archive("a ZIP archive")
    case .xz: Self.archive("an xz file")
    case .zstandard: Self.archive("a Zstandard file")
    case .bzip2: Self.archive("a bzip2 file")
    case .sevenZip: Self.archive("a 7-Zip archive")
    case .sqlite: Self.table("an SQLite database")
    case .hdf5: Self.table("an HDF5 file")
    case .numpy: Self.table("a NumPy file")
    case .gguf:
      "this is a GGUF file, the weights of a model for llama.cpp; give a text, or the files of a Hugging "
        + "Face checkpoint"
    case .pdf: "this is a PDF file; convert it to plain text first"
    case .pickle:
      "this is a Python pickle, which can run any program when opened, so it is never read; write its "
        + "contents in another format first"
    case .utf16: "this is text in UTF-16; convert it to UTF-8 first"
    }
  }

  private static func table(_ name: String) -> String {
    "this is \(name); write its texts to a text or JSON Lines file first"
  }

  private static func archive(_ name: String) -> String { "this is \(name); unpack it first" }
}
