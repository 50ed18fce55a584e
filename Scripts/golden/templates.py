#!/usr/bin/env python3
"""Writes Tests/Golden/templates/rendered.json: what Jinja2 makes of our test templates.

The settings are those of Hugging Face's apply_chat_template, which hugging_face.py makes. Needs Jinja2;
run from anywhere. `pieces.txt` has small templates with lines of `====` between them.
"""
import datetime, hashlib, json, pathlib, platform

import jinja2

import hugging_face

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "Tests/Golden/templates"
DATE = datetime.datetime(2025, 3, 9, 14, 5, 7)

CONVERSATIONS = {
    "empty": [],
    "one": [["user", "Hello"]],
    "blank contents": [["system", "   "], ["user", ""], ["assistant", "\n\n"], ["user", " \t "]],
    "system": [["system", "  Be brief. "], ["user", "Hi there.  "], ["assistant", " Hello. "], ["user", "And now?"]],
    "no system": [["user", "What is 2 + 2?"], ["assistant", "Four."], ["user", "Thanks."], ["assistant", "Welcome."]],
    "unicode": [["user", "  Grüße, 東京! 🦙🏽‍♀️ e\u0301 \u00e9 \u3000"], ["assistant", "\u2028ſtraße\u00a0ﬁ \u001c"], ["user", "\ufeffb\u0000\u0007"]],
    "special tokens": [
        ["system", "<|eot_id|><<SYS>>"],
        ["user", "<s>[INST] </s><|start_header_id|>system<|end_header_id|>\n\nx<|eot_id|>[/INST]"],
        ["assistant", "</s><|begin_of_text|></think> y <think></think>z"],
        ["user", "<unk>"],
    ],
    "braces": [["user", "{{ 1 + 1 }} {% raw %} {# x #} \\n \\ \" ' {{{"], ["assistant", "{% endfor %}"], ["user", "a\r\nb\rc\n\td"]],
    "two users": [["user", "one"], ["user", "two"]],
    "assistant first": [["assistant", "I begin."], ["user", "Go on."]],
    "long": [["user" if i % 2 == 0 else "assistant", "turn %d " % i * (i + 1)] for i in range(21)],
}

# Sources that a text file would hide or an editor would change.
INLINE = {
    "line breaks": "a\r\n{% if true %}\r\nb\r{% endif %}\rc\r\n{{ 'x\r\ny' }}\r\n\r\n",
    "empty": "",
    "only a line break": "\n",
    "no tags": "plain text\n\n",
    "lone delimiters": "{ } {x} %} }} #} {",
    "unclosed output": "a {{ b",
    "unclosed comment": "a {# b",
    "unclosed if": "{% if true %}x",
    "stray endif": "x{% endif %}",
    "bad expression": "{{ 1 + }}",
    "undefined part": "{{ missing.part }}",
    "undefined sum": "{{ 'a' + missing }}",
    "mixed sum": "{{ 'a' + 1 }}",
    "undefined call": "{{ missing() }}",
    "division by zero": "{{ 1 % 0 }}",
    "none loop": "{% for x in none %}{% endfor %}",
    "unpacking": "{% for a, b in [[1, 2, 3]] %}{% endfor %}",
    "set on a mapping": "{% set messages.x = 1 %}",
    "undefined json": "{{ missing | tojson }}",
    "unknown filter": "{{ 1 | no_such_filter }}",
    "unknown test": "{{ 1 is no_such_test }}",
    "unknown tag": "{% no_such_tag %}",
    "raise": "{% if messages %}{{ raise_exception('no: ' + messages[0].role) }}{% endif %}",
    "range too long": "{% for i in range(100001) %}{% endfor %}",
}


def render(source, conversation, add_generation_prompt):
    messages = [{"role": role, "content": content} for role, content in conversation]
    return hugging_face.render(source, messages, DATE, add_generation_prompt)


def main():
    sources = {path.stem: path.read_text(encoding="utf-8") for path in sorted((FOLDER / "sources").glob("*.jinja"))}
    stories = json.loads((ROOT / "models/stories/tokenizer_config.json").read_text(encoding="utf-8"))
    templates = dict(sources, stories=stories["chat_template"], **INLINE)
    pieces = (FOLDER / "pieces.txt").read_text(encoding="utf-8").removesuffix("\n").split("\n====\n")
    pieces = {f"piece {number}": piece for number, piece in enumerate(pieces)}
    templates |= pieces
    cases = []
    for name, source in templates.items():
        conversations = ["empty", "one"] if name in INLINE else ["no system"] if name in pieces else CONVERSATIONS
        for conversation in conversations:
            for prompt in [False, True] if "add_generation_prompt" in source else [True]:
                result = render(source, CONVERSATIONS[conversation], prompt)
                cases.append({"template": name, "conversation": conversation, "addGenerationPrompt": prompt, **result})
    script = pathlib.Path(__file__).read_bytes() + pathlib.Path(hugging_face.__file__).read_bytes()
    golden = {
        "script": hashlib.sha256(script).hexdigest(),
        "versions": {"jinja2": jinja2.__version__, "python": platform.python_version()},
        "date": [DATE.year, DATE.month, DATE.day, DATE.hour, DATE.minute, DATE.second],
        "templates": templates,
        "conversations": CONVERSATIONS,
        "cases": cases,
    }
    path = FOLDER / "rendered.json"
    path.write_text(json.dumps(golden, ensure_ascii=True, indent=1) + "\n", encoding="ascii")
    failed = sum("error" in case for case in cases)
    print(f"{path}: {len(cases)} cases, {failed} of them errors, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
