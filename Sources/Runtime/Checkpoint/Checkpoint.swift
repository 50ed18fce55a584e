internal import DuetSystem
internal import DuetText

/// A model on disk: its configuration and named tensors, mapped and not yet read.
///
/// Opening checks everything about the files except the values: headers, index and configuration.
/// Whether a tensor fits the configuration is checked when it is requested with
/// `tensor(named:shape:elementTypes:)`.
public struct Checkpoint: Sendable {
  /// The folder, for messages; "memory" for a checkpoint made in memory.
  public let folder: String
  /// The shape and constants of the model.
  public private(set) var configuration: Configuration
  /// Whether config.json ties the output head to the embedding although the files hold another head.
  ///
  /// `configuration` then says that they are not tied, and the model uses the head of the files.
  public private(set) var hasOwnHead = false
  /// The size of all tensors in bytes.
  public let byteCount: Int

  /// The files that hold the weights, each once; none for a checkpoint made in memory.
  let files: [MappedFile]
  /// All tensors in the order of their names' bytes.
  private let tensors: [Entry]

  /// A tensor of a file, which may start at any byte.
  private struct Entry {
    let info: TensorInfo
    let file: MappedFile
  }

  /// How the bytes of the weights come into memory.
  public enum Loading: Sendable, Hashable {
    /// By mapping: at once, and shared with other processes.
    case mapped
    /// By reading all of them first; later changes of the files have no effect.
    case read
  }

  /// Opens the checkpoint in `folder`, in the layout of Hugging Face.
  ///
  /// The weights are model.safetensors, or the files that model.safetensors.index.json lists; when both
  /// exist, the single file is used.
  ///
  /// - Throws: `CheckpointError`; formats of other programs are recognised and named.
  /// - Complexity: O(headers) when mapped: the weights themselves are not touched.
  public init(
    contentsOf folder: String, loading: Loading = .mapped
  ) throws(CheckpointError) {
    let layout = try CheckpointFolder(folder)
    do throws(ConfigurationError) {
      configuration = try Configuration(contentsOf: layout.configurationPath)
    } catch {
      throw .configuration(error)
    }
    self.folder = folder
    let weights = try layout.weights(loading: loading)
    files = weights.map(\.file)
    // The tensors of a single file are in order already, which the sort detects in one pass.
    tensors = weights.flatMap { file in
      file.tensorsByName.map { Entry(info: $0, file: file.file) }
    }.sorted { $0.info.name.precedesInBytes($1.info.name) }
    byteCount = tensors.reduce(0) { $0 + $1.info.byteRange.count }
    if configuration.tiesEmbeddings, try storesOtherHead() {
      hasOwnHead = true
      configuration.tiesEmbeddings = false
    }
  }

  /// A checkpoint of tensors that are in memory, for measurements without files.
  ///
  /// - Precondition: No two tensors have the same name.
  package init(configuration: Configuration, tensors: [StoredTensor], folder: String = "memory") {
    self.folder = folder
    self.configuration = configuration
    files = []
    self.tensors = tensors.map { tensor in
      let range = tensor.byteOffset..<(tensor.byteOffset + tensor.byteCount)
      let info = TensorInfo(
        name: tensor.name, elementType: tensor.elementType, shape: tensor.shape, byteRange: range)
      return Entry(info: info, file: tensor.file)
    }.sorted { $0.info.name.precedesInBytes($1.info.name) }
    for (entry, next) in zip(self.tensors, self.tensors.dropFirst()) {
      precondition(
        entry.info.name.precedesInBytes(next.info.name), "two tensors \(entry.info.name)")
    }
    byteCount = tensors.reduce(0) { $0 + $1.byteCount }
  }

  // MARK: - Tensors

  /// The names of all tensors, in the order of their bytes.
  public var names: [String] { tensors.map(\.info.name) }

  /// Whether there is a tensor of this name.
  public func contains(_ name: String) -> Bool { entry(named: name) != nil }

  /// The tensor called `name`.
  ///
  /// A tensor whose elements are not aligned in their file, which old writers allowed, is copied.
  ///
  /// - Parameters:
  ///   - name: The name, compared byte by byte.
  ///   - shape: The sizes it must have, outermost first.
  ///   - elementTypes: The types it may have.
  /// - Returns: A view of the tensor.
  /// - Throws: `CheckpointError` when it is missing or of another shape or type.
  /// - Complexity: O(log(tensors)), or O(bytes) for a tensor that must be copied.
  package func tensor(
    named name: String, shape: [Int], elementTypes: [ElementType] = [.f32, .f16, .bf16]
  ) throws(CheckpointError) -> StoredTensor {
    guard let entry = entry(named: name) else {
      throw .tensorNotFound(path: folder, tensor: name)
    }
    let info = entry.info
    guard elementTypes.contains(info.elementType) else {
      throw .elementTypeMismatch(
        path: entry.file.path, tensor: name, expected: elementTypes, actual: info.elementType)
    }
    guard info.shape == shape else {
      throw .shapeMismatch(
        path: entry.file.path, tensor: name, expected: shape, actual: info.shape)
    }
    return try stored(entry)
  }

  /// The tensor called `name` with whatever shape and type it has, or nil when there is none.
  ///
  /// - Throws: `CheckpointError.file` when there is no memory for the copy of a misaligned tensor.
  package func tensor(named name: String) throws(CheckpointError) -> StoredTensor? {
    guard let entry = entry(named: name) else { return nil }
    return try stored(entry)
  }

  /// The names that are not among `used`, to warn about weights that would have no effect.
  ///
  /// Rotary frequencies, which old checkpoints store although they follow from the configuration, are
  /// left out.
  public func names(besides used: some Sequence<String>) -> [String] {
    // Arrays of bytes, because strings of different bytes can be equal.
    let known = Set(used.lazy.map { Array($0.utf8) })
    return names.filter { name in
      !known.contains(Array(name.utf8))
        && !name.utf8.reversed().starts(with: ".rotary_emb.inv_freq".utf8.reversed())
    }
  }

  private func stored(_ entry: Entry) throws(CheckpointError) -> StoredTensor {
    let info = entry.info
    let start = info.byteRange.lowerBound
    guard start % info.elementType.alignment != 0 else {
      return StoredTensor(
        name: info.name, elementType: info.elementType, shape: info.shape, file: entry.file,
        byteOffset: start)
    }
    do throws(FileError) {
      return StoredTensor(
        name: info.name, elementType: info.elementType, shape: info.shape,
        file: try MappedFile(copying: info.byteRange, of: entry.file), byteOffset: 0)
    } catch {
      throw .file(error)
    }
  }

  private func entry(named name: String) -> Entry? {
    placeOfName(name, count: tensors.count) { tensors[$0].info.name }.map { tensors[$0] }
  }
}
