import DuetCommandLine
import DuetSystem
import DuetText

let prompt: Option<String?> = .string("prompt", short: "p", "TEXT", help: "The text to tokenize")
let file: Option<String?> = .string(
  "file", short: "f", "FILE", help: "A file to tokenize, at most 1 GiB; - reads standard input")
let lines: Option<String?> = .string(
  "jsonl", "FILE",
  help: "A file of JSON objects with a \"text\", one per line; - reads standard input")
let withoutSpecial = Option.flag(
  "no-special", help: "Leave out the tokens that the post-processor adds, such as the first one")

let command = Command(
  name: "tokenize",
  summary: "Show the tokens of a text.",
  options: [CommonOptions.model, prompt, file, lines, withoutSpecial, CommonOptions.json],
  notes: [
    "Prints ids with their pieces, one per line. With --json, prints one object with \"ids\" and "
      + "\"pieces\". With --jsonl, prints for each line an object with \"ids\" and \"decoded\", which "
      + "can be used to compare tokenizers on many texts.",
    "Exactly one of --prompt, --file and --jsonl must be given. The folder needs to hold only "
      + "tokenizer.json or tokenizer.model. Text must be valid UTF-8.",
  ])

run(command) { invocation in
  let task = try TokenizeTask(invocation.arguments)
  let tokenizer = try invocation.messages.loadTokenizer(invocation.arguments[CommonOptions.model])
  try invocation.messages.encoding(task.name, with: tokenizer) {
    try task.run(tokenizer, output: invocation.output)
  }
  return .success
}
