#!/usr/bin/env python3
"""Writes Tests/Golden/c4.json: Python's random numbers, and the windows drawn from a made-up file of C4.

The windows are drawn with Python's `random` and tokenized by Hugging Face tokenizers with the tokenizer of
models/stories, in the way of the loaders of GPTQ, QuIP# and CALDERA: documents are drawn until one is long enough,
then a position in it. `windows` has the document and position of each.

    python3 Scripts/golden/c4.py            needs tokenizers
"""

import hashlib
import json
import pathlib
import random
import sys

import tokenizers

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOKENIZER = tokenizers.Tokenizer.from_file(str(ROOT / "models" / "stories" / "tokenizer.json"))
WORDS = "the little dog saw a big red ball in Zoë's park and “ran” home because rain fell on 12 trees".split()


def numbers(seed):
    generator = random.Random(seed)
    # More than two times the 624 words of the state.
    words = [generator.getrandbits(32) for _ in range(1300)]
    bounded = [generator.randint(0, limit - 1) for limit in [1, 1, 2, 3, 4, 1000, 45576, 2**31, 2**32 - 1] for _ in range(5)]
    text = ",".join(map(str, words))
    return {
        "seed": str(seed),
        "first": words[:6],
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "bounded": bounded,
    }


def texts():
    generator = random.Random(20260401)
    return [" ".join(generator.choice(WORDS) for _ in range(generator.randint(1, 90))) for _ in range(60)]


def digest(ids):
    return hashlib.sha256(" ".join(map(str, ids)).encode()).hexdigest()


def drawn(documents, length, count, seed):
    generator = random.Random(seed)
    windows, ids, exact = [], [], 0
    while len(windows) < count:
        index = generator.randint(0, len(documents) - 1)
        document = documents[index]
        if len(document) == length:
            exact += 1
        if len(document) > length:
            start = generator.randint(0, len(document) - length - 1)
            windows.append([index, start])
            ids += document[start : start + length]
    return {
        "context": length,
        "windowCount": count,
        "seed": str(seed),
        "windows": windows,
        "exact": exact,
        "sha256": digest(ids),
    }


def joined(documents, length):
    ids = TOKENIZER.encode(" ".join(documents[:1100])).ids[: 256 * length]
    return {"context": length, "count": len(ids), "sha256": digest(ids)}


def main():
    documents = texts()
    encoded = [TOKENIZER.encode(text).ids for text in documents]
    # A length that some document has exactly, so that the rule for it is seen.
    exact = sorted(len(ids) for ids in encoded)[40]
    longest = max(len(ids) for ids in encoded)
    samples = [drawn(encoded, *case) for case in [(16, 256, 0), (exact, 64, 0), (exact, 64, 7), (longest - 1, 3, 0)]]
    assert samples[1]["exact"] > 0
    numbered = [f"Document {i} is short." for i in range(1150)]
    content = {
        "generator": "golden/c4.py",
        "generator_sha256": hashlib.sha256(pathlib.Path(__file__).read_bytes()).hexdigest(),
        "python": sys.version.split()[0],
        "tokenizers": tokenizers.__version__,
        "numbers": [numbers(seed) for seed in [0, 1, 2**32 - 1, 2**32, 20260401123456789]],
        "texts": documents,
        "longest": longest,
        "samples": samples,
        "joined": [joined(numbered, length) for length in [16, 512]],
    }
    path = ROOT / "Tests" / "Golden" / "c4.json"
    path.write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")).replace(',"', ',\n"') + "\n")


main()
