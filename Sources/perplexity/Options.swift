import DuetCommandLine
import DuetEvaluation
import DuetRuntime
import DuetText

/// The command line of `perplexity`.
enum Options {
  static let files = Option.strings(
    "file", short: "f", "FILE", isRequired: true,
    help: "A text to measure; each file is measured by itself")
  static let format = Option<EvaluationTextFormat>.choice(
    "text-format", default: .auto, help: "How a file becomes text; see below")
  static let context: Option<Int?> = .integer(
    "context", short: "c", "C", in: 1...(1 << 24),
    defaultText: "2048, with llama.cpp 512, and no more than the model was made for",
    help: "Tokens of a window")
  static let scheme = Option<PerplexityProtocol>.choice(
    "protocol", default: .paper, help: "The definition of perplexity; see below")
  static let beginning = Option<BeginningRule>.choice(
    "bos", default: .auto, help: "Where a BOS token is put; see below")
  static let tail = Option<TailRule?>(
    "tail", "drop|score",
    help: "Whether tokens that do not fill a window make a last, shorter one (protocol paper)",
    initial: nil, defaultText: "drop; score with --bos every", expected: "one of drop, score",
    read: { text in TailRule(rawValue: text).map { .some($0) } })
  static let windows: Option<Int?> = .integer(
    "windows", "N", in: 1...Int.max, defaultText: "all",
    help: "Score the first N windows only; marks the number as partial")
  static let characters: Option<Int?> = .integer(
    "characters", "N", in: 1...Int.max, defaultText: "all",
    help: "Use the first N Unicode scalars of a file only; marks the number as partial")
  static let lossy = Option.flag(
    "lossy", help: "Replace bytes that are not UTF-8 by U+FFFD instead of refusing the file")
  static let stripMark = Option.flag(
    "strip-bom", help: "Remove a byte order mark at the start of a file")
  static let reference: Option<String?> = .string(
    "reference", "DIR",
    help:
      "The model to compare with, such as the uncompressed one: adds KL divergence, the share of "
      + "tokens with the same likeliest token, and the change of perplexity")
  static let cache = Option<KVCacheType>.choice(
    "kv-cache", default: .f16, help: "The type of keys and values in memory")

  static let command = Command(
    name: "perplexity",
    summary: "how well a model predicts a text",
    options: [
      CommonOptions.model, files, scheme, context, beginning, tail, format, windows, characters,
      lossy, stripMark, reference, cache, CommonOptions.activations, CommonOptions.threads,
      CommonOptions.withoutMapping, CommonOptions.verify,
      CommonOptions.json, CommonOptions.quiet, CommonOptions.verbose,
    ],
    notes: [
      "Protocol paper: one BOS at the very start, the tokens cut into windows of C, the C - 1 tokens "
        + "behind the first of each predicted, what does not fill a window dropped; the papers on "
        + "compression report this, with C of 2048 or 4096. The error after ± is over windows.",
      "Protocol llama.cpp: windows of C, the first token of each replaced by BOS, the last "
        + "C - C/2 - 1 predicted; at least 2C tokens. The error is over tokens.",
      "Protocol lm-eval: each document behind a BOS (and the BOS that the tokenizer itself adds), "
        + "every token predicted once in windows of C; perplexity per word and per byte of the text "
        + "as it was before detokenization. The error is over documents.",
      "--bos auto follows the protocol and adds none where the tokenizer adds none. first: once, at "
        + "the very start (lm-eval: of each document, without the tokenizer's own). every: paper "
        + "takes windows of C - 1 tokens, each behind a BOS, and predicts all of them, those of a "
        + "last, shorter window too; llama.cpp replaces the first token of each window. never: none.",
      "--text-format raw: the file as it is. wikitext-lines: the raw WikiText file, for lm-eval "
        + "split into pages and detokenized as its wikitext task does, else its lines joined with "
        + "two line feeds, blank ones emptied, as the papers do. jsonl: an object with a string "
        + "\"text\" per line, each a document for lm-eval, else joined with two line feeds. auto: "
        + "jsonl when the name ends in .jsonl; wikitext-lines when the file starts with a blank line "
        + "and a line \" = Title = \" and the protocol is paper or lm-eval; else raw.",
      "A byte order mark is text, and carriage returns stay. Special tokens that a text spells are "
        + "read as such, as the reference tokenizers do.",
      "A window with an infinity or NaN ends the run with code 5; none is ever left out.",
    ])
}
