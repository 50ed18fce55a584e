import DuetCompressor

extension Options {
  /// The paragraphs at the end of `--help`.
  static let notes = [
    "Methods: "
      + MethodList.all.map { "\($0.name), \($0.summary). " }.joined()
      + "Options that a method does not use are refused. docs/methods.md has the commands for each "
      + "paper.",
    "--target-bits first measures all matrices, with one pass of the samples through the original "
      + "model, and then gives ranks to the matrices where a stored byte reduces the expected error "
      + "most. The report has the rank of each matrix. --dry-run shows the bytes of one rank for all "
      + "matrices, which takes the same number of bytes in total.",
    "Formats of Q: int2, int3 and int4 store 2, 3 and 4 bits per weight, and an F16 scale for each "
      + "group of columns of a row: 0.125 more bits per weight in groups of 128, almost none with row. "
      + "e8p stores two bits per weight, as points of an eight-dimensional lattice. trellis2, trellis2.5 and "
      + "trellis3 store two, two and a half and three, which the weights of a column share; their error is "
      + "the smallest at these bits, and rounding to them takes longest. Both kinds are designed for rotated "
      + "weights. L and R take 4 bits per entry and scales in groups of 128 as int4, and 16 "
      + "bits per entry as f16.",
    "All tensors except the linear layers and the output head are copied unchanged. The head is stored "
      + "in eight bits, in groups of 128, or as f16. bits/weight counts everything that is stored for "
      + "the compressed linear layers: codes, scales, factors, columns of outliers, rotations, padding.",
    "rel.err is sqrt(tr(E H E^T) / tr(W H W^T)), where E is the change of the weights W, and H is the "
      + "second moment of the inputs, measured on the calibration samples. RTN is this error for "
      + "rounding to nearest with the same rotation, with the damped H. damping is the value that was "
      + "added to the diagonal; it is raised when a factorisation fails.",
    "--propagate: with compressed, the samples run through the compressed layers, so that the inputs of "
      + "later layers are the inputs in the compressed model; with original, they run through the "
      + "original layers. With corrected, they run through both, and every matrix is fitted to the "
      + "output of the original model at its place, which also reduces the error of earlier layers; "
      + "rel.err is then relative to the corrected weights.",
    "With the same source, options, texts and version, the output is the same byte for byte, with any "
      + "number of threads.",
    "Every finished matrix is kept in the output folder. A run that was stopped by Ctrl-C, by a signal "
      + "or by a power failure is resumed when the same command is given again: --resume auto resumes "
      + "if there is an earlier run, required fails if there is none, and never fails if there is one "
      + "(with --force it starts over). If options, texts or weights differ from the earlier run, the "
      + "run ends with code 6 and names the differences.",
    "Ctrl-C stops the run after the current matrix, with code 6; pressed three times, it stops the run "
      + "at once. SIGTERM stops the run in the same way, with code 143.",
    partsNote,
    "A run that would need more memory than --memory-limit is refused with code 4 before it starts. "
      + "The hidden states of the samples are kept in memory if they fit, else in a file in the output "
      + "folder.",
  ]
}
