import DuetCommandLine
import DuetRuntime
import DuetSystem
import DuetText
import Glibc
import TestSupport

/// The parts, and how many cases each has unless told otherwise.
let parts: [(name: String, count: Int, run: (PartOptions) throws -> PartResult)] =
  HostileKind.allCases.map { kind in
    (kind.rawValue, 1_000_000, { try mutations(kind, $0) })
  } + [
    ("hostile-templates", HostileTemplate.all.count, hostileTemplates),
    ("patterns", 10_000_000, patterns), ("roundtrip", 1_000_000, roundTrips),
    ("injection", 0, injections), ("truncation", 100, truncations),
    ("verdicts", 0, verdicts),
  ]

let partOperand = Operand("PART", help: parts.map(\.name).joined(separator: ", "))
let countOption: Option<Int?> = .integer(
  "count", "N", in: 1...Int.max, defaultText: "as many as a release needs",
  help: "Cases; the longest text of patterns, in units")
let seedOption = Option<UInt64>.seed(
  "seed", short: "s", "N", default: 1, help: "Where random cases come from")
let firstOption: Option<Int?> = .integer(
  "first", "N", in: 0...Int.max, defaultText: "0", help: "The number of the first mutation")
let saveOption: Option<String?> = .string(
  "save", "FILE", help: "Write the input of the first mutation to a file instead of reading it")
let stateOption: Option<String?> = .string(
  "state", "FILE", help: "Write the number of the mutation in progress here, for after a crash")
let fileOption: Option<String?> = .string(
  "file", short: "f", "FILE",
  help: "The inputs of verdicts: a length of 4 bytes, little-endian, each")

let command = Command(
  name: "torture",
  summary: "tries files and texts by the million and counts what should not have happened.",
  options: [countOption, seedOption, firstOption, saveOption, stateOption, fileOption],
  operands: [partOperand],
  notes: [
    "The last line is \"torture: PART CASES FAILURES\"; the exit code is 1 when there are failures. A "
      + "crash ends the program: run it with --state FILE, and then again with --first and the number "
      + "in FILE, --count 1 and --save, to have the input. Scripts/torture runs all parts."
  ])

run(command) { invocation in
  let arguments = invocation.arguments
  let name = arguments.operands[0]
  guard let part = parts.first(where: { $0.name == name }) else {
    throw UsageError.conflict("no part \"\(name)\"; there are \(parts.map(\.name))")
  }
  let result = try part.run(
    PartOptions(
      name: name, count: arguments[countOption] ?? part.count, seed: arguments[seedOption],
      first: arguments[firstOption] ?? 0, savePath: arguments[saveOption],
      statePath: arguments[stateOption], inputPath: arguments[fileOption],
      note: { invocation.messages.note($0) }))
  for line in result.lines { try invocation.output.writeLine(line) }
  try invocation.output.writeLine("torture: \(name) \(result.caseCount) \(result.failureCount)")
  return result.failureCount == 0 ? .success : .failure
}
