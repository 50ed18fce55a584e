internal import DuetSystem

/// The files of a checkpoint folder, and those of them that hold the weights.
struct CheckpointFolder {
  private let path: String
  /// Whether the weights are one file; transformers, too, prefers it to an index.
  private let isSingle: Bool

  private static let indexName = "model.safetensors.index.json"
  private static let singleName = "model.safetensors"

  var configurationPath: String { "\(path)/config.json" }

  /// Looks into the folder at `path`.
  init(_ path: String) throws(CheckpointError) {
    self.path = path
    let names = try Self.names(in: path)
    isSingle = names.contains(Self.singleName)
    let hasWeights = isSingle || names.contains(Self.indexName)
    // Weights of another program are reported first: their folders often have no config.json either.
    if !hasWeights {
      for name in names {
        if let format = Self.foreignFormat(name) {
          throw .foreignFormat(path: "\(path)/\(name)", format: format)
        }
      }
    }
    guard names.contains("config.json") else { throw .noConfiguration(folder: path) }
    guard hasWeights else { throw .noWeights(folder: path) }
  }

  /// The sorted names of the files in a folder.
  private static func names(in path: String) throws(CheckpointError) -> [String] {
    do throws(FileError) {
      return try listFolder(path)
    } catch {
      switch error {
      case .notFound: throw .folderNotFound(path: path)
      case .notAFolder:
        if let format = foreignFormat(path) { throw .foreignFormat(path: path, format: format) }
        throw .notAFolder(path: path)
      default: throw .file(error)
      }
    }
  }

  private static func foreignFormat(_ name: String) -> CheckpointError.ForeignFormat? {
    let last = name.split(separator: "/").last
    if last == "adapter_model.safetensors" || last == "adapter_model.bin" { return .adapter }
    if name.hasSuffix(".gguf") { return .gguf }
    // Files such as training_args.bin hold no weights, but are found beside weights of this format.
    if [".bin", ".pt", ".pth", ".ckpt"].contains(where: name.hasSuffix) { return .pickle }
    if name.hasPrefix("consolidated.") || name.contains("/consolidated.") { return .consolidated }
    return nil
  }

  // MARK: - Weights

  /// Opens and checks the files with the weights, and compares them with the index.
  func weights(loading: Checkpoint.Loading) throws(CheckpointError) -> [SafeTensorsFile] {
    if isSingle { return [try open("\(path)/\(Self.singleName)", loading: loading)] }
    let indexPath = "\(path)/\(Self.indexName)"
    let shards = try ShardIndex(contentsOf: indexPath)
    var files: [SafeTensorsFile] = []
    for shard in shards.names {
      do throws(CheckpointError) {
        files.append(try open("\(path)/\(shard)", loading: loading))
      } catch {
        guard case .safeTensors(.file(.notFound)) = error else { throw error }
        throw .shardNotFound(path: indexPath, shard: shard)
      }
    }
    try shards.check(files)
    return files
  }

  private func open(
    _ path: String, loading: Checkpoint.Loading
  ) throws(CheckpointError) -> SafeTensorsFile {
    let file: MappedFile
    do throws(FileError) {
      file =
        switch loading {
        case .mapped: try MappedFile(contentsOf: path)
        case .read: try MappedFile(reading: path)
        }
    } catch {
      throw .safeTensors(.file(error))
    }
    do throws(SafeTensorsError) {
      return try SafeTensorsFile(file)
    } catch {
      throw .safeTensors(error)
    }
  }
}
