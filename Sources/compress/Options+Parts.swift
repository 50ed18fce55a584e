import DuetCommandLine
import DuetCompressor

extension Options {
  static let part = Option<PartNumber?>(
    "part", "I/N",
    help: "Compress only the I-th of N parts of the layers, on one of several machines; see below",
    initial: nil, defaultText: "the whole model", expected: "a part such as 2/6",
    read: { text in PartNumber(reading: text).map { .some($0) } })
  static let sharedStates = Option.flag(
    "shared-states",
    help: "With --part: take the states before the part from those of compress states, instead of "
      + "running all samples through the layers before it")

  /// `compress states`.
  static let states = Command(
    name: "compress states",
    summary:
      "run a share of the samples through the original model, for the parts that need their states",
    options: planned + [part] + run + messages,
    operands: [folder],
    notes: [
      "--part I/N runs the I-th of N shares of the samples, and keeps their states before the first layer of "
        + "each of N parts in DIR.parts/states-I-of-N. compress --part I/N --shared-states needs the shares "
        + "of all. All options of the parts must be given here too.",
      resuming,
    ])

  /// `compress merge`.
  static let merging = Command(
    name: "compress merge",
    summary: "join the parts of compress --part to the model that one run would have written",
    options: planned + run + [exportDense] + messages,
    operands: [folder],
    notes: [
      "Give the options that the parts were made with. The parts are read from DIR.parts and stay there; "
        + "when DIR is written, they can be removed. If a part is missing, unfinished or of another run, "
        + "nothing is written, all such parts are named, and the exit code is 6. --dry-run lists the "
        + "parts and what they lack.",
      "Weights, config.json and compression_report.json have the bytes of one run on a machine of the same "
        + "kind; compression_timings.json has the times of the parts.",
    ])

  /// The note on parts of `compress --help`.
  static let partsNote =
    "--part I/N compresses a part of the layers, so that N machines that share a folder compress a model "
    + "together. The parts are of about the same forecast cost; --dry-run shows it. The embedding belongs to the "
    + "first part, the output head to the last. Part I is kept in DIR.parts/I-of-N, and is resumed like a run. "
    + "compress merge joins the parts. A part runs all samples through the layers before it, unless compress "
    + "states has shared that work among the machines. Parts need --propagate original, and cannot be "
    + "used with --target-bits. Scripts/slurm/submit does all this on a cluster with Slurm."

  private static let resuming =
    "A run that was stopped is resumed when the same command is given again; at most one layer is "
    + "computed again."
}
