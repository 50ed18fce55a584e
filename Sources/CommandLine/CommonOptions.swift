package import DuetRuntime

/// The options that several executables share, declared once.
package enum CommonOptions {
  /// The checkpoint folder.
  package static let model = Option.required(
    "model", short: "m", "DIR", help: "The folder of the checkpoint (Hugging Face layout)")
  /// The number of threads.
  package static let threads: Option<Int?> = .integer(
    "threads", short: "t", "N", in: 1...1024, defaultText: "one per processor",
    help: "The number of threads to compute with")
  /// The type of the activations that compressed weights are multiplied with.
  package static let activations: Option<ActivationType> = .choice(
    "activations", default: .int8,
    help: "The type of the activations that compressed weights are multiplied with; f32 is slow "
      + "and shows the error of int8")
  /// Whether weights are read into memory instead of mapped from the files.
  package static let withoutMapping = Option.flag(
    "no-mmap",
    help: "Read the weights into memory instead of mapping the files, so that later changes of the "
      + "files do not affect the run; takes as much memory as the size of the files")
  /// Whether the weights are compared with their recorded checksums.
  package static let verify = Option.flag(
    "verify",
    help: "First compare the SHA-256 of every file of weights with compression_report.json, which "
      + "is part of compressed models")
  /// Whether one JSON document is printed on standard output.
  package static let json = Option.flag(
    "json", help: "Print one JSON document on standard output, on failure too")
  /// Whether progress and notes are left out.
  package static let quiet = Option.flag(
    "quiet", help: "No progress and no notes on standard error, only warnings and errors")
  /// Whether more notes are written.
  package static let verbose = Option.flag(
    "verbose", help: "More notes on standard error")
}
