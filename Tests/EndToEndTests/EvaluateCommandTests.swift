import DuetEvaluation
import DuetSystem
import Foundation
import TestSupport
import Testing

/// The executable, run on models/stories with questions made up here.
@Suite("Command line of evaluate")
struct EvaluateCommandTests {
  private let model = SharedData.project("models/stories")

  private func evaluate(_ arguments: [String], model: String? = nil) throws -> ExecutableResult {
    try runExecutable("evaluate", ["-m", model ?? self.model] + arguments)
  }

  private func object(_ result: ExecutableResult) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: result.outputBytes) as? [String: Any])
  }

  /// Sixty questions, which are several steps of 512 tokens.
  private func questions(_ folder: TemporaryFolder) throws -> String {
    let names = ["Tom", "Sue", "Ben", "Lily", "Max"]
    let lines = (0..<60).map { index -> String in
      let name = names[index % names.count]
      let start = "Once upon a time, \(name) had \(index) red balls and a dog."
      return "{\"context\":\"\(start) \(name) was\",\"choices\":[\"very happy.\",\"the of.\","
        + "\"happy and played in the park all day.\"],\"gold\":\(index % 3)}"
    }
    return try folder.write("questions.jsonl", lines.joined(separator: "\n") + "\n")
  }

  /// Checks that a run failed with one line on standard error.
  private func expectRefusal(
    _ result: ExecutableResult, code: Int32, _ parts: String...,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    #expect(result.exitCode == code, "\(result.stderr)", sourceLocation: sourceLocation)
    #expect(result.stdout.isEmpty, sourceLocation: sourceLocation)
    #expect(
      result.stderr.split(separator: "\n").count == 1, "\(result.stderr)",
      sourceLocation: sourceLocation)
    for part in parts {
      #expect(result.stderr.contains(part), "\(result.stderr)", sourceLocation: sourceLocation)
    }
  }

  // MARK: - Results

  @Test("the scores are a table, or a JSON document")
  func tableAndDocument() throws {
    let folder = try TemporaryFolder()
    let path = try questions(folder)
    let result = try evaluate(["--tasks", path, "-t", "1"])
    #expect(result.exitCode == 0, "\(result.stderr)")
    let lines = result.stdout.split(separator: "\n").map(String.init)
    #expect(lines[0].hasPrefix("lm-eval-0.4: context and answer encoded together, 0 shots; "))
    #expect(lines[1] == "|Task|n|acc|±|acc_norm|±|")
    let row = #/\|questions\|60\|0\.\d{4}\|0\.\d{4}\|0\.\d{4}\|0\.\d{4}\|/#
    #expect(try row.wholeMatch(in: lines[3]) != nil, "\(lines[3])")
    let digest = try SHA256.hexadecimalDigest(of: readFile(path, limit: 1 << 20))
    #expect(lines[4] == "  questions: \(path), 60 documents, sha256 \(digest)")
    #expect(result.stderr.contains("ETA"))
    #expect(result.stderr.contains("60/60 documents"))

    let json = try evaluate(["--tasks", path, "--limit", "10", "--json", "--quiet"])
    #expect(json.stderr.isEmpty)
    let document = try object(json)
    #expect(document["partial"] as? Bool == true)
    #expect(document["protocol"] as? String == "lm-eval-0.4")
    let metrics = try #require(
      (document["results"] as? [String: Any])?["questions"] as? [String: Double])
    #expect(
      Set(metrics.keys) == [
        "acc,none", "acc_stderr,none", "acc_norm,none", "acc_norm_stderr,none",
      ])
    let counts = try #require(
      (document["n-samples"] as? [String: Any])?["questions"] as? [String: Int])
    #expect(counts == ["original": 60, "effective": 10])
    let partial = try evaluate(["--tasks", path, "--limit", "10", "--quiet"])
    #expect(partial.stdout.hasPrefix("partial, not comparable; "))
    #expect(partial.stdout.contains("first 10 of 60 documents"))
  }

  @Test("tasks are found by their names in a folder of data")
  func tasksWithNames() throws {
    let folder = try TemporaryFolder()
    try folder.write(
      "piqa.jsonl",
      #"{"goal":"Open the box.","sol1":"Lift the lid.","sol2":"Eat it.","label":0}"# + "\n")
    try folder.write(
      "winogrande.jsonl",
      #"{"sentence":"Tom saw Ben and _ ran.","option1":"Tom","option2":"Ben","answer":"1"}"# + "\n")
    let result = try evaluate([
      "--tasks", "winogrande,piqa", "--data", folder.path, "--protocol", "lm-eval-0.3",
    ])
    #expect(result.exitCode == 0, "\(result.stderr)")
    #expect(result.stdout.hasPrefix("lm-eval-0.3: context and answer encoded apart"))
    // No accuracy by length, no error of a single document.
    #expect(result.stdout.contains(/\n\|winogrande\|1\|[01]\.0000\|unknown\|\|\|\n\|piqa\|1\|/))
    #expect(result.stdout.contains("1 documents (1838 expected)"))
    #expect(result.stderr.contains("warning: "))
    #expect(result.stderr.contains("where winogrande has 1267"))
  }

  // MARK: - Samples

  @Test("samples are numbers, without any text of a question")
  func samplesAreNumbers() throws {
    let folder = try TemporaryFolder()
    let path = try questions(folder)
    let samples = folder.path + "/a/b"
    let result = try evaluate(["--tasks", path, "--samples-out", samples, "--json"])
    let document = try object(result)
    let lines = try String(contentsOfFile: samples + "/samples_questions.jsonl", encoding: .utf8)
      .split(separator: "\n")
    #expect(lines.count == 60)
    #expect(!lines.joined().contains("happy"))
    let outcomes = try #require(
      (document["outcomes"] as? [String: Any])?["questions"] as? [String: Any])
    let digits = try #require(outcomes["acc"] as? String)
    for (index, line) in lines.enumerated() {
      let sample = try #require(
        try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
      #expect(sample["doc_id"] as? Int == index)
      #expect(sample["target"] as? Int == index % 3)
      let values = try #require(sample["log_likelihoods"] as? [Double])
      #expect(values.count == 3 && values.allSatisfy { $0 < 0 })
      #expect(sample["prediction"] as? Int == values.indices.max { values[$0] < values[$1] })
      #expect(sample["acc"] as? Int == digits.dropFirst(index).first?.wholeNumberValue)
      #expect(sample["lengths"] as? [Int] == [11, 7, 37])
    }
  }

  /// A run that is cut off anywhere and resumed leaves the same bytes and the same result.
  @Test(
    "a run that is cut off anywhere and resumed has the same bytes and result",
    arguments: [0, 1, 300, 5000, 12_000, Int.max])
  func resuming(byteCount: Int) throws {
    let folder = try TemporaryFolder()
    let arguments = [
      "--tasks", try questions(folder), "--samples-out", folder.path, "--json", "-t", "1",
    ]
    let whole = try evaluate(arguments)
    #expect(whole.exitCode == 0, "\(whole.stderr)")
    let name = "samples_questions.jsonl"
    let bytes = try folder.read(name)
    try folder.write(name, Array(bytes.prefix(byteCount)))
    expectRefusalAsJSON(try evaluate(arguments), code: 2, "--resume")
    let resumed = try evaluate(arguments + ["--resume"])
    #expect(resumed.exitCode == 0, "\(resumed.stderr)")
    #expect(try folder.read(name) == bytes)
    #expect(resumed.outputBytes == whole.outputBytes)
    if byteCount == Int.max { #expect(resumed.stderr.contains("60 of 60 documents")) }
    if byteCount == 12_000 { #expect(!resumed.stderr.contains(" 0 of 60 documents")) }
    let again = try evaluate(arguments + ["--force"])
    #expect(again.exitCode == 0)
    #expect(try folder.read(name) == bytes)
  }

  private func expectRefusalAsJSON(
    _ result: ExecutableResult, code: Int32, _ part: String,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    #expect(result.exitCode == code, "\(result.stderr)", sourceLocation: sourceLocation)
    #expect(
      result.stdout.hasPrefix("{\"error\":{\"code\":\(code),") && result.stdout.contains(part),
      "\(result.stdout)", sourceLocation: sourceLocation)
  }

  /// A process that is killed at once leaves whole lines, and the next one goes on behind them.
  @Test("a run that is killed leaves whole lines, and the next goes on behind them")
  func killed() throws {
    let folder = try TemporaryFolder()
    let path = try questions(folder)
    let arguments = ["-m", model, "--tasks", path, "--samples-out", folder.path, "-t", "1"]
    let whole = try evaluate(["--tasks", path, "--samples-out", folder.path + "/whole", "-t", "1"])
    #expect(whole.exitCode == 0)
    let file = folder.path + "/samples_questions.jsonl"
    do {
      let child = try ChildProcess(
        path: executablePath("evaluate"), arguments: arguments,
        descriptors: [
          .open(0, "/dev/null", O_RDONLY), .open(1, "/dev/null", O_WRONLY),
          .open(2, "/dev/null", O_WRONLY),
        ])
      // Until a line is written whole: of less nothing is kept.
      var isWritten = false
      while child.poll() == nil, !isWritten {
        isWritten = FileManager.default.contents(atPath: file)?.contains(UInt8(ascii: "\n")) == true
        if !isWritten { usleep(1000) }
      }
      child.signal(SIGKILL)
      _ = child.wait(timeLimit: 60)
      #expect(isWritten, "no sample was written before the end")
    }
    let result = try evaluate(Array(arguments.dropFirst(2)) + ["--resume"])
    #expect(result.exitCode == 0, "\(result.stderr)")
    #expect(!result.stderr.contains(" 0 of 60 documents"), "\(result.stderr)")
    #expect(
      try folder.read("samples_questions.jsonl") == folder.read("whole/samples_questions.jsonl"))
  }

  @Test("samples of another run are not continued")
  func samplesOfAnotherRun() throws {
    let folder = try TemporaryFolder()
    let path = try questions(folder)
    let arguments = ["--tasks", path, "--samples-out", folder.path, "--quiet"]
    #expect(try evaluate(arguments).exitCode == 0)
    let resume = arguments + ["--resume"]
    expectRefusal(try evaluate(resume + ["--limit", "20"]), code: 6, "documents (then 60, now 20)")
    expectRefusal(
      try evaluate(resume + ["--protocol", "lm-eval-0.3"]), code: 6,
      "protocol (then lm-eval-0.4, now lm-eval-0.3)")
    let bytes = try folder.read("samples_questions.jsonl")
    // The second line twice.
    let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
    try folder.write(
      "samples_questions.jsonl", "\(lines[0])\n\(lines[1])\n\(lines[1])\n")
    expectRefusal(try evaluate(resume), code: 6, "line 3 is not of document 2")
    try folder.write("samples_questions.jsonl", bytes)
    try folder.write("samples_questions.run.json", "{")
    expectRefusal(try evaluate(resume), code: 6, "missing or damaged")
    try FileManager.default.removeItem(atPath: folder.path + "/samples_questions.run.json")
    expectRefusal(try evaluate(resume), code: 6, "missing or damaged")
    // Something else under the name of the samples is never lost.
    try folder.write("samples_questions.jsonl", "My diary.\n")
    expectRefusal(try evaluate(arguments + ["--force"]), code: 2, "holds no samples")
    #expect(try folder.read("samples_questions.jsonl") == Array("My diary.\n".utf8))
  }

  // MARK: - Comparison

  @Test("a model is compared with earlier results, document by document")
  func comparison() throws {
    let folder = try TemporaryFolder()
    let path = try questions(folder)
    let json = try evaluate(["--tasks", path, "--json"])
    let other = try folder.write("other.json", json.stdout)
    let same = try evaluate(["--tasks", path, "--compare", other, "--quiet"])
    #expect(same.exitCode == 0, "\(same.stderr)")
    #expect(same.stdout.contains("A: \(model); B: \(model), from \(other)"))
    let row = #/\|questions\|acc\|60\|(\d+)\|0\|0\|(\d+)\|0\.0000\|0\.0000\|/#
    let match = try #require(try row.firstMatch(in: same.stdout))
    #expect((Int(match.1) ?? 0) + (Int(match.2) ?? 0) == 60)
    #expect(same.stdout.contains("|questions|acc_norm|60|"))

    // The same with the first document's outcome turned round: one document is only one's own.
    let outcomes = try #require(json.stdout.firstRange(of: "\"acc\":\""))
    var text = json.stdout
    let first = outcomes.upperBound
    let isRight = text[first] == "1"
    text.replaceSubrange(first...first, with: isRight ? "0" : "1")
    try folder.write("other.json", text)
    let document = try object(
      try evaluate(["--tasks", path, "--compare", other, "--json", "--quiet"]))
    let comparison = try #require(document["comparison"] as? [String: Any])
    let counts = try #require(
      ((comparison["results"] as? [String: Any])?["questions"] as? [String: Any])?["acc"]
        as? [String: Any])
    #expect(counts["only_a"] as? Int == (isRight ? 1 : 0))
    #expect(counts["only_b"] as? Int == (isRight ? 0 : 1))
    let difference = try #require(counts["difference"] as? Double)
    // One of sixty; a few roundings of Double.
    #expect(abs(difference - (isRight ? 1 : -1) / 60) < 1e-15)
  }

  @Test("results of other documents or another protocol are not compared")
  func whatCannotBeCompared() throws {
    let folder = try TemporaryFolder()
    let path = try questions(folder)
    let json = try evaluate(["--tasks", path, "--limit", "3", "--json"])
    let other = try folder.write("other.json", json.stdout)
    func compare(_ options: String...) throws -> ExecutableResult {
      try evaluate(["--tasks", path, "--compare", other] + options)
    }
    expectRefusal(try compare(), code: 3, "answers 3 documents of questions, not 60")
    expectRefusal(
      try compare("--limit", "3", "--protocol", "lm-eval-0.3"), code: 3, "by protocol lm-eval-0.4")
    let text = String(decoding: try folder.read("questions.jsonl"), as: UTF8.self)
    try folder.write(
      "questions.jsonl", text.replacingOccurrences(of: "\"gold\":2", with: "\"gold\":1"))
    expectRefusal(try compare("--limit", "3"), code: 3, "its documents of questions are others")
    try folder.write(
      "questions.jsonl", "{\"context\":\"a\",\"choices\":[\"b\",\"c\"],\"gold\":0}\n")
    expectRefusal(try compare(), code: 3, "answers 3 documents")
    try folder.write("other.json", "{}")
    expectRefusal(try compare(), code: 3, "not what evaluate --json prints")
    try folder.write("other.json", "[")
    expectRefusal(try compare(), code: 3, "not valid JSON")
    expectRefusal(
      try evaluate(["--tasks", path, "--compare", "/no/such/file"]), code: 4, "/no/such/file")
  }

  // MARK: - Refusals

  @Test("missing, unknown and contradictory options are refused")
  func usage() throws {
    let folder = try TemporaryFolder()
    let path = try questions(folder)
    expectRefusal(try evaluate([]), code: 2, "--tasks")
    expectRefusal(try evaluate(["--tasks", "piqua"]), code: 2, "piqua", "hellaswag")
    expectRefusal(try evaluate(["--tasks", "piqa,"]), code: 2, "''")
    expectRefusal(try evaluate(["--tasks", "piqa"]), code: 2, "--data DIR is required")
    expectRefusal(try evaluate(["--tasks", "\(path),\(path)"]), code: 2, "twice")
    expectRefusal(try evaluate(["--tasks", path, "--resume"]), code: 2, "--samples-out")
    expectRefusal(try evaluate(["--tasks", path, "--force"]), code: 2, "--samples-out")
    expectRefusal(
      try evaluate(["--tasks", path, "--samples-out", "x", "--resume", "--force"]), code: 2,
      "one of them")
    expectRefusal(try evaluate(["--tasks", path, "--limit", "0"]), code: 2, "--limit")
    expectRefusal(try evaluate(["--tasks", path, "--protocol", "gptq"]), code: 2, "lm-eval-0.3")
  }

  @Test("data, models and folders that will not do are refused")
  func dataThatIsRefused() throws {
    let folder = try TemporaryFolder()
    let data = folder.path
    expectRefusal(
      try evaluate(["--tasks", "piqa", "--data", data]), code: 4, "piqa/valid.jsonl", data)
    expectRefusal(try evaluate(["--tasks", data + "/none.jsonl"]), code: 4, "none.jsonl")
    try folder.write("piqa.jsonl", "{\"goal\":\"a\"}\n")
    expectRefusal(
      try evaluate(["--tasks", "piqa", "--data", data]), code: 3, "piqa.jsonl: line 1: no string")
    let path = try questions(folder)
    expectRefusal(try evaluate(["--tasks", path], model: "/no/such/model"), code: 4)
    // A folder for samples that cannot be: the path goes through a file.
    let through = path + "/samples"
    expectRefusal(try evaluate(["--tasks", path, "--samples-out", through]), code: 4)
    expectRefusalAsJSON(
      try evaluate(["--tasks", path, "--json"], model: "/no/such/model"), code: 4, "/no/such")
  }

  @Test(
    "every named task runs on its data set",
    .enabled(if: SharedData.path("tasks") != nil, "../shared is absent"))
  func theDataSets() throws {
    let names = SharedData.tasks.map(\.name)
    let result = try evaluate([
      "--tasks", names.joined(separator: ","), "--data", try #require(SharedData.path("tasks")),
      "--limit", "3", "--quiet", "--json",
    ])
    #expect(result.exitCode == 0, "\(result.stderr)")
    // HellaSwag's file has its contexts in one piece; nothing else is unusual.
    #expect(result.stderr.split(separator: "\n").count == 1, "\(result.stderr)")
    let results = try #require(try object(result)["results"] as? [String: Any])
    #expect(Set(results.keys) == Set(names))
  }

  @Test("weights that are not numbers stop the run")
  func notANumber() throws {
    let folder = try TemporaryFolder()
    let path = try questions(folder)
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
      try folder.copy(model + "/" + name)
    }
    var bytes = try readFile(model + "/model.safetensors", limit: 1 << 30)
    let headerLength = (0..<8).reduce(0) { $0 | Int(bytes[$1]) << (8 * $1) }
    let header = try #require(
      try JSONSerialization.jsonObject(with: Data(bytes[8..<8 + headerLength])) as? [String: Any])
    let tensor = try #require(header["model.layers.3.mlp.down_proj.weight"] as? [String: Any])
    let offset = 8 + headerLength + (try #require(tensor["data_offsets"] as? [Int]))[0]
    // 0x7FC0 is NaN in bfloat16.
    bytes[offset] = 0xC0
    bytes[offset + 1] = 0x7F
    try folder.write("model.safetensors", bytes)
    expectRefusal(
      try evaluate(["--tasks", path, "--quiet"], model: folder.path), code: 5,
      "document 0 of questions", "after layer 3", "model.layers.3.mlp.down_proj.weight")
  }
}
