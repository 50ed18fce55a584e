import DuetCommandLine
import DuetRuntime
import DuetText
import Testing

private enum Choice: String, CaseIterable {
  case stop
  case dropOldest = "drop-oldest"
}

private enum Table {
  static let model = Option.required("model", short: "m", "DIR", help: "The folder")
  static let context = Option.integer(
    "context", short: "c", "N", in: 1...100_000, default: 4096, help: "Tokens of context")
  static let threads: Option<Int?> = .integer(
    "threads", short: "t", "N", in: 1...64, help: "Threads")
  static let sizes = Option.integers("sizes", "N,N", in: 1...8, default: [1, 2], help: "Sizes")
  static let temperature: Option<Double> = .number(
    "temperature", "X", in: 0...10, default: 0.7, help: "Temperature")
  static let topP: Option<Double?> = .number("top-p", "X", in: 0...1, help: "Nucleus")
  static let seed: Option<UInt64?> = .seed(
    "seed", short: "s", "N", defaultText: "random", help: "Seed")
  static let files = Option.strings("file", short: "f", "FILE", help: "A file")
  static let prompt: Option<String?> = .string("prompt", short: "p", "TEXT", help: "The prompt")
  static let onFull: Option<Choice> = .choice("on-full", default: .stop, help: "When full")
  static let json = Option.flag("json", help: "JSON")

  static let command = Command(
    name: "sample", summary: "Shows how arguments are parsed.",
    options: [
      model, context, threads, sizes, temperature, topP, seed, files, prompt, onFull, json,
    ],
    operands: [Operand("INPUT", help: "An input", isRequired: false)],
    notes: ["A note at the end."])
}

private func parse(_ arguments: String...) throws(UsageError) -> Arguments {
  switch try ArgumentParser(Table.command).parse(arguments) {
  case .run(let parsed): return parsed
  case .print: throw .conflict("printed")
  }
}

private func failure(_ arguments: String...) -> UsageError? {
  do {
    _ = try ArgumentParser(Table.command).parse(arguments)
    return nil
  } catch {
    return error
  }
}

@Suite("Argument parser")
struct ArgumentParserTests {
  @Test("defaults stand when nothing is given")
  func defaultsStandWhenNothingIsGiven() throws {
    let parsed = try parse("-m", "a")
    #expect(parsed[Table.model] == "a")
    #expect(parsed[Table.context] == 4096)
    #expect(parsed[Table.threads] == nil)
    #expect(parsed[Table.sizes] == [1, 2])
    #expect(parsed[Table.temperature] == 0.7)
    #expect(parsed[Table.topP] == nil)
    #expect(parsed[Table.seed] == nil)
    #expect(parsed[Table.files] == [])
    #expect(parsed[Table.prompt] == nil)
    #expect(parsed[Table.onFull] == .stop)
    #expect(!parsed[Table.json])
    #expect(!parsed.isGiven(Table.context) && parsed.isGiven(Table.model))
    #expect(parsed.operands == [])
  }

  @Test("every spelling of a value is read")
  func everySpellingOfAValueIsRead() throws {
    let parsed = try parse(
      "--model=x=y", "-c", "12", "-t=3", "--sizes", "8,1", "--temperature", "0", "--top-p=1e-1",
      "--seed", "18446744073709551615", "-f", "a", "--file", "b", "--file=", "-p", "-",
      "--on-full", "drop-oldest", "--json", "in")
    #expect(parsed[Table.model] == "x=y")
    #expect(parsed[Table.context] == 12)
    #expect(parsed[Table.threads] == 3)
    #expect(parsed[Table.sizes] == [8, 1])
    #expect(parsed[Table.temperature] == 0)
    #expect(parsed[Table.topP] == 0.1)
    #expect(parsed[Table.seed] == .max)
    #expect(parsed[Table.files] == ["a", "b", ""])
    #expect(parsed[Table.prompt] == "-")
    #expect(parsed[Table.onFull] == .dropOldest)
    #expect(parsed[Table.json])
    #expect(parsed.operands == ["in"])
  }

  @Test("two dashes end the options")
  func twoDashesEndTheOptions() throws {
    #expect(try parse("-m", "a", "--", "--json").operands == ["--json"])
    #expect(try !parse("-m", "a", "--", "--json")[Table.json])
    #expect(try parse("-m", "a", "-").operands == ["-"])
    // A value may start with a dash as long as it is not an option's name.
    #expect(try parse("-m", "-strange")[Table.model] == "-strange")
  }

  @Test("mistakes are named, with the nearest option")
  func mistakesAreNamed() {
    #expect(
      failure("-m", "a", "--contxt", "5") == .unknownOption("--contxt", nearest: "--context"))
    #expect(failure("-m", "a", "--jsno") == .unknownOption("--jsno", nearest: "--json"))
    #expect(failure("-m", "a", "--cont=5") == .unknownOption("--cont", nearest: "--context"))
    #expect(failure("-m", "a", "-context") == .unknownOption("-context", nearest: "--context"))
    #expect(failure("-m", "a", "-c5") == .unknownOption("-c5", nearest: "-c"))
    #expect(failure("-m", "a", "--zzz") == .unknownOption("--zzz", nearest: nil))
    #expect(
      failure("-m") == .missingValue(option: "-m", placeholder: "DIR", following: nil))
    #expect(
      failure("--model", "--json")
        == .missingValue(option: "--model", placeholder: "DIR", following: "--json"))
    #expect(
      failure("-m", "a", "--json=1") == .unexpectedValue(option: "--json", value: "1"))
    #expect(failure("-m", "a", "-m", "b") == .repeatedOption("-m"))
    #expect(failure("-c", "1") == .missingOption("--model", placeholder: "DIR"))
    #expect(failure("-m", "a", "x", "y") == .unexpectedOperand("y"))
  }

  @Test(
    "values that an option does not take are refused",
    arguments: [
      ("--context", "0"), ("--context", "100001"), ("--context", "1.0"), ("--context", ""),
      ("--context", "99999999999999999999"), ("--sizes", "1,,2"), ("--sizes", "9"),
      ("--sizes", ""), ("--temperature", "nan"), ("--temperature", "-0.1"), ("--top-p", "inf"),
      ("--seed", "-1"), ("--threads", "65"), ("--seed", "18446744073709551616"),
      ("--on-full", "drop"),
    ])
  func unacceptableValuesAreRefused(option: String, value: String) {
    guard case .invalidValue(option, value, _)? = failure("-m", "a", "\(option)=\(value)") else {
      Issue.record("accepted \(option)=\(value)")
      return
    }
  }

  @Test("a message is one line that is safe to display")
  func messagesAreOneSafeLine() {
    let error = failure("-m", "a", "--on-full", "a\u{1B}[2J\nb")
    #expect(
      error?.description
        == "--on-full: 'a\\u{1b}[2J\\u{a}b' is not one of stop, drop-oldest")
    #expect(
      failure("--contxt")?.description == "unknown option '--contxt'; did you mean '--context'?")
  }

  @Test("help lists defaults and exit codes")
  func helpListsDefaultsAndExitCodes() throws {
    for spelling in ["-h", "--help"] {
      guard case .print(let text) = try ArgumentParser(Table.command).parse([spelling]) else {
        Issue.record("no help")
        return
      }
      #expect(text.contains("Usage: sample -m DIR [INPUT] [options]\n"))
      #expect(text.contains("  -c, --context N         Tokens of context (default: 4096)\n"))
      #expect(text.contains("      --on-full stop|drop-oldest\n"))
      #expect(text.contains("  -f, --file FILE         A file (may be repeated)\n"))
      #expect(text.contains("\n    2  the command line could not be understood\n"))
      #expect(text.contains("\n  130  stopped by SIGINT (Ctrl-C)\n"))
      #expect(text.contains("A note at the end.\n"))
      #expect(text.split(separator: "\n").allSatisfy { $0.count <= 80 })
    }
    guard case .print("duet 0.1.0\n") = try ArgumentParser(Table.command).parse(["--version"])
    else {
      Issue.record("no version")
      return
    }
  }

  @Test("the first argument chooses a subcommand")
  func theFirstArgumentChoosesASubcommand() throws {
    let set = Option.flag("set", help: "A flag")
    let command = Command(
      name: "bench", summary: "Measures.",
      subcommands: [Command(name: "bench kernels", summary: "Measures kernels.", options: [set])])
    guard case .run(let parsed) = try ArgumentParser(command).parse(["kernels", "--set"]) else {
      Issue.record("not run")
      return
    }
    #expect(parsed.command.name == "bench kernels" && parsed[set])
    #expect(throws: UsageError.unknownSubcommand("kernel", nearest: "kernels")) {
      try ArgumentParser(command).parse(["kernel"])
    }
  }
}
