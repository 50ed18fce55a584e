import DuetCommandLine
import DuetEvaluation
import DuetText

/// The command line of `evaluate`.
enum Options {
  static let tasks = Option<String>.required(
    "tasks", "NAME,NAME",
    help: "What to answer: \(EvaluationTask.named.map(\.name).joined(separator: ", ")), or the "
      + "path of a file of your own that ends in .jsonl; see below")
  static let data: Option<String?> = .string(
    "data", "DIR", help: "The folder of the data of tasks that have names; see below")
  static let scheme = Option<EvaluationProtocol>.choice(
    "protocol", default: .joined, help: "How texts become tokens; see below")
  static let limit: Option<Int?> = .integer(
    "limit", "N", in: 1...Int.max, defaultText: "all",
    help: "Answer the first N documents of each task only; marks the numbers as partial")
  static let samples: Option<String?> = .string(
    "samples-out", "DIR",
    help: "Write samples_TASK.jsonl into this folder, a line for each document: numbers, no texts")
  static let resume = Option.flag(
    "resume", help: "Go on behind the samples that an earlier run wrote to --samples-out")
  static let force = Option.flag(
    "force", help: "Throw away samples that are in --samples-out already")
  static let comparison: Option<String?> = .string(
    "compare", "OTHER.json",
    help:
      "The --json document of another model on the same tasks: adds how many documents both, only "
      + "this model (A), only the other (B), and neither got right")

  static let command = Command(
    name: "evaluate",
    summary: "how often a model finds the right answer likeliest",
    options: [
      CommonOptions.model, tasks, data, scheme, limit, samples, resume, force, comparison,
      CommonOptions.threads, CommonOptions.withoutMapping, CommonOptions.verify, CommonOptions.json,
      CommonOptions.quiet, CommonOptions.verbose,
    ],
    notes: [
      "acc: the share of documents whose right answer has the largest log-likelihood, summed over its "
        + "tokens. acc_norm: the same after division by the code points of the answer; WinoGrande has "
        + "none. The first of equal answers counts. The error after ± is the sample standard "
        + "deviation over the square root of the number of documents.",
      "Protocol lm-eval-0.4: question and answer are encoded together with the tokenizer's special "
        + "tokens, as today's harness does. lm-eval-0.3: apart and without any, as the papers on "
        + "QuIP# and CALDERA did. The two differ by several per cent; compare like with like.",
      "What does not fit in the model's context is cut off at the beginning. That, an answer whose "
        + "tokens the question swallows, and an empty question are marked in the sample and counted.",
      "Data: the files of the data sets as their authors or Hugging Face publish them, in these places "
        + "below --data, the first that is there: "
        + EvaluationTask.named.map(\.fileNames).joined().joined(separator: ", ")
        + ". Answers of PIQA may stand in valid-labels.lst beside valid.jsonl.",
      "A file of your own has a JSON object on each line: \"context\", a list \"choices\", and \"gold\", "
        + "the index of the right one from 0. A space is put before each choice.",
      "Documents are written to --samples-out as they are answered. A run that was stopped goes on with "
        + "--resume and gives the same bytes as one that was not.",
    ])
}
