import DuetCommandLine
import DuetEvaluation
import DuetText

/// The command line of `evaluate`.
enum Options {
  static let tasks = Option<String>.required(
    "tasks", "NAME,NAME",
    help: "The tasks: \(EvaluationTask.named.map(\.name).joined(separator: ", ")), or the path of "
      + "your own file, which must end in .jsonl; see below")
  static let data: Option<String?> = .string(
    "data", "DIR", help: "The folder of the data sets of the named tasks; see below")
  static let scheme = Option<EvaluationProtocol>.choice(
    "protocol", default: .joined, help: "How texts are encoded as tokens; see below")
  static let limit: Option<Int?> = .integer(
    "limit", "N", in: 1...Int.max, defaultText: "all",
    help: "Answer only the first N documents of each task, of mmlu of each subject; marks the "
      + "results as partial")
  static let examples: Option<Int?> = .integer(
    "num-fewshot", "N", in: 0...5, defaultText: "0",
    help: "The number of questions with answers before each question of mmlu")
  static let samples: Option<String?> = .string(
    "samples-out", "DIR",
    help: "Write samples_TASK.jsonl into this folder, one line per document: numbers, no texts")
  static let resume = Option.flag(
    "resume", help: "Continue after the samples that an earlier run wrote to --samples-out")
  static let force = Option.flag(
    "force", help: "Delete samples that are already in --samples-out")
  static let comparison: Option<String?> = .string(
    "compare", "OTHER.json",
    help:
      "The --json document of another model on the same tasks: adds the numbers of documents that "
      + "both, only this model (A), only the other (B), and neither answered correctly")

  static let command = Command(
    name: "evaluate",
    summary: "how often a model gives the right answer the highest likelihood",
    options: [
      CommonOptions.model, tasks, data, scheme, examples, limit, samples, resume, force, comparison,
      CommonOptions.threads, CommonOptions.withoutMapping, CommonOptions.verify, CommonOptions.json,
      CommonOptions.quiet, CommonOptions.verbose,
    ],
    notes: [
      "acc is the share of documents whose right answer has the largest log-likelihood, summed over "
        + "its tokens. For acc_norm the log-likelihood is divided by the number of code points of the "
        + "answer; WinoGrande and tasks with one-word answers have no acc_norm. Of equal answers the "
        + "first counts. The error after ± is the sample standard deviation over the square root of "
        + "the number of documents.",
      "Of lambada_openai, acc is the share of texts whose last word greedy decoding gives, and perplexity "
        + "is exp of minus the mean log-likelihood of that word. mmlu compares the letters A to D; its acc "
        + "is the mean over documents (micro), its acc_macro the mean over the 57 subjects. "
        + "--num-fewshot 5 gives the numbers that papers report of it.",
      "Protocol lm-eval-0.4 encodes question and answer together, with the tokenizer's special tokens, "
        + "as the current lm-evaluation-harness does. lm-eval-0.3 encodes them separately and without "
        + "special tokens, as in the papers on QuIP# and CALDERA. The results differ by several per "
        + "cent; compare only results of one protocol. mmlu is defined by lm-eval-0.4 only.",
      "A text that does not fit in the model's context is cut off at the beginning. Such texts, answers "
        + "without tokens after the question's, and empty questions are marked in the samples and "
        + "counted.",
      "Data: the files of the data sets as their authors or Hugging Face publish them. Of these places "
        + "in --data, the first that exists is used: "
        + EvaluationTask.named.map(\.fileNames).joined().joined(separator: ", ")
        + ". mmlu has one file of all subjects, each line with its \"subject\", or a folder for each; "
        + "dev.jsonl beside it has the examples. The answers of PIQA may be in valid-labels.lst in the "
        + "folder of valid.jsonl.",
      "Your own file has a JSON object on each line: \"context\", a list \"choices\", and \"gold\", "
        + "the index of the right choice from 0. A space is put before each choice.",
      "Documents are written to --samples-out as they are answered. A run that was stopped continues "
        + "with --resume, and then writes the same bytes as a run that was not stopped.",
    ])
}
