public import DuetSystem
public import DuetText

/// A reason to refuse a config.json or generation_config.json; `key` is the key at fault.
public enum ConfigurationError: DuetError, Equatable {
  /// The file could not be read.
  case file(FileError)
  /// The file is not valid JSON.
  case json(JSONError)
  /// The file is JSON but no object.
  case notAnObject(path: String)
  /// A key that is needed is absent.
  case missing(path: String, key: String)
  /// A key has a value of the wrong type.
  case wrongType(path: String, key: String, expected: String)
  /// A number is not among those allowed.
  case outOfRange(path: String, key: String, value: String, allowed: String)
  /// The model is of another family.
  case unsupportedModelType(path: String, value: String)
  /// The feed-forward network uses another activation than SiLU.
  case unsupportedActivation(path: String, value: String)
  /// The rotary embedding is scaled in another way than those supported.
  case unsupportedRotaryType(path: String, key: String, value: String)
  /// A key has a value that changes the mathematics in a way that is not supported.
  case unsupportedValue(path: String, key: String, value: String, supported: String)
  /// The weights are quantised by another program.
  case unsupportedQuantization(path: String, method: String)
  /// The number of query heads is no multiple of the number of key-value heads.
  case headsNotDivisible(path: String, headCount: Int, keyValueHeadCount: Int)
  /// The model width is no multiple of the number of heads and "head_dim" is absent.
  case hiddenSizeNotDivisible(path: String, hiddenSize: Int, headCount: Int)
  /// The size of a head is odd, so that it cannot be rotated in pairs.
  case oddHeadSize(path: String, headSize: Int)
  /// Two spellings of the same setting disagree.
  case conflict(path: String, key: String, otherKey: String)

  /// The kind of trouble, for the exit code.
  public var category: FailureCategory {
    if case .file(let error) = self { error.category } else { .refusedData }
  }

  /// One sentence that names the file, the key and what is wrong.
  public var description: String {
    switch self {
    case .file(let error): error.description
    case .json(let error): error.description
    case .notAnObject(let path): "\(printable(path)): not a JSON object"
    case .missing(let path, let key): "\(printable(path)): \"\(key)\" is missing"
    case .wrongType(let path, let key, let expected):
      "\(printable(path)): \"\(key)\" must be \(expected)"
    case .outOfRange(let path, let key, let value, let allowed):
      "\(printable(path)): \"\(key)\" is \(printable(value)), allowed is \(allowed)"
    case .unsupportedModelType(let path, let value):
      "\(printable(path)): \"model_type\" is \"\(printable(value))\"; "
        + "only \"llama\", \"mistral\" and \"qwen2\" are supported"
    case .unsupportedActivation(let path, let value):
      "\(printable(path)): \"hidden_act\" is \"\(printable(value))\"; only \"silu\" is supported"
    case .unsupportedRotaryType(let path, let key, let value):
      "\(printable(path)): \"\(key)\" has the type \"\(printable(value))\"; "
        + "only \"default\", \"linear\", \"llama3\" and \"yarn\" are supported"
    case .unsupportedValue(let path, let key, let value, let supported):
      "\(printable(path)): \"\(key)\" is \(printable(value)); only \(supported) is supported"
    case .unsupportedQuantization(let path, let method):
      "\(printable(path)): \"quantization_config\" says the weights are quantised by "
        + "\"\(printable(method))\", which is not supported; use the original checkpoint"
    case .headsNotDivisible(let path, let headCount, let keyValueHeadCount):
      "\(printable(path)): \"num_attention_heads\" (\(headCount)) is no multiple of "
        + "\"num_key_value_heads\" (\(keyValueHeadCount))"
    case .hiddenSizeNotDivisible(let path, let hiddenSize, let headCount):
      "\(printable(path)): \"hidden_size\" (\(hiddenSize)) is no multiple of "
        + "\"num_attention_heads\" (\(headCount)) and \"head_dim\" is missing"
    case .oddHeadSize(let path, let headSize):
      "\(printable(path)): \"head_dim\" is \(headSize), but must be even"
    case .conflict(let path, let key, let otherKey):
      "\(printable(path)): \"\(key)\" and \"\(otherKey)\" disagree; remove one of them"
    }
  }
}
