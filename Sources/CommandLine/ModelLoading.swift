package import DuetRuntime
internal import DuetSystem

extension Invocation {
  /// Loads the model in `folder` by `--no-mmap` and `--verify`, and warns about unused tensors.
  ///
  /// - Throws: `CheckpointError`, and `ChecksumError` with `--verify`.
  package func loadModel(_ folder: String) throws -> Model {
    let checkpoint = try Checkpoint(contentsOf: folder, loading: arguments.weightLoading)
    if arguments[CommonOptions.verify] {
      let count = try checkpoint.verifyChecksums()
      messages.note(
        "\(printable(folder)): \(count == 1 ? "1 file" : "\(count) files") of weights verified")
    }
    messages.warnAboutHead(of: checkpoint)
    let model = try Model(checkpoint)
    let unused = model.unusedTensorNames
    if let first = unused.first {
      let others = unused.count > 1 ? " and \(unused.count - 1) more" : ""
      messages.warning(
        "\(printable(folder)): the tensor \"\(printable(first))\"\(others) is not used; "
          + "is this a model of another kind?")
    }
    return model
  }
}

extension Messages {
  /// Warns when config.json ties the output head to the embedding and the files hold another head.
  package func warnAboutHead(of checkpoint: Checkpoint) {
    guard checkpoint.hasOwnHead else { return }
    warning(
      "\(printable(checkpoint.folder)): config.json ties the output head to the embedding, but "
        + "lm_head.weight differs from it, so they are not tied; set \"tie_word_embeddings\" to false "
        + "there")
  }
}

extension Arguments {
  /// Whether weights are mapped or read; read with `--no-mmap`.
  package var weightLoading: Checkpoint.Loading {
    self[CommonOptions.withoutMapping] ? .read : .mapped
  }
}
