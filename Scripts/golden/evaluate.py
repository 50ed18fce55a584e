#!/usr/bin/env python3
"""Writes Tests/Golden/evaluate/: zero-shot scores by an independent implementation.

An oracle for `evaluate`: texts by Python's own `str` and `re`, tokens by Hugging Face tokenizers, a Llama
forward pass in float64 NumPy, every choice a full pass of its own. Of the data sets only numbers are
committed: answers, token counts and log-likelihoods of the first documents of each task. `texts.json` holds what
`capitalize`, `strip` and HellaSwag's preprocessing make of made-up texts.

    python3 Scripts/golden/evaluate.py SHARED      needs numpy and tokenizers; SHARED has models/ and tasks/
"""

import hashlib
import json
import os
import pathlib
import random
import re
import struct
import sys
import unicodedata

# The matrices are small: more threads would only wait for each other.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
import tokenizers

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = ROOT / "Tests" / "Golden" / "evaluate"
DOCUMENTS = 200


# --- Texts, after lm-eval's task definitions


def preprocess(text):
    text = text.strip()
    text = text.replace(" [title]", ". ")
    text = re.sub("\\[.*?\\]", "", text)
    return text.replace("  ", " ")


def piqa(shared):
    labels = (shared / "tasks/piqa/valid-labels.lst").read_text().split()
    for line, label in zip((shared / "tasks/piqa/valid.jsonl").open(), labels):
        doc = json.loads(line)
        context = f"Question: {doc['goal']}\nAnswer:"
        yield [(context, doc["sol1"]), (context, doc["sol2"])], int(label)


def arc(name):
    def read(shared):
        for line in (shared / f"tasks/arc/{name}-Test.jsonl").open():
            doc = json.loads(line)
            choices = doc["question"]["choices"]
            context = f"Question: {doc['question']['stem']}\nAnswer:"
            labels = [choice["label"] for choice in choices]
            yield [(context, choice["text"]) for choice in choices], labels.index(doc["answerKey"])

    return read


def hellaswag(shared):
    for line in (shared / "tasks/hellaswag/hellaswag_val.jsonl").open():
        doc = json.loads(line)
        context = preprocess(doc["ctx"])
        yield [(context, preprocess(ending)) for ending in doc["endings"]], int(doc["label"])


def winogrande(shared):
    for line in (shared / "tasks/winogrande/dev.jsonl").open():
        doc = json.loads(line)
        gap = doc["sentence"].index("_")
        rest = doc["sentence"][gap + 1 :].strip()
        options = [doc["option1"], doc["option2"]]
        yield [(doc["sentence"][:gap] + option, rest) for option in options], int(doc["answer"]) - 1


TASKS = {
    "piqa": piqa,
    "arc_easy": arc("ARC-Easy"),
    "arc_challenge": arc("ARC-Challenge"),
    "hellaswag": hellaswag,
    "winogrande": winogrande,
}


# --- Tokens, after lm-eval's two ways to encode a pair


class Encoder:
    def __init__(self, folder):
        self.tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        config = json.loads((folder / "config.json").read_text())
        end = config["eos_token_id"]
        self.beginning = config["bos_token_id"]
        self.end = end if isinstance(end, int) else end[0]
        self.max_length = config["max_position_embeddings"]

    def encode(self, text, special):
        return self.tokenizer.encode(text, add_special_tokens=special).ids

    def joined(self, context, continuation):
        spaces = len(context) - len(context.rstrip())
        if spaces:
            context, continuation = context[:-spaces], context[-spaces:] + continuation
        head = self.encode(context, True)
        tail = self.encode(context + continuation, True)[len(head) :]
        return head or [self.beginning], tail or self.encode(continuation, False)

    def separate(self, context, continuation):
        return self.encode(context, False) or [self.end], self.encode(continuation, False)

    def pair(self, protocol, context, continuation):
        head, tail = {"lm-eval-0.4": self.joined, "lm-eval-0.3": self.separate}[protocol](context, continuation)
        kept = (head + tail)[-(self.max_length + 1) :]
        return kept[: len(kept) - len(tail)], tail


# --- The model


def tensors(path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    for name, info in header.items():
        if name == "__metadata__":
            continue
        start, end = info["data_offsets"]
        part = data[8 + length + start : 8 + length + end]
        if info["dtype"] == "BF16":
            values = (np.frombuffer(part, np.uint16).astype(np.uint32) << 16).view(np.float32)
        else:
            values = np.frombuffer(part, {"F32": np.float32, "F16": np.float16}[info["dtype"]])
        yield name, values.reshape(info["shape"]).astype(np.float64)


class Model:
    def __init__(self, folder):
        self.config = json.loads((folder / "config.json").read_text())
        self.weights = dict(tensors(folder / "model.safetensors"))
        self.head = self.weights.get("lm_head.weight", self.weights["model.embed_tokens.weight"])

    def norm(self, x, name):
        scale = np.sqrt((x * x).mean(-1, keepdims=True) + self.config["rms_norm_eps"])
        return x / scale * self.weights[name]

    def attention(self, x, prefix):
        count, heads = len(x), self.config["num_attention_heads"]
        groups, size = self.config["num_key_value_heads"], self.config["head_dim"]
        angles = np.outer(
            np.arange(count), self.config["rope_theta"] ** (-np.arange(0, size, 2, dtype=np.float64) / size)
        )[:, None, :]

        def project(name, number):
            return (x @ self.weights[f"{prefix}.{name}_proj.weight"].T).reshape(count, number, size)

        def rotate(y):
            a, b = y[..., : size // 2], y[..., size // 2 :]
            return np.concatenate(
                [a * np.cos(angles) - b * np.sin(angles), b * np.cos(angles) + a * np.sin(angles)], -1
            )

        query = rotate(project("q", heads)).transpose(1, 0, 2)
        key = np.repeat(rotate(project("k", groups)), heads // groups, 1).transpose(1, 2, 0)
        value = np.repeat(project("v", groups), heads // groups, 1).transpose(1, 0, 2)
        scores = query @ key / np.sqrt(size)
        scores = np.where(np.tril(np.ones((count, count), bool)), scores, -np.inf)
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        scores /= scores.sum(-1, keepdims=True)
        out = (scores @ value).transpose(1, 0, 2).reshape(count, heads * size)
        return out @ self.weights[f"{prefix}.o_proj.weight"].T

    def log_likelihood(self, context, continuation):
        ids = context + continuation
        x = self.weights["model.embed_tokens.weight"][ids[:-1]]
        for layer in range(self.config["num_hidden_layers"]):
            prefix = f"model.layers.{layer}"
            x = x + self.attention(self.norm(x, f"{prefix}.input_layernorm.weight"), f"{prefix}.self_attn")
            y = self.norm(x, f"{prefix}.post_attention_layernorm.weight")
            gate = y @ self.weights[f"{prefix}.mlp.gate_proj.weight"].T
            up = y @ self.weights[f"{prefix}.mlp.up_proj.weight"].T
            x = x + (gate / (1 + np.exp(-gate)) * up) @ self.weights[f"{prefix}.mlp.down_proj.weight"].T
        logits = self.norm(x[len(context) - 1 :], "model.norm.weight") @ self.head.T
        top = logits.max(-1, keepdims=True)
        log_probabilities = logits - top - np.log(np.exp(logits - top).sum(-1, keepdims=True))
        return float(log_probabilities[np.arange(len(continuation)), continuation].sum())


def score(folder, shared, protocol):
    """By task and document: gold, argmax, argmax per character, tokens of contexts and of continuations, sums."""
    encoder, model = Encoder(folder), Model(folder)
    result = {}
    for task, read in TASKS.items():
        documents = []
        for _, (choices, gold) in zip(range(DOCUMENTS), read(shared)):
            pairs = [encoder.pair(protocol, context, " " + answer) for context, answer in choices]
            sums = [model.log_likelihood(*pair) for pair in pairs]
            per_character = [value / len(answer) for value, (_, answer) in zip(sums, choices)]
            documents.append(
                [gold, int(np.argmax(sums)), int(np.argmax(per_character))]
                + [[len(head) for head, _ in pairs], [len(tail) for _, tail in pairs]]
                + [[round(value, 5) for value in sums]]
            )
        result[task] = documents
        print(folder.name, protocol, task, file=sys.stderr, flush=True)
    return result


# --- Made-up texts


PIECES = (
    ["word", "Hello", "WORLD", "ÉCOLE", "straße", "ﬁsh", "ǆungla", "ΌΔΟΣ", "ΣΑΣ", "Σ", "İstanbul", "ıI", "ß"]
    + [" ", "  ", "   ", "\t", "\n", "\u00a0", "\u3000", "\x1c", "\x1f", "\u200b", "\u0085", "."]
    + [" [title]", "[header]", "[", "]", "[a\nb]", "[]", "[[x]]", "[title]", "'", "\u0301", "🙂", "東京"]
)


def texts():
    generator = random.Random(20260101)
    cases = ["", " ", "hELLO World", "[a] b  c", "a   b", "a    b", " [title] x [title]"]
    # Every code point that changes, first and behind a letter; only those assigned in all versions at hand.
    # U+019B is left out: it has a capital from Unicode 16 on.
    special = [chr(c) for c in range(0x250) if unicodedata.category(chr(c)) != "Cn" and c != 0x19B]
    special += [chr(c) for c in range(0x370, 0x400) if unicodedata.category(chr(c)) != "Cn"]
    special += [chr(c) for c in range(0x1E00, 0x2000) if unicodedata.category(chr(c)) != "Cn"]
    cases += special + ["A" + character for character in special if character.lower() != character]
    for _ in range(400):
        cases.append("".join(generator.choice(PIECES) for _ in range(generator.randrange(1, 12))))
    return [
        {
            "text": text,
            "capitalized": text.capitalize(),
            "stripped": text.strip(),
            "preprocessed": preprocess(text),
            "length": len(text),
        }
        for text in cases
    ]


def write(name, content):
    description = {
        "generator": f"golden/{pathlib.Path(__file__).name}",
        "generator_sha256": hashlib.sha256(pathlib.Path(__file__).read_bytes()).hexdigest(),
        "python": sys.version.split()[0],
        "numpy": np.__version__,
        "tokenizers": tokenizers.__version__,
    }
    lines = [f'"{key}": {json.dumps(value)}' for key, value in description.items()]
    for key, values in content.items():
        rows = ",\n".join(json.dumps(value, ensure_ascii=True, separators=(",", ":")) for value in values)
        lines.append(f'"{key}": [\n{rows}\n]')
    TARGET.mkdir(parents=True, exist_ok=True)
    (TARGET / name).write_text("{" + ",\n".join(lines) + "}\n")


def main():
    write("texts.json", {"cases": texts()})
    if len(sys.argv) > 1:
        shared = pathlib.Path(sys.argv[1])
        for model in ["stories", "stories260K"]:
            for protocol in ["lm-eval-0.4", "lm-eval-0.3"]:
                write(f"{model}-{protocol}.json", score(shared / "models" / model, shared, protocol))


main()
