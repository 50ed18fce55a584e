import DuetRuntime

/// What `bench` refuses to do.
enum BenchError: DuetError, Equatable {
  case neitherModelNorShape
  case modelAndShape
  case unknownShape(String)
  case unknownKernelSet(String)
  case outputExists(path: String)
  case cannotCreate(path: String)

  var description: String {
    switch self {
    case .neitherModelNorShape: "give -m DIR or --shape NAME"
    case .modelAndShape: "give either -m or --shape, not both"
    case .unknownShape(let name):
      "no shape \"\(printable(name))\"; there are "
        + Configuration.presetNames.joined(separator: ", ")
    case .unknownKernelSet(let name):
      "no kernels \"\(printable(name))\" for this processor; there are "
        + KernelSet.supported.map(\.name).joined(separator: ", ")
    case .outputExists(let path): "\(printable(path)) exists already; choose another folder"
    case .cannotCreate(let path): "\(printable(path)): the folder cannot be made"
    }
  }

  var category: FailureCategory {
    switch self {
    case .outputExists, .cannotCreate: .inputOutput
    default: .usage
    }
  }
}
