import DuetCompressor
import DuetRuntime
import DuetSystem
import DuetText
import TestSupport
import Testing

/// A small compression problem that Scripts/golden/scenes.py solved with every method of the reference.
///
/// "S1": independent weights, white activations but for 8 channels at 30 times the scale. "S3": a power
/// law instead, weights with a low-rank part and heavy tails, four times larger on the outlier inputs.
/// "S4": graded channel scales and 2 outlier channels.
struct SceneGolden: ~Copyable {
  /// The relative error of a method, sqrt(tr(E H E^T) / tr(W H W^T)), over rotations.
  struct ReferenceError: Hashable {
    /// The mean over the rotations.
    let mean: Double
    /// The standard error of the mean; 0 for what is not rotated.
    let standardError: Double
    /// The number of rotations, 1 for what is not rotated.
    let rotationCount: Int

    /// The standard deviation from one rotation to the next, relative to the mean.
    var relativeDeviation: Double { standardError * Double(rotationCount).squareRoot() / mean }
  }

  /// The names of the scenes.
  static let names = ["S1", "S3", "S4"]

  /// W (192, 256).
  let weight: Matrix<Float>
  /// H (256, 256), the numbers of the file, which are F32, in Double.
  let hessian: Matrix<Double>
  /// The channels that were made outliers, in order; the largest of the diagonal in S1 and S3.
  let outliers: [Int]
  /// The errors by name, such as "odlri 2 lr4 feedback refine3"; the script has the list.
  let errors: [String: ReferenceError]

  /// Loads a scene.
  init(_ name: String) throws {
    let file = try SafeTensorsFile(
      contentsOf: SharedData.project("Tests/Golden/compressor/\(name).safetensors"))
    let text = try #require(file.metadata.first { $0.key == "scene" }).value
    let root = try JSONDocument(parsing: Array(text.utf8), path: name, limits: .smallFile).root
    let outliers = try #require(root["outliers"]?.elements).compactMap(\.int)
    var errors: [String: ReferenceError] = [:]
    for member in try #require(root["errors"]?.members) {
      errors[member.name] = ReferenceError(
        mean: try #require(member.value["mean"]?.double),
        standardError: try #require(member.value["standard_error"]?.double),
        rotationCount: try #require(member.value["rotations"]?.int))
    }
    let weight = try Self.matrix(file, "W") { $0 }
    let hessian = try Self.matrix(file, "H") { Double($0) }
    // A noncopyable value whose initializer throws gets all its properties at the end.
    self.weight = weight
    self.hessian = hessian
    self.outliers = outliers
    self.errors = errors
  }

  /// The error of the reference's method called `name`.
  func error(_ name: String) throws -> ReferenceError {
    try #require(errors[name], "no method \(name) in the scene")
  }

  private static func matrix<Element: BitwiseCopyable>(
    _ file: SafeTensorsFile, _ name: String, _ element: (Float) -> Element
  ) throws -> Matrix<Element> {
    let tensor = try #require(file.tensor(named: name))
    try #require(tensor.elementType == .f32 && tensor.shape.count == 2)
    var result = Matrix<Element>(rowCount: tensor.shape[0], columnCount: tensor.shape[1])
    let bytes = file.file.bytes
    for index in 0..<result.elements.count {
      let bits = unsafe bytes.unsafeLoadUnaligned(
        fromByteOffset: tensor.byteRange.lowerBound + 4 * index, as: UInt32.self)
      result.elements[index] = element(Float(bitPattern: UInt32(littleEndian: bits)))
    }
    return result
  }
}
