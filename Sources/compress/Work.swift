import DuetCommandLine
import DuetCompressor

/// What a command line asks for.
enum Work: Equatable {
  /// A whole model.
  case whole
  /// A part of a model.
  case part(PartNumber, sharesStates: Bool)
  /// A share of the states for the parts.
  case states(PartNumber)
  /// A model of the parts.
  case merge

  /// Reads the subcommand and the options of parts.
  ///
  /// - Throws: `UsageError`.
  init(_ arguments: Arguments) throws(UsageError) {
    let part = arguments[Options.part]
    let sharesStates = arguments[Options.sharedStates]
    switch (arguments.command.name, part) {
    case (Options.merging.name, _): self = .merge
    case (Options.states.name, let number?): self = .states(number)
    case (Options.states.name, nil): throw .missingOption("--part", placeholder: "I/N")
    case (_, let number?): self = .part(number, sharesStates: sharesStates)
    case (_, nil): self = .whole
    }
    if sharesStates, part == nil {
      throw .conflict("--shared-states has no meaning without --part")
    }
    if part != nil, arguments[Options.exportDense] != nil {
      throw .conflict(
        "--part and --export-dense contradict each other: dense weights are written from all parts; give "
          + "--export-dense to compress merge")
    }
  }

  /// Whether the model is made in parts.
  var isInParts: Bool { self != .whole }

  /// The number of the part or of the share of states, or nil.
  var number: PartNumber? {
    switch self {
    case .part(let number, _), .states(let number): number
    case .whole, .merge: nil
    }
  }
}
