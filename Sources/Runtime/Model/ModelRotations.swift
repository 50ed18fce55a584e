internal import DuetSystem

/// The rotations of a compressed model, one for each size.
///
/// A checkpoint stores the signs, `incoherence.<size>.signs`, I8 (size), and for sizes that are not
/// powers of two the dense factor, `incoherence.<size>.factor`, F32 (order, order). The factor follows
/// from the size; the stored one is for programs that cannot compute it, and must be the same.
package struct ModelRotations {
  private var loaded: [Int: IncoherenceTransform] = [:]

  /// No rotations.
  init() {}

  /// The rotations of all sizes that the model's compressed layers have.
  ///
  /// - Throws: `CheckpointError` when the tensors of a size are missing or damaged.
  package init(_ checkpoint: borrowing Checkpoint) throws(CheckpointError) {
    let configuration = checkpoint.configuration
    guard let compression = configuration.compression, compression.incoherence != .none else {
      return
    }
    var sizes = LayerTensors.matrices.map { $0.inputSize(configuration) }
    if compression.incoherence == .both {
      sizes += LayerTensors.matrices.map { $0.outputSize(configuration) }
    }
    for size in Set(sizes).sorted() where checkpoint.contains(Self.signsName(size)) {
      loaded[size] = try Self.rotation(of: size, checkpoint)
    }
  }

  private static func signsName(_ size: Int) -> String { "incoherence.\(size).signs" }

  private static func rotation(
    of size: Int, _ checkpoint: borrowing Checkpoint
  ) throws(CheckpointError) -> IncoherenceTransform {
    let stored = try checkpoint.tensor(
      named: signsName(size), shape: [size], elementTypes: [.i8])
    let signs = (0..<size).map {
      unsafe stored.bytes.unsafeLoadUnaligned(fromByteOffset: $0, as: Int8.self)
    }
    let rotation: IncoherenceTransform
    do throws(IncoherenceError) {
      rotation = try IncoherenceTransform(size: size, signs: signs)
    } catch {
      throw .rotation(path: stored.file.path, size: size, error)
    }
    let order = rotation.factor.order
    if order > 1 {
      let factor = try checkpoint.tensor(
        named: "incoherence.\(size).factor", shape: [order, order], elementTypes: [.f32])
      guard KernelSet.standard.widened(factor) == rotation.factor.entries else {
        throw .otherRotation(path: factor.file.path, tensor: factor.name)
      }
    }
    return rotation
  }

  /// The rotation of vectors of `size`.
  ///
  /// - Throws: `CheckpointError.tensorNotFound` when the model has none.
  func rotation(
    of size: Int, _ checkpoint: borrowing Checkpoint
  ) throws(CheckpointError) -> IncoherenceTransform {
    guard let rotation = loaded[size] else {
      throw .tensorNotFound(path: checkpoint.folder, tensor: Self.signsName(size))
    }
    return rotation
  }

  /// All rotations, by ascending size.
  package var all: [IncoherenceTransform] { loaded.values.sorted { $0.size < $1.size } }

  /// The names of the stored tensors.
  static func names(_ checkpoint: borrowing Checkpoint) -> [String] {
    checkpoint.names.filter { $0.hasPrefix("incoherence.") }
  }
}
