/// The chat formats that Duet knows by name.
///
/// They are used for checkpoints that come without a template, and for `--template`. Each is
/// written for Duet and renders conversations exactly as the family's published template does,
/// except for tools.
public enum ChatTemplateFamily: String, Sendable, CaseIterable {
  /// Llama-2-chat: `[INST] ... [/INST]` with the system text between `<<SYS>>` marks.
  case llama2 = "llama-2"
  /// Llama-3-Instruct: a header before each message, `<|eot_id|>` after it.
  case llama3 = "llama-3"
  /// Llama-3.1-Instruct and later: like Llama-3, with a system block that always states the date.
  case llama31 = "llama-3.1"
  /// Mistral-Instruct v0.1: blanks around `[INST]` and `[/INST]`, one after the end of an answer.
  case mistralV1 = "mistral-v1"
  /// Mistral-Instruct v0.3: `[INST]` and `[/INST]` are tokens, each followed by a blank.
  case mistralV3 = "mistral-v3"
  /// Mistral-Nemo and later: like v3, without blanks.
  case mistralTekken = "mistral-tekken"
  /// ChatML, of Qwen and many others: `<|im_start|>` and the role, `<|im_end|>` after the message.
  case chatML = "chatml"
  /// Vicuna v1.1 and later: `USER:` and `ASSISTANT:` after a sentence about the assistant.
  case vicuna
  /// Zephyr and StableLM-Zephyr: `<|user|>` and its like on lines of their own.
  case zephyr
  /// Alpaca: `### Instruction:` and `### Response:` after a sentence about the task.
  case alpaca

  /// The template's source.
  package var source: String {
    switch self {
    case .llama2: Self.llama2Source
    case .llama3: Self.llama3Source
    case .llama31: Self.llama31Source
    case .mistralV1:
      Self.mistralSource(
        open: "'[INST] '", close: "' [/INST]'", answer: "m.content + eos_token + ' '")
    case .mistralV3:
      Self.mistralSource(
        open: "'[INST] '", close: "'[/INST]'", answer: "' ' + m.content | trim + eos_token")
    case .mistralTekken:
      Self.mistralSource(open: "'[INST]'", close: "'[/INST]'", answer: "m.content + eos_token")
    case .chatML: Self.chatMLSource
    case .vicuna: Self.vicunaSource
    case .zephyr: Self.zephyrSource
    case .alpaca: Self.alpacaSource
    }
  }

  /// Raises an exception unless user and assistant alternate; `turn` counts from 0 and leaves out
  /// the system message.
  private static let alternation = """
    {%- if (m.role == 'user') != (turn % 2 == 0) -%}
      {{- raise_exception('user and assistant must take turns, the user first') -}}
    {%- endif -%}
    """

  private static let llama2Source = """
    {%- set system = messages[0].content if messages[:1] and messages[0].role == 'system' else none -%}
    {%- for m in (messages if system is none else messages[1:]) -%}
      {%- set turn = loop.index0 -%}
      \(alternation)
      {%- set words = m.content -%}
      {%- if loop.first and system is not none -%}
        {%- set words = '<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' + words -%}
      {%- endif -%}
      {%- if m.role == 'user' -%}
        {{- bos_token + '[INST] ' + words.strip() + ' [/INST]' -}}
      {%- else -%}
        {{- ' ' + words.strip() + ' ' + eos_token -}}
      {%- endif -%}
    {%- endfor -%}
    """

  private static let llama3Messages = """
    {{- '<|start_header_id|>' + m.role + '<|end_header_id|>\\n\\n' + m.content | trim + '<|eot_id|>' -}}
    """

  private static let llama3Prompt = """
    {%- if add_generation_prompt -%}
      {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}
    {%- endif -%}
    """

  private static let llama3Source = """
    {{- bos_token -}}
    {%- for m in messages -%}
      \(llama3Messages)
    {%- endfor -%}
    \(llama3Prompt)
    """

  private static let llama31Source = """
    {%- set system = '' -%}
    {%- set rest = messages -%}
    {%- if messages[:1] and messages[0].role == 'system' -%}
      {%- set system = messages[0].content | trim -%}
      {%- set rest = messages[1:] -%}
    {%- endif -%}
    {{- bos_token + '<|start_header_id|>system<|end_header_id|>\\n\\n' -}}
    {{- 'Cutting Knowledge Date: December 2023\\n' -}}
    {{- 'Today Date: ' + (date_string if date_string is defined else '26 Jul 2024') + '\\n\\n' -}}
    {{- system + '<|eot_id|>' -}}
    {%- for m in rest -%}
      \(llama3Messages)
    {%- endfor -%}
    \(llama3Prompt)
    """

  private static func mistralSource(open: String, close: String, answer: String) -> String {
    """
    {{- bos_token -}}
    {%- for m in messages -%}
      {%- set turn = loop.index0 -%}
      \(alternation)
      {%- if m.role == 'user' -%}
        {{- \(open) + m.content + \(close) -}}
      {%- else -%}
        {{- \(answer) -}}
      {%- endif -%}
    {%- endfor -%}
    """
  }
}
