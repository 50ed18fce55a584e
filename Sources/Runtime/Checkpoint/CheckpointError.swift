public import DuetSystem
public import DuetText

/// A reason to refuse a checkpoint.
public enum CheckpointError: DuetError, Equatable {
  /// A file could not be read.
  case file(FileError)
  /// config.json or generation_config.json is refused.
  case configuration(ConfigurationError)
  /// A file of weights is refused.
  case safeTensors(SafeTensorsError)
  /// The index of the shards is not valid JSON.
  case indexNotJSON(JSONError)
  /// The index is JSON of the wrong shape.
  case malformedIndex(path: String, problem: String)
  /// Nothing is at the path.
  case folderNotFound(path: String)
  /// The path is a file where the folder that contains it is needed.
  case notAFolder(path: String)
  /// The weights are in a format of another program.
  case foreignFormat(path: String, format: ForeignFormat)
  /// The folder has no config.json.
  case noConfiguration(folder: String)
  /// The folder has no weights.
  case noWeights(folder: String)
  /// The index names a file that is not a plain name inside the folder.
  case shardNameNotPlain(path: String, shard: String)
  /// The index names a file that is not there.
  case shardNotFound(path: String, shard: String)
  /// The index says that a tensor is in a shard that does not hold it.
  case tensorNotInShard(path: String, tensor: String, shard: String)
  /// A shard holds a tensor that the index does not name.
  case tensorNotInIndex(path: String, tensor: String, shard: String)
  /// Two shards hold the same tensor.
  case tensorInTwoShards(path: String, tensor: String, shard: String, otherShard: String)
  /// A tensor that the model needs is absent.
  case tensorNotFound(path: String, tensor: String)
  /// A small tensor that is checked when a model is loaded holds an infinity or NaN.
  case nonFiniteValues(path: String, tensor: String)
  /// A tensor has another shape than config.json demands.
  case shapeMismatch(path: String, tensor: String, expected: [Int], actual: [Int])
  /// The rotation of a size cannot be used.
  case rotation(path: String, size: Int, IncoherenceError)
  /// The stored factor of a rotation is not the one that follows from its size.
  case otherRotation(path: String, tensor: String)
  /// The channels of outlier columns are not ascending inputs.
  case channelsNotAscending(path: String, tensor: String, inputSize: Int)
  /// There is a tensor that the format given in config.json does not use.
  case unexpectedTensor(path: String, tensor: String)
  /// A decoder layer has a tensor that takes part in the model's answers and cannot be used yet.
  case unsupportedTensor(path: String, tensor: String, meaning: String)
  /// A decoder layer has a tensor that no Llama, Mistral or Qwen2 model has.
  case unknownTensor(path: String, tensor: String)
  /// A packed matrix has scales for rows beyond those that config.json gives it.
  case valuesInPadding(path: String, tensor: String, rowCount: Int)
  /// The outlier columns of a layer are more than the channels that are listed for them.
  case unlistedColumns(path: String, tensor: String, channelCount: Int)
  /// The low-rank factors of a layer have fewer components than config.json says.
  case rankMismatch(path: String, layer: String, expected: Int, actual: Int)
  /// The elements of a tensor have a type that cannot be used there.
  case elementTypeMismatch(
    path: String, tensor: String, expected: [ElementType], actual: ElementType)

  /// A format of another program that is recognised, so that the message can say what to do.
  public enum ForeignFormat: Sendable, Hashable {
    /// Python objects, as PyTorch saves them (`.bin`, `.pt`, `.pth`).
    case pickle
    /// One file for llama.cpp.
    case gguf
    /// The changes of a fine-tuning alone, as PEFT saves them.
    case adapter
    /// `consolidated.safetensors`, in which Mistral uses its own tensor names.
    case consolidated
  }

  /// The kind of trouble, for the exit code.
  public var category: FailureCategory {
    switch self {
    case .file(let error): error.category
    case .configuration(let error): error.category
    case .safeTensors(let error): error.category
    case .nonFiniteValues: .numerical
    case .folderNotFound, .notAFolder, .noConfiguration, .noWeights, .shardNotFound: .inputOutput
    default: .refusedData
    }
  }

  /// One sentence that names the file or tensor, what is wrong and what to do.
  public var description: String {
    switch self {
    case .file(let error): error.description
    case .configuration(let error): error.description
    case .safeTensors(let error): error.description
    case .indexNotJSON(let error): error.description
    case .malformedIndex(let path, let problem): "\(printable(path)): \(problem)"
    case .folderNotFound(let path): "\(printable(path)): no such folder"
    case .notAFolder(let path):
      "\(printable(path)): this is a file; give the folder with config.json and the weights"
    case .foreignFormat(let path, let format): "\(printable(path)): \(format.advice)"
    case .noConfiguration(let folder):
      "\(printable(folder)): no config.json; give the folder of a Hugging Face checkpoint"
    case .noWeights(let folder):
      "\(printable(folder)): neither model.safetensors nor model.safetensors.index.json is there; "
        + "download the weights too"
    case .shardNameNotPlain(let path, let shard):
      "\(printable(path)): \"\(printable(shard))\" is not the plain name of a file in this folder"
    case .shardNotFound(let path, let shard):
      "\(printable(path)): \"\(printable(shard))\" is listed but missing; download it too"
    case .tensorNotInShard(let path, let tensor, let shard):
      "\(printable(path)): \"\(printable(tensor))\" should be in \"\(printable(shard))\" "
        + "but is not"
    case .tensorNotInIndex(let path, let tensor, let shard):
      "\(printable(path)): \"\(printable(tensor))\" of \"\(printable(shard))\" is not listed"
    case .tensorInTwoShards(let path, let tensor, let shard, let otherShard):
      "\(printable(path)): \"\(printable(tensor))\" is in both \"\(printable(shard))\" and "
        + "\"\(printable(otherShard))\""
    case .tensorNotFound(let path, "lm_head.weight"):
      "\(printable(path)): the tensor \"lm_head.weight\" is missing; if the output head is the embedding, "
        + "set \"tie_word_embeddings\" to true in config.json"
    case .tensorNotFound(let path, let tensor):
      "\(printable(path)): the tensor \"\(printable(tensor))\" is missing; "
        + "the checkpoint does not fit its config.json"
    case .shapeMismatch(let path, let tensor, let expected, let actual):
      "\(printable(path)): the tensor \"\(printable(tensor))\" has the shape \(actual), but "
        + "config.json asks for \(expected)"
    case .rotation(let path, let size, let error):
      "\(printable(path)): the rotation of size \(size) cannot be used: \(error)"
    case .otherRotation(let path, let tensor):
      "\(printable(path)): tensor \"\(printable(tensor))\" is not the rotation of its size; the file was "
        + "damaged or made by another program"
    case .channelsNotAscending(let path, let tensor, let inputSize):
      "\(printable(path)): tensor \"\(printable(tensor))\" must hold ascending channels below \(inputSize)"
    case .unexpectedTensor(let path, let tensor):
      "\(printable(path)): the tensor \"\(printable(tensor))\" has no place in the format that "
        + "config.json gives; fetch or make the model anew"
    case .unsupportedTensor(let path, let tensor, let meaning):
      "\(printable(path)): the tensor \"\(printable(tensor))\" is \(meaning), which is not supported "
        + "yet; without it all answers would be wrong"
    case .unknownTensor(let path, let tensor):
      "\(printable(path)): the tensor \"\(printable(tensor))\" is no part of a layer of a Llama, Mistral "
        + "or Qwen2 model; without it all answers could be wrong, so use a model of these families"
    case .valuesInPadding(let path, let tensor, let rowCount):
      "\(printable(path)): the tensor \"\(printable(tensor))\" has scales beyond the \(rowCount) rows "
        + "that config.json gives; fetch or make the model anew"
    case .unlistedColumns(let path, let tensor, let channelCount):
      "\(printable(path)): the tensor \"\(printable(tensor))\" has codes beyond the \(channelCount) "
        + "channels that its index lists; fetch or make the model anew"
    case .rankMismatch(let path, let layer, let expected, let actual):
      "\(printable(path)): the layer \"\(printable(layer))\" has \(actual) components, but config.json "
        + "gives it the rank \(expected); fetch or make the model anew"
    case .nonFiniteValues(let path, let tensor):
      "\(printable(path)): the tensor \"\(printable(tensor))\" holds an infinity or NaN; "
        + "fetch or make the model anew"
    case .elementTypeMismatch(let path, let tensor, let expected, let actual):
      "\(printable(path)): the tensor \"\(printable(tensor))\" has the type \(actual.rawValue), "
        + "expected is \(expected.map(\.rawValue).joined(separator: ", "))"
    }
  }
}

extension CheckpointError.ForeignFormat {
  fileprivate var advice: String {
    switch self {
    case .pickle:
      "a pickle can run any program when opened, so it is never read; convert the model to "
        + "safetensors with transformers: save_pretrained(folder, safe_serialization=True)"
    case .gguf:
      "GGUF files are not supported; download the Hugging Face checkpoint they were made from"
    case .adapter:
      "this is an adapter (LoRA), not a whole model; merge it into its base model with PEFT: "
        + "merge_and_unload() and save_pretrained(folder)"
    case .consolidated:
      "Mistral's own layout is not supported; download model*.safetensors and its index instead"
    }
  }
}
