public import DuetRuntime

extension Invocation {
  /// Loads the model in `folder`, and warns of tensors that it does not use.
  ///
  /// - Throws: `CheckpointError`.
  public func loadModel(_ folder: String) throws(CheckpointError) -> Model {
    let model = try Model(contentsOf: folder)
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
