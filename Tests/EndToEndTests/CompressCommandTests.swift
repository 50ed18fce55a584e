import DuetCommandLine
import DuetCompressor
import DuetRuntime
import DuetSystem
import Foundation
import TestSupport
import Testing
import compress

/// The command line of `compress`, on models/stories, which is part of the project.
@Suite("Command line of compress")
struct CompressCommandTests {
  private let model = SharedData.project("models/stories")

  private func compress(_ arguments: [String]) throws -> ExecutableResult {
    try runExecutable("compress", arguments)
  }

  private func object(_ result: ExecutableResult) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: result.outputBytes) as? [String: Any])
  }

  /// The plan and the forecast of a dry run.
  private func dryRun(_ options: [String]) throws -> (plan: [String: Any], forecast: [String: Any])
  {
    let result = try compress([model, "--dry-run", "--json"] + options)
    #expect(result.exitCode == 0, "\(result.stdout)")
    let document = try object(result)
    #expect(document["dry_run"] as? Bool == true)
    return (
      try #require(document["plan"] as? [String: Any]),
      try #require(document["forecast"] as? [String: Any])
    )
  }

  /// Checks that a run failed with one line on standard error.
  private func expectRefusal(
    _ result: ExecutableResult, code: Int32, _ part: String,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    #expect(result.exitCode == code, "\(result.stderr)", sourceLocation: sourceLocation)
    #expect(result.stdout.isEmpty, "\(result.stdout)", sourceLocation: sourceLocation)
    #expect(result.stderr.split(separator: "\n").count == 1, sourceLocation: sourceLocation)
    #expect(result.stderr.hasPrefix("compress: "), sourceLocation: sourceLocation)
    #expect(result.stderr.contains(part), "\(result.stderr)", sourceLocation: sourceLocation)
  }

  // MARK: - Help

  @Test("help states every default")
  func helpStatesEveryDefault() throws {
    let result = try compress(["--help"])
    #expect(result.exitCode == 0 && result.stderr.isEmpty)
    // Lines are broken at words, so the words alone are compared.
    let text = result.stdout.split { $0.isWhitespace }.joined(separator: " ")
    let plan = CompressionPlan()
    let choices = plan.method.choices
    for line in [
      "--method odlri|caldera|srr|qera|lqer|lordq|gptq|awq|rtn The",
      "(default: trellis2.5; e8p with odlri and srr and qera and gptq and rtn; int4 with lqer and awq)",
      "(default: none; 2.5 with lordq)",
      "(default: corrected; original with awq)", "(default: both; none with lqer and awq)",
      "there is no Q; lordq only (default: \(choices[MethodOptions.factorBlockSize].rawValue))",
      "(default: \(choices[MethodOptions.scaleFit].rawValue))", "inputs first; gptq only",
      "see below (default: \(plan.method.name))",
      "(default: 128 with int2, int3 and int4, else row)",
      "L and R are stored (default: int4)", "L and R are rounded (default: feedback)",
      "low-rank with --update-order low-rank-first (default: svd; odlri with odlri)",
      "(default: a sixteenth of the rank, at least 1)",
      "(default: \(choices[MethodOptions.outerIterations]))",
      "(default: \(choices[MethodOptions.innerIterations]))",
      "(default: \(choices[MethodOptions.refinementRounds]); 3 with odlri)",
      "(default: \(MethodChoices().defaultRank), or a sixteenth of the hidden size if that is less)",
      "(default: \(plan.damping))", "has no more (default: \(plan.sampleCount))",
      "(default: \(plan.contextLength), or the model's context length if that is shorter)",
      "Methods: odlri,", "Formats of Q:", "--resume auto resumes", "6 stopped but resumable",
    ] { #expect(text.contains(line), "\(line)") }
  }

  // MARK: - Forecasts

  @Test("a dry run tells the plan, bytes, memory, disk and time")
  func dryRunForPeople() throws {
    let result = try compress([model, "--dry-run", "--quiet", "-t", "1", "--samples", "64"])
    #expect(result.exitCode == 0 && result.stderr.isEmpty)
    let lines = result.stdout.split(separator: "\n").map(String.init)
    #expect(lines.count == 6)
    #expect(
      lines[0]
        == "model      stories  6 layers, 42 matrices, 4.72 M weights to compress, 1.05 M in the "
        + "head as int8, 1.05 M kept as they are")
    let plan =
      #/plan       caldera trellis2.5 one scale per row: \d\.\d\d bits/weight, \d\.\d\d MiB; peak RAM \d+ MiB, about \d+:\d\d/#
    #expect(try plan.wholeMatch(in: lines[1]) != nil, "\(lines[1])")
    #expect(
      lines.dropFirst(2).map { $0.split(separator: " ")[0] } == ["bytes", "memory", "disk", "time"])
  }

  @Test("a dry run with an output tells the free disk and writes nothing")
  func dryRunWithAnOutputTellsTheFreeDiskAndWritesNothing() throws {
    let folder = try TemporaryFolder()
    let output = folder.path + "/new/model"
    let result = try compress([model, "--dry-run", "-o", output, "--verbose"])
    #expect(result.exitCode == 0)
    #expect(result.stdout.contains("; free disk "))
    #expect(result.stderr.contains("OpenBLAS kernels for "))
    #expect(result.stderr.contains(" GFLOP/s"))
    #expect(result.stderr.contains("kernel set "))
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
  }

  @Test("the forecast of bytes is the sum of its parts")
  func forecastOfBytes() throws {
    // All sizes of models/stories are multiples of 128, so nothing is padding.
    let configuration = try Configuration(contentsOf: model + "/config.json")
    let (plan, forecast) = try dryRun(["--method", "rtn", "--format", "int2"])
    #expect(plan["method"] as? String == "rtn")
    let parts = try ["matrix_bytes", "rotation_bytes", "head_bytes", "copied_bytes"].map {
      try #require(forecast[$0] as? Int)
    }
    #expect(forecast["bytes"] as? Int == parts.reduce(0, +))
    func bytes(_ m: Int, _ n: Int) -> Int {
      m * n / 128 * (128 / 4 + 2)
    }
    let h = configuration.hiddenSize
    let (q, k, f) = (
      configuration.queryWidth, configuration.keyValueWidth, configuration.intermediateSize
    )
    let layer = bytes(q, h) + 2 * bytes(k, h) + bytes(h, q) + 2 * bytes(f, h) + bytes(h, f)
    #expect(parts[0] == configuration.layerCount * layer)
    let weights = try #require(forecast["weights"] as? Int)
    #expect(
      forecast["bits_per_weight"] as? Double == Double(parts[0] + parts[1]) * 8 / Double(weights))
  }

  @Test("options reach the plan")
  func optionsReachThePlan() throws {
    let (defaults, _) = try dryRun([])
    #expect(defaults["context"] as? Int == 1024)
    #expect(defaults["group_size"] as? String == "row")
    #expect(defaults["method"] as? String == "caldera")
    #expect(defaults["initialization"] as? String == "svd")
    #expect(
      try dryRun(["--update-order", "low-rank-first"]).plan["initialization"] as? String
        == "low-rank")
    #expect(try dryRun(["--method", "odlri"]).plan["initialization"] as? String == "odlri")
    #expect(defaults["outlier_channels"] is NSNull)
    #expect(defaults["format"] as? String == "trellis2.5")
    #expect(defaults["rank"] as? Int == 0 && defaults["refinement_rounds"] as? Int == 0)
    // An option of L R asks for L R, with a sixteenth of the hidden size, 256, as rank, and e8p.
    let split = try dryRun(["--initialization", "zero"]).plan
    #expect(split["format"] as? String == "e8p")
    #expect(split["rank"] as? Int == 16 && split["refinement_rounds"] as? Int == 3)
    #expect(try dryRun(["--target-bits", "2.5"]).plan["format"] as? String == "e8p")
    #expect(try dryRun(["--rank", "8", "--format", "trellis2"]).plan["rank"] as? Int == 8)
    #expect(try dryRun(["--format", "int2"]).plan["rank"] as? Int == 16)
    #expect(defaults["propagate"] as? String == "corrected")
    let (plan, _) = try dryRun([
      "--method", "odlri", "--format", "int3", "--group-size", "row", "--head-format", "f16",
      "--embedding-format", "int4",
      "--rank", "12", "--lr-rounding", "nearest", "--initialization", "auto", "--outlier-channels",
      "3",
      "--update-order", "low-rank-first", "--outer-iterations", "7", "--inner-iterations", "8",
      "--refinement-rounds", "0", "--hessian-downdate", "--damping", "0.5", "--incoherence",
      "input",
      "--propagate", "original", "--samples", "9", "-c", "100", "--keep", "q_proj,lm_head", "-s",
      "5", "--grid", "asymmetric", "--scale-fit", "range", "--activations", "int8",
      "--metric", "guided",
    ])
    // JSONSerialization's numbers and truth values as texts: true is 1.
    let expected = [
      "method": "odlri", "format": "int3", "group_size": "row", "head_format": "f16",
      "embedding_format": "int4", "rank": "12",
      "lr_format": "int4", "lr_rounding": "nearest", "initialization": "auto",
      "outlier_channels": "3", "outlier_storage": "none", "update_order": "low-rank-first",
      "outer_iterations": "7", "inner_iterations": "8", "refinement_rounds": "0",
      "hessian_downdate": "1", "damping": "0.5", "incoherence": "input", "propagate": "original",
      "samples": "9", "context": "100", "seed": "5", "grid": "asymmetric", "scale_fit": "range",
      "act_order": "0", "target_bits": "<null>", "lr_block_size": "32", "activations": "int8",
      "metric": "guided",
    ]
    for (name, text) in expected {
      #expect(plan[name].map { String(describing: $0) } == text, "\(name)")
    }
    #expect(plan["keep"] as? [String] == ["q_proj", "lm_head"])
    #expect(plan.count == expected.count + 1)
    #expect(try dryRun(["--format", "e8p"]).plan["group_size"] as? String == "row")
    // What other methods take without being told.
    let awq = try dryRun(["--method", "awq"]).plan
    #expect(
      ["format", "grid", "incoherence", "propagate", "group_size"].map { awq[$0] as? String }
        == ["int4", "asymmetric", "none", "original", "128"])
    #expect(try dryRun(["--method", "lqer"]).plan["incoherence"] as? String == "none")
    let (lordq, bytes) = try dryRun(["--method", "lordq"])
    #expect(lordq["target_bits"] as? Double == 2.5)
    #expect(try #require(bytes["bits_per_weight"] as? Double) <= 2.5)
    #expect(
      try dryRun(["--method", "gptq", "--format", "int3", "--act-order"]).plan["act_order"] as? Bool
        == true)
    #expect(
      try dryRun(["--format", "e8p", "--group-size", "64"]).plan["group_size"] as? String == "64")
    #expect(
      try dryRun(["--outlier-storage", "int8"]).plan["initialization"] as? String == "zero")
  }

  @Test("a limit of memory warns, or moves hidden states into a file")
  func memoryLimits() throws {
    let result = try compress([model, "--dry-run", "--memory-limit", "1MiB"])
    #expect(result.exitCode == 0)
    #expect(result.stderr.contains("warning: the run needs about "))
    // With a limit between, the states of the samples move into a file.
    let (_, free) = try dryRun(["--samples", "64", "--memory-limit", "1TiB"])
    let (_, tight) = try dryRun(["--samples", "64", "--memory-limit", "120MiB"])
    #expect(free["hidden_states_in_memory"] as? Bool == true)
    #expect(tight["hidden_states_in_memory"] as? Bool == false)
    // The streams of both models, the outputs of the heads, which are as wide, and the inputs of down_proj.
    let states = 64 * 1024 * 4 * (3 * 256 + 768)
    #expect(
      (free["peak_memory_bytes"] as? Int).map { $0 - states } == tight["peak_memory_bytes"] as? Int)
    expectRefusal(
      try compress([
        model, "-o", "/no/such/place", "--samples", "64", "--memory-limit", "1MiB",
      ]), code: 4, "more than the 1.00 MiB that --memory-limit allows")
  }

  // MARK: - Refusals

  @Test(
    "unknown, impossible and meaningless options are refused",
    arguments: [
      (["--method", "quip"], "one of odlri, caldera, srr, qera, lqer, lordq, gptq, awq, rtn"),
      (["--rank", "-1"], "from 0"),
      (["--damping", "2"], "from 0 to 1"), (["--format", "int8"], "one of int2"),
      (["--group-size", "16"], "one of 32"), (["--memory-limit", "8 apples"], "8GiB"),
      (["--resume", "yes"], "auto, never, required"), (["--ranks", "3"], "did you mean '--rank'"),
      (["--samples", "0"], "from 1"), (["--embedding-format", "int2"], "one of int8, int4, f16"),
      (["--method", "gptq", "--rank", "3"], "--rank has no meaning"),
      (["--method", "rtn", "--hessian-downdate"], "--hessian-downdate has no meaning"),
      (["--method", "gptq", "--outlier-storage", "int8"], "--outlier-storage has no meaning"),
      (["--method", "odlri", "--initialization", "zero"], "--method caldera"),
      (["--method", "caldera", "--initialization", "odlri"], "--method odlri"),
      (["--method", "caldera", "--outlier-channels", "4"], "--outlier-storage int8"),
      (["--outlier-storage", "int8", "--initialization", "odlri"], "stored apart"),
      (["--lr-format", "f16", "--lr-rounding", "feedback"], "--lr-rounding has no meaning"),
      (["--method", "lordq", "--format", "int2"], "--format has no meaning"),
      (["--method", "lordq", "--lr-format", "f16"], "--lr-format f16 has no meaning"),
      (["--method", "lordq", "--rank", "0"], "--rank 0 and --method lordq"),
      (["--method", "lordq", "--outer-iterations", "2"], "does not alternate"),
      (["--method", "srr", "--initialization", "zero"], "--initialization has no meaning"),
      (["--method", "qera", "--refinement-rounds", "2"], "has nothing to refine"),
      (["--method", "awq", "--incoherence", "both"], "--incoherence both and --method awq"),
      (["--method", "awq", "--propagate", "corrected"], "--propagate corrected and --method awq"),
      (["--method", "awq", "--rank", "4"], "--rank has no meaning"),
      (["--method", "rtn", "--target-bits", "3"], "--target-bits has no meaning"),
      (["--method", "caldera", "--act-order"], "--act-order has no meaning"),
      (["--method", "gptq", "--act-order"], "--act-order has no meaning with --format e8p"),
      (["--grid", "asymmetric"], "--grid asymmetric has no meaning"),
      (["--scale-fit", "range"], "--scale-fit range has no meaning"),
      (["--lr-block-size", "64"], "--lr-block-size has no meaning"),
      (["--rank", "4", "--target-bits", "3"], "--rank and --target-bits"),
      (["--target-bits", "3", "--outlier-storage", "int8"], "--target-bits and --outlier-storage"),
      (["--target-bits", "0"], "a number above 0"), (["--target-bits", "nan"], "a number above 0"),
      (["--lr-format", "f16", "--inner-iterations", "3"], "--inner-iterations has no meaning"),
      (["--force", "--resume", "required"], "contradict"), (["--keep", "own_proj"], "own_proj"),
      (["--keep", "q_proj,"], "''"),
      (
        ["--keep", "q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj", "--samples", "64"],
        "no matrix"
      ),
    ])
  func usage(options: [String], part: String) throws {
    expectRefusal(try compress([model, "--dry-run"] + options), code: 2, part)
  }

  @Test("what must be given is named where it is missing")
  func whatMustBeGiven() throws {
    expectRefusal(try compress([]), code: 2, "MODEL_DIR")
    expectRefusal(try compress([model]), code: 2, "--output DIR")
    // A model that brings no text along.
    let silent = try TemporaryFolder()
    for name in ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
      try FileManager.default.createSymbolicLink(
        atPath: "\(silent.path)/\(name)", withDestinationPath: "\(model)/\(name)")
    }
    expectRefusal(
      try compress([silent.path, "-o", "/no/such/place"]), code: 2, "--calibration FILE")
    expectRefusal(try compress(["/no/such/model", "--dry-run"]), code: 4, "/no/such/model")
    // What is wrong with the command line shows before the model is looked for.
    expectRefusal(
      try compress(["/no/such/model", "--dry-run", "--method", "rtn", "--rank", "2"]), code: 2,
      "rank")
  }

  @Test(
    "with --json a failure is a JSON document",
    arguments: [(["--rank", "x"], 2), (["--keep", "nothing"], 2), ([], 4)])
  func failureAsJSON(options: [String], code: Int) throws {
    let folder = options.isEmpty ? "/no/such/model" : model
    let result = try compress([folder, "--dry-run", "--json"] + options)
    #expect(result.exitCode == Int32(code))
    #expect(result.stderr.isEmpty)
    let error = try #require(try object(result)["error"] as? [String: Any])
    #expect(error["code"] as? Int == code)
    #expect((error["message"] as? String)?.isEmpty == false)
  }
}

/// What a person sees of a run.
@Suite("Report of compress")
struct CompressReportTests {
  @Test("sizes are read and written with their units")
  func sizes() {
    #expect(ByteCount(reading: "8GiB")?.value == 8 << 30)
    #expect(ByteCount(reading: "1.5 MiB")?.value == 3 << 19)
    #expect(ByteCount(reading: "4096")?.value == 4096)
    #expect(ByteCount(reading: "4096B")?.value == 4096)
    for text in ["", "B", "GiB", "-1", "0", "1e9", "0x10", "inf", "1.2.3", "8GB", "9999999TiB"] {
      #expect(ByteCount(reading: text) == nil, "\(text)")
    }
    #expect(ByteCount(1023).text == "1023 bytes")
    #expect(ByteCount(1 << 30).text == "1.00 GiB")
    #expect(ByteCount(81 << 20).text == "81.0 MiB")
    #expect(ByteCount(812 << 10).text == "812 KiB")
    #expect(countText(999) == "999")
    #expect(countText(6_476_005_376) == "6.48 B")
  }

  @Test("each matrix is a line, and output that fails stops the run")
  func linesOfARun() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write("out", "")
    let descriptor = unsafe open(path, O_WRONLY)
    let configuration = Configuration(
      hiddenSize: 64, intermediateSize: 64, layerCount: 2, headCount: 1, vocabularySize: 8)
    let forecast = try CompressionForecast(
      configuration: configuration, tensors: [], plan: CompressionPlan())
    let observer = TerminalObserver(
      forecast, output: StandardOutput(descriptor: descriptor),
      messages: Messages(name: "compress", level: .quiet))
    observer.phaseBegan(.calibrating(layer: 0))
    observer.progressed(5, of: 10)
    observer.phaseBegan(.decomposing(layer: 0))
    var record = MatrixRecord()
    record.name = "model.layers.0.self_attn.q_proj"
    (record.outputSize, record.inputSize) = (64, 64)
    record.relativeError = 0.04123
    record.roundToNearestError = 0.163
    record.damping = 0.01
    observer.finished(record, seconds: nil)
    record.name = "model.layers.0.self_attn.k_proj"
    observer.finished(record, seconds: 3.75)
    #expect(!observer.isCancelled && observer.failure == nil)
    close(descriptor)
    let lines = String(decoding: try folder.read("out"), as: UTF8.self)
      .split(separator: "\n").map(String.init)
    #expect(
      lines[0]
        == " 1/14      model.layers.0.self_attn.q_proj  rel.err 0.0412 (RTN 0.1630)  damping 0.010  "
        + "from the journal")
    #expect(
      lines[1].hasPrefix(
        " 2/14      model.layers.0.self_attn.k_proj  rel.err 0.0412 (RTN 0.1630)  damping 0.010  "
          + "3.8 s  ETA 0:0"))
    // A closed output cancels the run, and says why.
    observer.finished(record, seconds: 1)
    #expect(observer.isCancelled && observer.failure != nil)
  }

  @Test("the last line tells how a run ended")
  func howARunEnds() {
    var summary = CompressionSummary()
    var record = MatrixRecord()
    record.name = "model.layers.1.mlp.down_proj"
    record.relativeError = 0.118
    summary.records = [record]
    summary.matrixCount = 224
    summary.sourceByteCount = 67 << 20
    summary.byteCount = 10 << 20
    summary.seconds = 1087
    #expect(
      ReportText.done(summary, output: "OUT")
        == "done       OUT  10.0 MiB (6.7x smaller), mean rel.err 0.1180, worst 0.1180 "
        + "model.layers.1.mlp.down_proj, 18:07")
    #expect(ReportText.stopped(summary).hasPrefix("stopped after 1 of 224 matrices"))
  }
}
