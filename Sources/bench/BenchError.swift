import DuetCommandLine
import DuetRuntime
import DuetSystem

/// An error of `bench`.
enum BenchError: DuetError, Equatable {
  case neitherModelNorShape
  case modelAndShape
  case unknownShape(String)
  case unknownKernelSet(String)
  case nothingSelected([String])
  case outputExists(path: String)
  case cannotCreate(path: String)
  /// A shape that does not fit in the free memory; `layerCount` layers would fit.
  case doesNotFit(shape: String, byteCount: Int, freeByteCount: Int, layerCount: Int)

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
    case .nothingSelected(let texts):
      "no kernel has \(texts.map { "\"\(printable($0))\"" }.joined(separator: " or ")) in its name; "
        + "bench kernels without --only shows all"
    case .outputExists(let path): "\(printable(path)) exists already; choose another folder"
    case .cannotCreate(let path): "\(printable(path)): the folder cannot be made"
    case .doesNotFit(let shape, let byteCount, let freeByteCount, let layerCount):
      "\(printable(shape)) takes \(gib(byteCount)) of memory and \(gib(freeByteCount)) are free; "
        + (layerCount > 0 ? "try --layers \(layerCount)" : "not even one layer fits")
    }
  }

  var category: FailureCategory {
    switch self {
    case .outputExists, .cannotCreate: .inputOutput
    case .doesNotFit: .failure
    default: .usage
    }
  }
}

/// A number of bytes in GiB.
func gib(_ byteCount: Int) -> String {
  "\(decimalText(Double(byteCount) / 0x1p30, digits: 2)) GiB"
}
