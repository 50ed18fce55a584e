internal import DuetRuntime
internal import DuetSystem
internal import DuetText

/// The files of a model in the output's `.compress/out`, until all of them are written.
struct ModelAssembly {
  let output: OutputFolder
  let checkpoint: Checkpoint

  static let configurationName = "config.json"

  /// Makes an empty folder for the files.
  func begin() throws(FileError) {
    try output.operations.removeTree(output.assemblyPath)
    try output.operations.makeFolders(output.assemblyPath)
  }

  /// The bytes of the source's config.json, without the tie of a head that is not the embedding.
  func sourceConfiguration() throws(FileError) -> [UInt8] {
    let path = "\(checkpoint.folder)/\(Self.configurationName)"
    var text = try readFile(path, limit: JSONLimits.smallFile.byteCount)
    if checkpoint.hasOwnHead,
      let document = try? JSONDocument(parsing: text, path: path, limits: .smallFile),
      let tie = document.root["tie_word_embeddings"], tie.bool == true
    {
      text.replaceSubrange(
        tie.byteOffset..<tie.byteOffset + "true".utf8.count, with: "false".utf8)
    }
    return text
  }

  /// Writes all tensors, piece by piece from mapped files, and the index if there is one.
  ///
  /// - Returns: The names of the files with their SHA-256 digests.
  func writeWeights(
    _ shards: ShardPlan
  ) throws(ModelWritingError) -> [(name: String, digest: String)] {
    var files: [(name: String, digest: String)] = []
    for shard in shards.shards {
      let digest = try wrapping(ModelWritingError.safeTensors) { () throws(SafeTensorsError) in
        try SafeTensorsWriter.write(
          shard.tensors, metadata: [("format", "pt")], to: "\(output.assemblyPath)/\(shard.name)",
          operations: output.operations)
      }
      files.append((shard.name, SHA256.hexadecimal(digest)))
    }
    try wrapping(ModelWritingError.file) { () throws(FileError) in
      if let index = shards.index { try write(index, to: ShardPlan.indexName) }
    }
    return files
  }

  /// Writes a small file.
  func write(_ bytes: [UInt8], to name: String) throws(FileError) {
    try AtomicFile.write(
      bytes, to: "\(output.assemblyPath)/\(name)", operations: output.operations)
  }

  /// Writes a document.
  func write(_ document: JSONOutput, to name: String) throws(FileError) {
    try write(Array(document.indentedText.utf8), to: name)
  }

  /// Copies the tokenizer and all other files beside the weights.
  func copyOtherFiles() throws(FileError) {
    for name in try listFolder(checkpoint.folder) where !Self.isReplaced(name) {
      let file: MappedFile
      do throws(FileError) {
        file = try MappedFile(contentsOf: "\(checkpoint.folder)/\(name)")
      } catch {
        switch error {
        // Folders, special files and broken links are skipped.
        case .isFolder, .notRegular, .notFound: continue
        default: throw error
        }
      }
      var copy = try AtomicFile(
        path: "\(output.assemblyPath)/\(name)", byteCount: file.count,
        operations: output.operations)
      try copy.append(file.bytes)
      try copy.commit()
    }
  }

  /// Whether a file of the source is not copied: weights, and files that are written anew.
  private static func isReplaced(_ name: String) -> Bool {
    let suffixes = [
      ".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf", ".safetensors.index.json",
      ".bin.index.json", AtomicFile.temporarySuffix,
    ]
    let names = [configurationName, CompressionReport.fileName, CompressionReport.timingsName]
    return names.contains(name) || suffixes.contains { name.hasSuffix($0) }
  }
}
