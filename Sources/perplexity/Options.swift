import DuetCommandLine
import DuetEvaluation
import DuetRuntime
import DuetText

/// The command line of `perplexity`.
enum Options {
  static let files = Option.strings(
    "file", short: "f", "FILE", isRequired: true,
    help: "A text to measure; each file is measured separately")
  static let format = Option<EvaluationTextFormat>.choice(
    "text-format", default: .auto, help: "The format of the file; see below")
  static let context: Option<Int?> = .integer(
    "context", short: "c", "C", in: 1...(1 << 24),
    defaultText: "2048, with llama.cpp 512, or the model's context length if that is shorter",
    help: "The number of tokens of a window")
  static let scheme = Option<PerplexityProtocol>.choice(
    "protocol", default: .paper, help: "The definition of perplexity; see below")
  static let beginning = Option<BeginningRule>.choice(
    "bos", default: .auto, help: "Where BOS tokens are inserted; see below")
  static let tail = Option<TailRule?>(
    "tail", "drop|score",
    help: "Whether tokens that do not fill a window are scored in a last, shorter window (protocol "
      + "paper)",
    initial: nil, defaultText: "drop; score with --bos every", expected: "one of drop, score",
    read: { text in TailRule(rawValue: text).map { .some($0) } })
  static let windows: Option<Int?> = .integer(
    "windows", "N", in: 1...Int.max, defaultText: "all; 256 of C4",
    help: "Score only the first N windows; marks the result as partial")
  static let seed = Option<UInt64>.seed(
    "seed", short: "s", "N", default: 0,
    help: "The seed of the documents and positions that protocol paper-c4 draws")
  static let characters: Option<Int?> = .integer(
    "characters", "N", in: 1...Int.max, defaultText: "all",
    help: "Use only the first N Unicode scalars of a file; marks the result as partial")
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
    "kv-cache", default: .f16, help: "The element type of keys and values in memory")
  static let referenceCache = Option<KVCacheType?>(
    "reference-kv-cache", KVCacheType.allCases.map(\.rawValue).joined(separator: "|"),
    help:
      "That of the model of --reference; with one model twice, the comparison shows what --kv-cache "
      + "changes",
    initial: nil, defaultText: "that of --kv-cache",
    expected: "one of " + KVCacheType.allCases.map(\.rawValue).joined(separator: ", "),
    read: { text in KVCacheType(rawValue: text).map { .some($0) } })
  static let referenceStates: Option<String?> = .string(
    "reference-states", "FILE",
    help:
      "Keep what the model of --reference computes in FILE, and use it when it is there: a second model is "
      + "compared without running the reference again. 4 bytes for each prediction and number of the residual "
      + "stream; for one --file")

  static let command = Command(
    name: "perplexity",
    summary: "how well a model predicts a text",
    options: [
      CommonOptions.model, files, scheme, context, beginning, tail, format, windows, seed,
      characters, lossy, stripMark, reference, referenceStates, cache, referenceCache,
      CommonOptions.activations,
      CommonOptions.threads, CommonOptions.withoutMapping, CommonOptions.verify,
      CommonOptions.json, CommonOptions.quiet, CommonOptions.verbose,
    ],
    notes: [
      "Protocol paper: one BOS at the start of the text, then windows of C tokens, of which all but the "
        + "first are predicted. Tokens that do not fill a window are dropped. The papers on "
        + "compression report this, with C of 2048 or 4096. The error after ± is over windows.",
      "Protocol llama.cpp: windows of C tokens, the first token of each replaced by BOS and the last "
        + "C - C/2 - 1 predicted; the text needs at least 2C tokens. The error is over tokens.",
      "Protocol lm-eval: a BOS before each document (in addition to a BOS that the tokenizer adds), "
        + "and every token predicted once, in windows of C predictions. Perplexity is per word and per "
        + "byte of the text before detokenization. The error is over documents.",
      "Protocol paper-c4: C4 as GPTQ, QuIP# and CALDERA measure it. Documents of the file are drawn at "
        + "random, as Python's random.seed(0) and randint do, until one has more than C tokens, BOS "
        + "included; C adjacent tokens from a random position are a window, of which all but the first "
        + "are predicted. The papers use 256 windows, QuIP# and CALDERA with -c 4096. Where those "
        + "scripts fail, at a document of exactly C tokens, another one is drawn. "
        + "Protocol c4-new: the first 1100 texts joined with spaces, then as protocol paper, at most 256 "
        + "windows. The file of both is en/c4-validation.00000-of-00008.json of allenai/c4, unpacked "
        + "with gunzip: a JSON object with a string \"text\" per line.",
      "--bos auto follows the protocol; with paper and llama.cpp it adds no BOS if the tokenizer adds "
        + "none. first: one at the start of the text (lm-eval: of each document, without the "
        + "tokenizer's BOS). every: with paper, windows of a BOS and C - 1 tokens, all of which are "
        + "predicted, and a last, shorter window too; with llama.cpp, a BOS in place of the first "
        + "token of each window; C4 has no every. never: no BOS.",
      "--text-format raw: the unchanged file. wikitext-lines: the raw WikiText file. For lm-eval it is "
        + "split into pages and detokenized as in its wikitext task; otherwise its lines, blank ones "
        + "emptied, are joined with two line feeds as in the papers. jsonl: an object with a string "
        + "\"text\" per line; each is a document for lm-eval, otherwise they are joined with two line "
        + "feeds. auto: jsonl if the name ends in .jsonl; wikitext-lines if the file starts with a "
        + "blank line and a line \" = Title = \" and the protocol is paper or lm-eval; else raw.",
      "A byte order mark and carriage returns are part of the text. The text of a special token is "
        + "encoded as that token, as the reference tokenizers do.",
      "A window with an infinity or NaN ends the run with code 5; no window is left out.",
    ])

  /// Checks that the options have a meaning with the protocol.
  static func check(_ arguments: Arguments) throws(UsageError) {
    let name = arguments[scheme]
    func refuse(_ option: String, _ advice: String) -> UsageError {
      .conflict("\(option) has no meaning with --protocol \(name.rawValue)\(advice)")
    }
    if name == .lmEval, arguments.isGiven(windows) {
      throw refuse("--windows", ", which counts whole documents; use --characters")
    }
    if name != .paperC4, arguments.isGiven(seed) {
      throw refuse("--seed", ", which draws nothing at random")
    }
    if arguments.isGiven(referenceCache), arguments[reference] == nil {
      throw .conflict("--reference-kv-cache is for a second model: give --reference too")
    }
    if arguments[referenceStates] != nil {
      guard arguments[reference] != nil else {
        throw .conflict("--reference-states is for a second model: give --reference too")
      }
      guard arguments[files].count == 1 else {
        throw .conflict("--reference-states is for one text: measure each --file on its own")
      }
    }
    guard name.isC4 else { return }
    let others = [
      ("--characters", arguments.isGiven(characters)), ("--lossy", arguments[lossy]),
      ("--strip-bom", arguments[stripMark]),
      ("--text-format", ![.auto, .jsonl].contains(arguments[format])),
      ("--bos every", arguments[beginning] == .every),
      ("--tail score", arguments[tail] == .score),
    ]
    if let option = others.first(where: \.1) {
      throw refuse(option.0, ", which reads JSON lines and takes whole windows")
    }
  }
}
