import Foundation
import TestSupport
import Testing

/// Safetensors files as the Python package reads them; `Scripts/torture` compares ten thousand.
@Suite("Agreement with safetensors in Python")
struct HeaderAgreementTests {
  private static let isAvailable = (try? runPython(["-c", "import safetensors"]).code) == 0

  @Test(
    "both accept and refuse the same files",
    .enabled(if: isAvailable, "the Python package safetensors is absent"))
  func acceptsTheSameFiles() throws {
    let (code, output) = try runPython([
      SharedData.project("Scripts/torture-parts/header-agreement"), "1000", "3",
      try executablePath("torture"),
    ])
    #expect(code == 0, "\(output)")
    #expect(output.hasSuffix("torture: header-agreement 1000 0\n"))
    // Both kinds are among them.
    #expect(!output.contains("by both 0"))
  }

  /// The program's own contract with Scripts/torture.
  @Test("torture reports in one line and saves a single case")
  func tortureReportsInOneLine() throws {
    let result = try runExecutable("torture", ["json", "--count", "500"])
    #expect(result.exitCode == 0, "\(result.stderr)")
    #expect(result.stdout.split(separator: "\n").last == "torture: json 500 0")
    let folder = try TemporaryFolder()
    let path = "\(folder.path)/case"
    let saved = try runExecutable("torture", ["json", "--first", "77", "--save", path])
    #expect(saved.exitCode == 0)
    #expect(try folder.read("case") == MutationRun(.json, seed: 1).input(77))
    #expect(try runExecutable("torture", ["nothing"]).exitCode == 2)
  }
}
