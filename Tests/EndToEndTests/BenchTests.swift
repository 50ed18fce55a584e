import DuetRuntime
import DuetSystem
import DuetText
import Foundation
import TestSupport
import Testing

#if canImport(FoundationXML)
  import FoundationXML
#endif

/// What `bench` prints.
///
/// How fast anything is depends on the machine and is not tested.
@Suite("Runs of bench")
struct BenchTests {
  private func document(_ arguments: [String]) throws -> [String: Any] {
    let result = try runExecutable("bench", arguments + ["--json", "--quiet"])
    #expect(result.exitCode == 0)
    #expect(result.stderr == "")
    return try #require(
      JSONSerialization.jsonObject(with: result.outputBytes) as? [String: Any])
  }

  private func isPositive(_ value: Any?) -> Bool {
    guard let number = value as? Double else { return false }
    return number.isFinite && number > 0
  }

  // MARK: - Kernels

  @Test("every kernel is described with its limits")
  func describesEveryKernel() throws {
    let document = try document([
      "kernels", "--only", "int2, cache", "--only", "quantize_int8", "--only", "worker pool",
      "--repeats", "2",
    ])
    let machine = try #require(document["machine"] as? [String: Any])
    #expect(
      Set(machine.keys) == [
        "processor", "processors", "caches", "governor", "load", "kernel_sets", "compiler",
      ])
    let rows = try #require(document["rows"] as? [[String: Any]])
    // Groups of 128, 32, 64 and whole rows, offsets; then one row for each of the other two.
    #expect(rows.count == 7)
    for row in rows {
      for key in [
        "kernel", "kernel_set", "shape", "threads", "warm_ups", "repeats", "calls_per_repeat",
        "spread", "bytes", "operations", "bytes_per_second", "operations_per_second", "bar",
      ] { #expect(row[key] != nil, "\(key) of \(row["kernel"] ?? "?")") }
      #expect(isPositive(row["median_seconds"]) && isPositive(row["best_seconds"]))
      let limits = try #require(row["limits"] as? [[String: Any]])
      for limit in limits {
        let shares = try #require(limit["shares"] as? [Double])
        #expect(shares.count == 2 && shares.allSatisfy { isPositive($0) })
        #expect(isPositive(limit["share_median"]) && isPositive(limit["rate"]))
      }
    }

    let first = rows[0]
    #expect(first["kernel"] as? String == "packed_matvec int2, cache")
    let limits = (first["limits"] as? [[String: Any]])?.compactMap { $0["limit"] as? String }
    #expect(limits == ["read_bytes_per_second", "dot_product_operations_per_second"])
    let rowCount = try #require(first["rows"] as? Int)
    #expect(first["columns"] as? Int == 4096 && first["group_size"] as? String == "128")
    // 4096 codes of two bits and 32 scales of two bytes.
    #expect(first["bytes"] as? Int == rowCount * (4096 / 4 + 32 * 2))
    #expect(first["operations"] as? Int == 2 * rowCount * 4096)
    let bar = try #require(first["bar"] as? [String: Any])
    #expect(bar["must"] as? Double == 45)
    #expect((bar["value"] as? Double).map { $0 >= 45 } == bar["reached"] as? Bool)

    let pool = try #require(rows.last)
    #expect(pool["kernel_set"] is NSNull && pool["threads"] as? Int == 2)
    #expect((pool["bar"] as? [String: Any])?["comparison"] as? String == "at most")
  }

  @Test("a product with a low-rank part is compared with one without")
  func comparesLowRankPartWithNone() throws {
    let result = try runExecutable(
      "bench", ["kernels", "--only", "over Q", "-t", "1", "-r", "1", "--json", "--quiet"])
    // JSONSerialization gets the last digits of numbers wrong.
    let document = try JSONDocument(
      parsing: result.outputBytes.map { $0 }, path: "bench", limits: JSONLimits(byteCount: 1 << 20))
    let rows = try #require(document.root["rows"]?.elements)
    #expect(rows.count == 1)
    let row = rows[rows.startIndex]
    let limits = try #require(row["limits"]?.elements)
    let limit = limits[limits.startIndex]
    #expect(limit["limit"]?.string == "quantized_alone_bytes_per_second")
    let share = try #require(limit["share_median"]?.double)
    let value = try #require(row["bar"]?["value"]?.double)
    // A quotient and a product, each to half a unit in the last place: 2 * 2^-53.
    #expect(abs(value * share - 1) <= 0x1p-52)
    #expect(row["rank"]?.int == 128)
  }

  @Test("results are printed as a table")
  func printsATable() throws {
    let result = try runExecutable(
      "bench", ["kernels", "--only", "rms_norm", "--kernel-set", "all", "-r", "1"])
    #expect(result.exitCode == 0)
    let lines = result.stdout.split(separator: "\n")
    #expect(lines.first?.hasPrefix("machine: ") == true)
    #expect(lines.count >= 4)
    for line in lines.dropFirst() { #expect(line.filter { $0 == "|" }.count == 12, "\(line)") }
    #expect(lines.last?.hasPrefix("| rms_norm | portable | 4096 | 1 |") == true)
  }

  // MARK: - Shapes

  @Test("a trellis code has rows as groups")
  func measuresTrellisCodes() throws {
    let document = try document([
      "--shape", "llama-2-7b", "--format", "trellis2.5", "--layers", "1", "-n", "1", "-p", "8",
      "-r", "1", "-t", "1", "--rank", "0",
    ])
    #expect(document["format"] as? String == "trellis2.5 group row")
    // Five bits for two weights, and a scale of two bytes for a row.
    let sizes = [(4096, 4096, 4), (11008, 4096, 2), (4096, 11008, 1)]
    let layer = sizes.reduce(0) { $0 + $1.2 * ($1.0 * $1.1 * 5 / 16 + 2 * $1.0) }
    let head = 32000 * 4096 + 32000 * 4096 / 64
    #expect(document["bytes_per_token"] as? Int == layer + head)
  }

  @Test("random compressed weights of a known shape are measured")
  func measuresCompressedShapes() throws {
    let document = try document([
      "--shape", "llama-2-7b", "--format", "e8p", "--layers", "1", "-n", "1", "-p", "8", "-r", "1",
      "-t", "1", "--kv-cache", "int8", "--context", "100", "--activations", "int8",
    ])
    #expect(document["format"] as? String == "e8p group 128 rank 128 int4")
    #expect(document["layers"] as? Int == 1 && document["head_format"] as? String == "int8")
    #expect(document["incoherence"] as? String == "both" && document["rank"] as? Int == 128)
    // Each matrix: two bits a weight and a scale of two bytes for 128; R in four bits with a scale for
    // 128 columns, L in four bits with a scale for a row. The head: a byte and a scale for 128.
    let sizes = [(4096, 4), (11008, 2)].flatMap { rows, count in
      [(Int, Int)](repeating: (rows, 4096), count: count)
    }
    let layer = (sizes + [(4096, 11008)]).reduce(0) { sum, size in
      let (rows, columns) = size
      let right = 128 * columns / 2 + columns * 2
      let left = rows * 128 / 2 + rows * 2
      return sum + rows * columns / 4 + rows * columns / 64 + right + left
    }
    let head = 32000 * 4096 + 32000 * 4096 / 64
    #expect(document["bytes_per_token"] as? Int == layer + head)
    let weights = sizes.reduce(11008 * 4096) { $0 + $1.0 * $1.1 }
    let bits = try #require(document["bits_per_weight"] as? Double)
    // One quotient, which the reader of JSON may get wrong in the last places.
    #expect(abs(bits * Double(weights) / Double(layer * 8) - 1) < 0x1p-44)

    let tests = try #require(document["tests"] as? [[String: Any]])
    #expect(tests.map { $0["test"] as? String } == ["pp8@100", "tg1@100"])
    for (test, limit) in zip(
      tests, ["dot_product_operations_per_second", "read_bytes_per_second"])
    {
      #expect(isPositive(test["tokens_per_second_mean"]) && isPositive(test[limit]))
      #expect(isPositive(test["share_median"]))
      #expect((test["shares"] as? [Double])?.count == 1)
      #expect(test["threads"] as? Int == 1)
      // One layer is not what the bars are about.
      #expect(test["bar"] is NSNull)
    }
  }

  @Test("a checkpoint is measured")
  func measuresCheckpoints() throws {
    let document = try document([
      "-m", SharedData.project("models/stories"), "-n", "2", "-p", "4", "-r", "2", "-t", "1",
    ])
    let tests = try #require(document["tests"] as? [[String: Any]])
    #expect(tests.map { $0["test"] as? String } == ["pp4", "tg2"])
    #expect(isPositive(tests.first?["sgemm_operations_per_second"]))
    #expect(isPositive(tests.last?["read_bytes_per_second"]))
    for test in tests { #expect((test["shares"] as? [Double])?.count == 2) }
    #expect(document["loading"] is [String: Any])
  }

  @Test("a compressed model of random weights is written and measured")
  func writesAndMeasuresCompressedModels() throws {
    let parent = try TemporaryFolder()
    let folder = "\(parent.path)/model"
    let writing = try runExecutable(
      "bench",
      [
        "write", "--shape", "llama-2-7b", "--layers", "1", "--format", "int3", "--rank", "32",
        "--lr-format", "f16", "--group-size", "64", "-o", folder, "--quiet",
      ])
    #expect(writing.exitCode == 0, "\(writing.stderr)")
    let document = try document(["-m", folder, "-n", "1", "-p", "4", "-r", "1", "-t", "1"])
    #expect(document["format"] as? String == "int3 group 64 rank 32 f16")
    let tests = try #require(document["tests"] as? [[String: Any]])
    #expect(tests.map { $0["test"] as? String } == ["pp4", "tg1"])
    #expect(isPositive(tests.first?["dot_product_operations_per_second"]))
    let loading = try #require(document["loading"] as? [String: Any])
    #expect(isPositive(loading["open_seconds"]) && isPositive(loading["first_token_seconds"]))
    for key in ["bar", "first_token_bar"] {
      let bar = try #require(loading[key] as? [String: Any])
      #expect(bar["comparison"] as? String == "at most")
    }
    // Q, both factors and the head: what a token reads is what the file holds but for the embedding,
    // norms, signs, and headers.
    let size = try #require(
      FileManager.default.attributesOfItem(atPath: "\(folder)/model.safetensors")[.size] as? Int)
    let embedding = 32000 * 4096 * 2
    let read = try #require(document["bytes_per_token"] as? Int)
    #expect(size - embedding - read > 0 && size - embedding - read < 1 << 16)
  }

  @Test("--scaling measures one to all threads, and plots what the document says")
  func plotsScaling() throws {
    let folder = try TemporaryFolder()
    let plot = "\(folder.path)/scaling.svg"
    let document = try document(
      [
        "--shape", "llama-2-7b", "--layers", "1", "--format", "int2", "-n", "1", "-p", "4", "-r",
        "1", "--scaling", plot,
      ])
    let tests = try #require(document["tests"] as? [[String: Any]])
    let threads = tests.filter { $0["test"] as? String == "tg1" }.compactMap {
      $0["threads"] as? Int
    }
    #expect(threads.first == 1 && threads.last == SessionOptions.processorCount)
    #expect(zip(threads, threads.dropFirst()).allSatisfy { $0 < $1 && $1 <= 2 * $0 })
    #expect(tests.count == 2 * threads.count)
    // A panel for each test; in each a circle for every number of threads, and three lines that are no grid.
    let picture = try XMLDocument(xmlString: String(contentsOfFile: plot, encoding: .utf8))
    #expect(try picture.nodes(forXPath: "//*[local-name()='g']").count == 2)
    #expect(try picture.nodes(forXPath: "//*[local-name()='circle']").count == tests.count)
    let lines = try picture.nodes(
      forXPath: "//*[local-name()='polyline' and not(@stroke='#dddddd')]")
    #expect(lines.count == 6)
  }

  // MARK: - Refusals

  @Test(
    "arguments that make no sense are refused",
    arguments: [
      (["--shape", "llama-2-7b", "--rank", "64"], "--rank is for compressed weights"),
      (["--shape", "llama-2-7b", "--format", "bf16", "--lr-format", "f16"], "--lr-format is for"),
      (["--shape", "llama-2-7b", "--group-size", "32"], "--group-size is for compressed weights"),
      (
        ["--shape", "llama-2-7b", "--format", "trellis2.5", "--group-size", "32"],
        "one scale for each row"
      ),
      (["--shape", "llama-2-7b", "--format", "int5"], "'int5' is not one of bf16"),
      (["--shape", "llama-2-7b", "--format", "int2", "--group-size", "48"], "'48' is not one of"),
      (["--shape", "llama-2-7b", "--format", "int2", "--rank", "-1"], "'-1' is not an integer"),
      (["--shape", "llama-2-7b", "--format", "int8"], "'int8' is not one of bf16"),
      (
        ["--shape", "llama-2-7b", "--format", "int2", "--activations", "bf16"],
        "'bf16' is not one of"
      ),
      (["--shape", "llama-9", "--format", "int2"], "no shape \"llama-9\""),
      (["-m", "models/stories", "--format", "int2"], "--format is for random weights"),
      (["-m", "models/stories", "--scaling", "x.svg", "-t", "1"], "leave --threads out"),
      (["kernels", "--only", "nothing of the kind"], "no kernel has \"nothing of the kind\""),
      (["kernels", "--kernel-set", "mmx"], "no kernels \"mmx\""),
      (["write", "--shape", "llama-2-7b", "--shards", "0", "-o", "x"], "'0' is not an integer"),
      (["write", "--shape", "llama-2-7b", "--format", "int8", "-o", "x"], "'int8' is not one of"),
      (["write", "--shape", "llama-2-7b", "--rank", "3", "-o", "x"], "--rank is for compressed"),
    ])
  func refusesArguments(arguments: [String], fragment: String) throws {
    let result = try runExecutable("bench", arguments + ["--json"])
    #expect(result.exitCode == 2)
    #expect(result.stderr == "")
    let object = try #require(
      JSONSerialization.jsonObject(with: result.outputBytes) as? [String: Any])
    let error = try #require(object["error"] as? [String: Any])
    #expect((error["message"] as? String)?.contains(fragment) == true, "\(error)")
  }

  @Test("shapes beyond the memory are refused", arguments: ["int2", "f32"])
  func refusesShapesBeyondTheMemory(format: String) throws {
    // A thousand layers of 70B are 200 GB at two bits and 3.4 TB in F32.
    let result = try runExecutable(
      "bench", ["--shape", "llama-2-70b", "--layers", "1000", "--format", format])
    #expect(result.exitCode == 1)
    #expect(result.stdout == "")
    #expect(result.stderr.contains("llama-2-70b takes "))
    #expect(result.stderr.contains("try --layers "))
  }
}
