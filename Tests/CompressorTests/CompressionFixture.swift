import DuetCompressor
import DuetRuntime
import DuetSystem
import Foundation
import TestSupport
import Testing

/// A tiny model with samples of random tokens, to compress as a whole in a moment.
struct CompressionFixture {
  let source: TemporaryFolder
  let checkpoint: Checkpoint
  var samples: CalibrationSamples
  var plan = FlatPlan()

  /// Widths of 48 = 12 * 4 (q, o), 24 (k, v) and 80 = 20 * 4, of which none is a power of two and all
  /// need padding.
  init(
    layerCount: Int = 2, isTied: Bool = false,
    change: (inout TinyCheckpoint) -> Void = { _ in },
    configure: (inout Configuration) -> Void = { _ in }
  ) throws {
    var configuration = Configuration(
      hiddenSize: 48, intermediateSize: 80, layerCount: layerCount, headCount: 4,
      keyValueHeadCount: 2, vocabularySize: 100, contextLength: 64, tiesEmbeddings: isTied)
    configure(&configuration)
    source = try TemporaryFolder()
    var tiny = TinyCheckpoint(configuration, seed: 4)
    change(&tiny)
    try tiny.write(to: source)
    // The ids of special tokens must be in the vocabulary.
    try source.write(
      "config.json",
      tiny.configurationText.replacingOccurrences(of: "4091", with: "1")
        .replacingOccurrences(of: "[4092, 4095]", with: "2"))
    try source.write("tokenizer.json", "{\"model\": {}}")
    checkpoint = try Checkpoint(contentsOf: source.path)
    var generator = RandomGenerator(seed: 8)
    samples = try CalibrationSamples(
      tokens: (0..<160).map { _ in Int(generator.nextUnit() * 100) }, sources: [],
      sampleCount: 8, contextLength: 16, seed: 0)
    plan.method = .odlri
    plan.initialization = .odlri
    plan.rank = 6
    plan.format = .int2
    plan.groupSize = .columns32
    plan.outerIterations = 2
    plan.innerIterations = 2
    plan.refinementRounds = 1
    plan.sampleCount = 8
    plan.contextLength = 16
    plan.seed = 3
  }

  /// Compresses the model into a folder.
  @discardableResult
  func run(
    to path: String, observer: any CompressionObserver = QuietObserver(), threadCount: Int = 1,
    hiddenStatesLimit: Int = .max, denseFolder: String? = nil
  ) throws -> CompressionSummary {
    var options = CompressorOptions(
      threadCount: threadCount, hiddenStatesLimit: hiddenStatesLimit, denseFolder: denseFolder)
    // Small models are done before saving pays.
    options.savingShare = .infinity
    return try Compressor(checkpoint, plan: plan.made, options: options)
      .run(to: path, samples: samples, observer: observer)
  }

  /// The files that must not depend on how a run went: all but the record of the time it took.
  static func result(in path: String) throws -> [String: [UInt8]] {
    var result = try files(in: path)
    result["compression_timings.json"] = nil
    return result
  }

  /// The matrices of a compressed model, put together from its files again.
  func linears(in path: String, _ records: [MatrixRecord]) throws -> [CompressedLinear] {
    let file = try SafeTensorsFile(contentsOf: "\(path)/model.safetensors")
    return records.map { record in
      let tensors = file.tensors.filter { $0.name.hasPrefix("\(record.name).") }.map {
        StoredTensor(
          name: $0.name, elementType: $0.elementType, shape: $0.shape, file: file.file,
          byteOffset: $0.byteRange.lowerBound)
      }
      return CompressedLinear(tensors: tensors, record: record)
    }
  }

  /// The dense weights of a matrix in the source, (outputSize, inputSize).
  func weight(_ record: MatrixRecord) throws -> [Float] {
    let tensor = try checkpoint.tensor(
      named: "\(record.name).weight", shape: [record.outputSize, record.inputSize])
    let matrix = Matrix(
      widening: tensor, rowCount: record.outputSize, columnCount: record.inputSize)
    return (0..<matrix.elements.count).map { matrix.elements[$0] }
  }
}

/// Hears nothing and stops nothing.
struct QuietObserver: CompressionObserver {
  func phaseBegan(_ phase: CompressionPhase) {}
  func progressed(_ done: Int, of total: Int) {}
  func finished(_ record: MatrixRecord, seconds: Double?) {}
  var isCancelled: Bool { false }
}

/// Stops a run after so many matrices of its own, or after so many steps of calibration.
final class StoppingObserver: CompressionObserver {
  private var matrices: Int
  private var steps: Int
  private(set) var phases: [CompressionPhase] = []

  init(afterMatrices matrices: Int = .max, afterSteps steps: Int = .max) {
    self.matrices = matrices
    self.steps = steps
  }

  func phaseBegan(_ phase: CompressionPhase) { phases.append(phase) }
  func progressed(_ done: Int, of total: Int) { steps -= 1 }
  func finished(_ record: MatrixRecord, seconds: Double?) { if seconds != nil { matrices -= 1 } }
  var isCancelled: Bool { matrices <= 0 || steps <= 0 }
}

/// Scripts/decode.py as a program.
enum DecodeScript {
  /// Whether it can run here.
  static let isAvailable = (try? run(["-c", "import numpy, safetensors"])) == 0

  private static func run(_ arguments: [String]) throws -> Int32 {
    let process = try ChildProcess(
      path: "/usr/bin/env", arguments: ["python3"] + arguments,
      descriptors: [
        .open(0, "/dev/null", O_RDONLY), .open(1, "/dev/null", O_WRONLY), .duplicate(2, from: 2),
      ])
    return process.wait(timeLimit: 120).exitCode
  }

  /// Decodes several models in one process: most of the time goes to starting it.
  private static let driver = """
    import pathlib, sys
    sys.path.insert(0, sys.argv[1])
    import decode
    for path in sys.argv[2:]: decode.main([], pathlib.Path(path), path + "/decoded")
    """

  /// The dense matrices of compressed models, each by the names of their layers.
  static func weights(of models: [String]) throws -> [[String: [Float]]] {
    let arguments = ["-B", "-c", driver, SharedData.project("Scripts")] + models
    try #require(try run(arguments) == 0)
    return try models.map { model in
      let path = "\(model)/decoded"
      let file = try SafeTensorsFile(contentsOf: path)
      var result: [String: [Float]] = [:]
      for info in file.tensors {
        let bytes = file.file.copyBytes(info.byteRange)
        result[String(info.name.dropLast(".weight".count))] =
          stride(from: 0, to: bytes.count, by: 4).map { index in
            Float(
              bitPattern: (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[index + $1]) << (8 * $1) })
          }
      }
      try FileManager.default.removeItem(atPath: path)
      return result
    }
  }

  /// The dense matrices of a compressed model by the names of their layers.
  static func weights(of model: String) throws -> [String: [Float]] {
    try weights(of: [model])[0]
  }
}
