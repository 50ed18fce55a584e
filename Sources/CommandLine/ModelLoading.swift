package import DuetRuntime
internal import DuetSystem

extension Invocation {
  /// Loads the model in `folder` as `--no-mmap` and `--verify` ask, and warns of tensors that it does
  /// not use.
  ///
  /// - Throws: `CheckpointError`, and `ChecksumError` with `--verify`.
  package func loadModel(_ folder: String) throws -> Model {
    let checkpoint = try Checkpoint(contentsOf: folder, loading: arguments.weightLoading)
    if arguments[CommonOptions.verify] {
      let count = try checkpoint.verifyChecksums()
      messages.note(
        "\(printable(folder)): \(count == 1 ? "1 file" : "\(count) files") of weights verified")
    }
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

extension Arguments {
  /// How weights come into memory, by `--no-mmap` where the command has it.
  package var weightLoading: Checkpoint.Loading {
    self[CommonOptions.withoutMapping] ? .read : .mapped
  }
}
