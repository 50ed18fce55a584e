import Foundation
import TestSupport
import Testing

/// `--generate-completion` and `--generate-manual` of the executables, which `Scripts/install` uses.
@Suite("Completion and manual pages")
struct CompletionTests {
  private static let programs = ["chat", "compress", "perplexity", "evaluate", "bench", "tokenize"]
  private static let shells = ["bash", "zsh", "fish"]

  /// Where a shell is, or nil when it is not installed.
  private static func path(of shell: String) -> String? {
    ["/bin/\(shell)", "/usr/bin/\(shell)", "/usr/local/bin/\(shell)"]
      .first { FileManager.default.isExecutableFile(atPath: $0) }
  }

  private func run(_ program: String, _ arguments: [String]) throws -> (code: Int32, out: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    try process.run()
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: data, as: UTF8.self))
  }

  /// What bash offers for the last of some words.
  private func replies(_ program: String, _ words: [String]) throws -> [String] {
    let bash = try #require(Self.path(of: "bash"))
    let script = try runExecutable(program, ["--generate-completion", "bash"])
    #expect(script.exitCode == 0)
    let quoted = ([program] + words).map { "'\($0)'" }.joined(separator: " ")
    let result = try run(
      bash,
      [
        "--norc", "-c",
        "\(script.stdout)\nCOMP_WORDS=(\(quoted)); COMP_CWORD=\(words.count); "
          + "_\(program)_of_duet 2>&1; printf '%s\\n' \"${COMPREPLY[@]}\"",
      ])
    #expect(result.code == 0, "\(result.out)")
    return result.out.split(separator: "\n").map(String.init)
  }

  @Test(
    "bash completes names of options, words and subcommands", .enabled(if: path(of: "bash") != nil))
  func bash() throws {
    #expect(try replies("chat", ["--kv"]) == ["--kv-cache"])
    #expect(try replies("chat", ["--kv-cache", ""]) == ["f16", "f32", "int8"])
    #expect(try replies("chat", ["--kv-cache", "i"]) == ["int8"])
    #expect(try replies("chat", ["--seed", ""]) == [])
    #expect(try replies("chat", [""]) == [])
    #expect(try replies("compress", ["ana"]) == ["analyze"])
    #expect(try replies("compress", ["tune", "--steps", ""]) == [])
    #expect(try replies("compress", ["tune", "--held"]) == ["--held-out"])
    #expect(try replies("compress", ["tune", "--method"]) == [])
    #expect(try replies("compress", ["models", "--meth"]) == ["--method"])
    #expect(try replies("perplexity", ["-m", "x", "--protocol", "pap"]) == ["paper", "paper-c4"])
  }

  @Test(
    "every script is one that its shell reads", arguments: shells.filter { path(of: $0) != nil })
  func scriptsAreRead(shell: String) throws {
    let path = try #require(Self.path(of: shell))
    for program in Self.programs {
      let script = try runExecutable(program, ["--generate-completion", shell])
      #expect(script.exitCode == 0 && script.stderr.isEmpty)
      let folder = try TemporaryFolder()
      let file = try folder.write("script", script.stdout)
      let result = try run(path, ["-n", file])
      #expect(result.code == 0 && result.out.isEmpty, "\(program): \(result.out)")
    }
  }

  @Test("every option of --help is in every script and in the manual page", arguments: programs)
  func nothingIsMissing(program: String) throws {
    let help = try runExecutable(program, ["--help"]).stdout
    let names = help.split(separator: "\n").compactMap { line -> Substring? in
      guard let start = line.range(of: "--"), line.prefix(upTo: start.lowerBound).count < 8,
        line.hasPrefix("  ")
      else { return nil }
      return line[start.upperBound...].prefix { $0.isLetter || $0.isNumber || $0 == "-" }
    }
    #expect(names.count > 5 && names.contains("help"))
    for shell in Self.shells {
      let script = try runExecutable(program, ["--generate-completion", shell]).stdout
      for name in names {
        #expect(script.contains(shell == "fish" ? "-l \(name) " : "--\(name)"), "\(shell) \(name)")
      }
    }
    let manual = try runExecutable(program, ["--generate-manual"]).stdout
    #expect(manual.hasPrefix(".TH \(program.uppercased()) 1 "))
    for name in names {
      let escaped = name.replacingOccurrences(of: "-", with: "\\-")
      #expect(manual.contains("\\-\\-\(escaped)"), "\(name)")
    }
    // Every request is one of these; a text that began with a dot would be one by mistake.
    let requests: Set<Substring> = [".TH", ".SH", ".B", ".br", ".TP", ".PP"]
    for line in manual.split(separator: "\n") where line.hasPrefix(".") || line.hasPrefix("'") {
      #expect(requests.contains(line.prefix { $0 != " " }), "\(line)")
    }
  }

  @Test("unknown shells are refused")
  func unknownShell() throws {
    let result = try runExecutable("chat", ["--generate-completion", "csh"])
    #expect(result.exitCode == 2)
  }
}
