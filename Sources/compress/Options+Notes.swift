import DuetCompressor

extension Options {
  /// The paragraphs at the end of `--help`.
  static let notes = [
    "Methods: "
      + MethodList.all.map { "\($0.name), \($0.summary). " }.joined()
      + "Options that a method does not read are refused. docs/methods.md has the commands that follow each "
      + "paper.",
    "--target-bits measures all matrices first, with one pass of the samples through the model as it is, "
      + "and then gives ranks to those where a stored byte lowers the expected error most. The report has "
      + "the rank of each. --dry-run shows the bytes of the same rank everywhere, which are as many.",
    "Formats of Q: int2, int3 and int4 have so many bits for a weight and an F16 scale for each group "
      + "of columns of a row: 0.125 bits more in groups of 128, next to nothing with row. e8p has two "
      + "bits for a weight, in points of a lattice of eight dimensions, and is made for rotated weights. L and "
      + "R as int4 take 4 bits for an entry and scales in groups of 128, as f16 16 bits.",
    "Everything but the linear layers and the output head is copied as it is. The head is stored in "
      + "eight bits, in groups of 128, or as f16. bits/weight counts all that is stored for the "
      + "compressed linear layers: codes, scales, factors, columns of outliers, rotations, padding.",
    "rel.err is sqrt(tr(E H E^T) / tr(W H W^T)): E the change of the weights W, H the second moment of "
      + "the inputs as measured on the calibration samples. RTN is the same of rounding to nearest "
      + "with the same rotation, with the damped H. damping is what was added to the diagonal; it is "
      + "raised when a factorisation fails.",
    "--propagate: the samples run through layers whose weights are compressed, so that the inputs of "
      + "later layers are those that the compressed model will see, or original. corrected runs them "
      + "through both and fits every matrix to what the original model computes where it stands, so "
      + "that it makes up for what was lost before; rel.err is then relative to the weights so corrected.",
    "The same source, options, texts and version give the same bytes with any number of threads.",
    "Every finished matrix is kept in the output folder. A run that was stopped, by Ctrl-C, by a "
      + "signal or by the loss of power, goes on from there when the same command is given again: "
      + "--resume auto does so if there is something to go on from, required refuses to start from "
      + "nothing, never refuses to go on (with --force it starts over). Options, texts or weights "
      + "that differ from those of the earlier run end the run with code 6, and the differences are "
      + "named.",
    "Ctrl-C stops the run after the current matrix, with code 6; pressed three times, at once. SIGTERM "
      + "does the same with code 143.",
    "A run that would need more memory than --memory-limit is refused with code 4 before it starts. "
      + "What the samples make of every layer is kept in memory when it fits, else in the output "
      + "folder.",
  ]
}
