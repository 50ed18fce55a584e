import DuetSystem
import DuetText
import Testing

/// A day for templates that ask for one.
let someDay = CalendarDate(year: 2025, month: 3, day: 9)

extension ChatTemplate {
  func text(
    _ messages: [ChatMessage], addGenerationPrompt: Bool = false, bos: String = "<s>",
    eos: String = "</s>", dateString: String? = nil
  ) throws -> String {
    try render(
      messages, addGenerationPrompt: addGenerationPrompt, beginningOfSequence: bos,
      endOfSequence: eos, date: someDay, dateString: dateString
    ).map(\.text).joined()
  }
}

/// The exact renderings that `formats.md` section 6.4 of the specification lists, with system S, users U and V,
/// assistant A; every content has blanks around it where the family trims.
@Suite("Chat templates of families")
struct ChatTemplateFamilyTests {
  let system = ChatMessage(role: .system, content: "S")
  let turns = [
    ChatMessage(role: .user, content: "U"), ChatMessage(role: .assistant, content: "A"),
    ChatMessage(role: .user, content: "V"),
  ]
  let blankTurns = [
    ChatMessage(role: .user, content: " U\n"), ChatMessage(role: .assistant, content: "\tA "),
    ChatMessage(role: .user, content: " V"),
  ]

  @Test("Llama 2 is rendered as specified")
  func llama2() throws {
    let template = try ChatTemplate(named: "llama-2")
    #expect(
      try template.text([system] + blankTurns)
        == "<s>[INST] <<SYS>>\nS\n<</SYS>>\n\n U [/INST] A </s><s>[INST] V [/INST]")
    #expect(
      try template.text(blankTurns, addGenerationPrompt: true)
        == "<s>[INST] U [/INST] A </s><s>[INST] V [/INST]")
  }

  @Test("Llama 3 is rendered as specified")
  func llama3() throws {
    let template = try ChatTemplate(named: "llama-3")
    let body =
      "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|>"
      + "<|start_header_id|>user<|end_header_id|>\n\nU<|eot_id|>"
      + "<|start_header_id|>assistant<|end_header_id|>\n\nA<|eot_id|>"
      + "<|start_header_id|>user<|end_header_id|>\n\nV<|eot_id|>"
    let bos = "<|begin_of_text|>"
    #expect(try template.text([system] + blankTurns, bos: bos) == body)
    #expect(
      try template.text([system] + blankTurns, addGenerationPrompt: true, bos: bos)
        == body + "<|start_header_id|>assistant<|end_header_id|>\n\n")
  }

  @Test(
    "Llama 3.1 is rendered as specified, with its date",
    arguments: [nil, "1 Jan 2030"] as [String?])
  func llama31(date: String?) throws {
    let template = try ChatTemplate(named: "llama-3.1")
    let head =
      "<s><|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\n"
      + "Today Date: \(date ?? "26 Jul 2024")\n\n"
    let tail =
      "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nU<|eot_id|>"
      + "<|start_header_id|>assistant<|end_header_id|>\n\n"
    let user = [blankTurns[0]]
    #expect(
      try template.text([system] + user, addGenerationPrompt: true, dateString: date)
        == head + "S" + tail)
    #expect(
      try template.text(user, addGenerationPrompt: true, dateString: date) == head + tail)
  }

  @Test(
    "Mistral's versions are rendered as specified",
    arguments: [
      ("mistral-v1", "<s>[INST] U [/INST]A</s> [INST] V [/INST]"),
      ("mistral-v3", "<s>[INST] U[/INST] A</s>[INST] V[/INST]"),
      ("mistral-tekken", "<s>[INST]U[/INST]A</s>[INST]V[/INST]"),
    ])
  func mistral(name: String, expected: String) throws {
    let template = try ChatTemplate(named: name)
    #expect(try template.text(turns, addGenerationPrompt: true) == expected)
    let withSystem = expected.replacing("U", with: "S\n\nU")
    #expect(try template.text([system] + turns) == withSystem)
  }

  private let vicuna =
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives "
    + "helpful, detailed, and polite answers to the user's questions."
  private let alpaca =
    "Below is an instruction that describes a task. Write a response that appropriately completes the "
    + "request."

  /// As FastChat writes Vicuna v1.1, as the tokenizers of Qwen and Zephyr-7B write theirs, and as the
  /// authors of Alpaca write an instruction, with `### Response:` on a line of its own.
  @Test("ChatML, Vicuna, Zephyr and Alpaca are rendered as published")
  func plainFamilies() throws {
    func text(_ name: String, _ messages: [ChatMessage]) throws -> String {
      try ChatTemplate(named: name).text(messages, addGenerationPrompt: true)
    }
    #expect(
      try text("chatml", [system] + turns)
        == "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n"
        + "<|im_start|>assistant\nA<|im_end|>\n<|im_start|>user\nV<|im_end|>\n"
        + "<|im_start|>assistant\n")
    #expect(
      try text("zephyr", [system] + turns)
        == "<|system|>\nS</s>\n<|user|>\nU</s>\n<|assistant|>\nA</s>\n<|user|>\nV</s>\n"
        + "<|assistant|>\n")
    #expect(try text("vicuna", turns) == "<s>\(vicuna) USER: U ASSISTANT: A</s>USER: V ASSISTANT:")
    #expect(try text("vicuna", [system, turns[0]]) == "<s>S USER: U ASSISTANT:")
    #expect(
      try text("alpaca", turns)
        == "<s>\(alpaca)\n\n### Instruction:\nU\n\n### Response:\nA</s>\n\n"
        + "### Instruction:\nV\n\n### Response:\n")
    #expect(
      try text("alpaca", [system, turns[0]])
        == "<s>S\n\n### Instruction:\nU\n\n### Response:\n")
  }

  @Test(
    "turns of Llama 2 and Mistral must alternate",
    arguments: ["llama-2", "mistral-v1", "mistral-v3", "mistral-tekken"])
  func turnsMustAlternate(name: String) throws {
    let template = try ChatTemplate(named: name)
    for messages in [[turns[0], turns[2]], [turns[1]], [system, turns[1]], [system, system]] {
      #expect {
        try template.text(messages)
      } throws: { error in
        guard case .conversationRefused(let message) = error as? ChatTemplateError else {
          return false
        }
        return message.contains("take turns")
          && (error as? ChatTemplateError)?.category == .usage
      }
    }
  }

  @Test(
    "every family renders an empty conversation and a single message",
    arguments: ChatTemplateFamily.allCases)
  func everyFamilyRendersAnything(family: ChatTemplateFamily) throws {
    let template = try ChatTemplate(named: family.rawValue)
    #expect(template.origin == family.rawValue)
    _ = try template.text([])
    _ = try template.text([turns[0]])
  }

  @Test("the message about an unknown family names the known ones")
  func unknownFamilyNamesTheKnown() {
    #expect(throws: ChatTemplateError.unknownFamily(name: "llama-9")) {
      try ChatTemplate(named: "llama-9")
    }
    let message = ChatTemplateError.unknownFamily(name: "llama-9").description
    #expect(message.contains("llama-3.1") && message.contains("mistral-tekken"))
  }

  @Test("system text that a template drops moves to the user")
  func systemTextThatATemplateDropsMovesToTheUser() throws {
    let source =
      "{% for m in messages %}{% if m.role == 'user' %}<{{ m.content }}>{% endif %}{% endfor %}"
    let template = try ChatTemplate(source: source)
    #expect(try template.text([system] + turns) == "<S\n\nU><V>")
    #expect(try template.text(turns) == "<U><V>")
  }
}
