import Foundation
import TestSupport
import Testing

/// Token ids as the Python package `tokenizers` has them; `Scripts/torture` compares a million texts.
@Suite("Agreement with tokenizers in Python")
struct TokenAgreementTests {
  private static let isAvailable = (try? runPython(["-c", "import tokenizers"]).code) == 0

  @Test(
    "both give the same ids", .enabled(if: isAvailable, "the Python package tokenizers is absent"))
  func givesTheSameIDs() throws {
    let script = SharedData.project("Scripts/torture-parts/token-agreement")
    // Seconds, but more of them with the address sanitizer.
    let (code, output) = try runPython(
      [script, "500", "3", try executablePath("tokenize")], timeLimit: 300)
    #expect(code == 0, "\(output)")
    #expect(output.contains("runs: ") && output.contains("random: 500 texts, 0 differ"))
    let last = output.split(separator: "\n").last
    #expect(last?.hasPrefix("torture: token-agreement ") == true && last?.hasSuffix(" 0") == true)
  }

  /// Without the package nothing was compared, which must not look like success.
  @Test("without the package the comparison fails")
  func failsWithoutThePackage() throws {
    let folder = try TemporaryFolder()
    // Found before any installed one.
    try folder.write("tokenizers.py", "raise ImportError")
    let (code, output) = try runPython([
      "-c",
      """
      import runpy, sys
      sys.path.insert(0, sys.argv[1])
      runpy.run_path(sys.argv[2], run_name="__main__")
      """, folder.path, SharedData.project("Scripts/torture-parts/token-agreement"),
    ])
    #expect(code == 1, "\(output)")
    #expect(output.contains("pip install tokenizers"))
    #expect(output.hasSuffix("torture: token-agreement 0 1\n"))
  }
}
