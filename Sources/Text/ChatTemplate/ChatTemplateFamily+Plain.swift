extension ChatTemplateFamily {
  static let chatMLSource = """
    {%- for m in messages -%}
      {{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' -}}
    {%- endfor -%}
    {%- if add_generation_prompt -%}
      {{- '<|im_start|>assistant\\n' -}}
    {%- endif -%}
    """

  static let zephyrSource = """
    {%- for m in messages -%}
      {{- '<|' + m.role + '|>\\n' + m.content + eos_token + '\\n' -}}
    {%- endfor -%}
    {%- if add_generation_prompt -%}
      {{- '<|assistant|>\\n' -}}
    {%- endif -%}
    """

  static let vicunaSource = plainSource(
    preamble:
      "A chat between a curious user and an artificial intelligence assistant. The assistant "
      + "gives helpful, detailed, and polite answers to the user's questions.",
    gap: " ", user: "USER: ", afterUser: " ", answer: "ASSISTANT:", beforeAnswer: " ",
    afterAnswer: "")

  static let alpacaSource = plainSource(
    preamble: "Below is an instruction that describes a task. Write a response that appropriately "
      + "completes the request.",
    gap: "\\n\\n", user: "### Instruction:\\n", afterUser: "\\n\\n", answer: "### Response:\\n",
    beforeAnswer: "", afterAnswer: "\\n\\n")

  /// A format without control tokens, except for the one that ends an answer.
  ///
  /// - Parameters:
  ///   - preamble: What stands first when there is no system message.
  ///   - gap: What follows it.
  ///   - user: What comes before a message of the user.
  ///   - afterUser: What follows it.
  ///   - answer: What comes before an answer.
  ///   - beforeAnswer: What divides the two.
  ///   - afterAnswer: What follows the token that ends an answer.
  /// - Returns: The source.
  private static func plainSource(
    preamble: String, gap: String, user: String, afterUser: String, answer: String,
    beforeAnswer: String, afterAnswer: String
  ) -> String {
    """
    {%- set system = messages[0].content if messages[:1] and messages[0].role == 'system' else none -%}
    {{- bos_token + ("\(preamble)" if system is none else system) + '\(gap)' -}}
    {%- for m in (messages if system is none else messages[1:]) -%}
      {%- if m.role == 'user' -%}
        {{- '\(user)' + m.content + '\(afterUser)' -}}
      {%- else -%}
        {{- '\(answer)\(beforeAnswer)' + m.content + eos_token + '\(afterAnswer)' -}}
      {%- endif -%}
    {%- endfor -%}
    {%- if add_generation_prompt -%}
      {{- '\(answer)' -}}
    {%- endif -%}
    """
  }
}
