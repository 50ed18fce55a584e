import DuetSystem
import Testing

@Suite("SHA-256")
struct SHA256Tests {
  // The examples of FIPS 180-4's companion "SHA-256 examples" (one block, two blocks, a million a's)
  // and of the NIST CAVP short messages (nothing).
  @Test(
    "digests are the published ones",
    arguments: [
      ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
      ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
      (
        "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
      ),
    ])
  func publishedDigest(text: String, digest: String) {
    #expect(SHA256.hexadecimalDigest(of: Array(text.utf8)) == digest)
  }

  @Test("the digest of a million bytes is the published one")
  func millionBytes() {
    let bytes = [UInt8](repeating: UInt8(ascii: "a"), count: 1_000_000)
    #expect(
      SHA256.hexadecimalDigest(of: bytes)
        == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
  }

  @Test("pieces give the digest of the whole", arguments: [1, 3, 55, 56, 63, 64, 65, 127, 200])
  func piecesGiveTheDigestOfTheWhole(pieceLength: Int) {
    let bytes = (0..<300).map { UInt8(truncatingIfNeeded: $0 * 7) }
    var whole = SHA256()
    whole.update(bytes.span)
    var pieces = SHA256()
    for start in stride(from: 0, to: bytes.count, by: pieceLength) {
      pieces.update(bytes.span.extracting(start..<min(start + pieceLength, bytes.count)))
    }
    #expect(pieces.finalized() == whole.finalized())
  }
}
