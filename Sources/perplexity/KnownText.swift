/// A text on which published perplexities are measured.
struct KnownText {
  let name: String
  let fileName: String
  let byteCount: Int
  let digest: String

  private static let all = [
    KnownText(
      name: "WikiText-2 raw test split", fileName: "wiki.test.raw", byteCount: 1_290_590,
      digest: "173c87a53759e0201f33e0ccf978e510c2042d7f2cb78229d9a50d79b9e7dd08")
  ]

  private init(name: String, fileName: String, byteCount: Int, digest: String) {
    self.name = name
    self.fileName = fileName
    self.byteCount = byteCount
    self.digest = digest
  }

  /// Makes the text with the given SHA-256; nil for another text.
  init?(digest: String) {
    guard let text = Self.all.first(where: { $0.digest == digest }) else { return nil }
    self = text
  }

  /// Makes the text that usually has the file name at the end of `path`; nil for another name.
  init?(fileName path: String) {
    let name = path.split(separator: "/").last.map(String.init) ?? path
    guard let text = Self.all.first(where: { $0.fileName == name }) else { return nil }
    self = text
  }
}
