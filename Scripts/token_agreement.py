#!/usr/bin/env python3
"""Compares the ids of Duet's tokens with those of the Python package `tokenizers` (Hugging Face).

    Scripts/token_agreement.py [COUNT] [SEED] [TOKENIZE]

Asks both (ours is the program TOKENIZE, that of .build/release unless given) about every tokenizer.json of
models/stories and of ../shared/tokenizers, with the tokens of the post-processor left out: the twelve runs of
Tests/TestSupport/TextPattern.swift with 10^3, 10^4 and 10^5 units; every added token whole, halved and among
other text; the texts of ../shared/text by lines, in chunks and whole; and COUNT random strings (10000 unless
given) from six alphabets, each of which goes to one tokenizer in turn. With a COUNT below 10000 the runs end
at 10^4 units and the texts after 100,000 bytes.

Prints the first five differences. The last line is for Scripts/torture; the exit code is 1 when any ids
differ, and when the package is missing. It only checks: nothing needs it to build or to run.
"""
import json, pathlib, random, subprocess, sys, tempfile

try:
    import tokenizers
except ImportError:
    print("failed: the Python package tokenizers is missing; install it with: pip install tokenizers")
    print("torture: token-agreement 0 1")
    sys.exit(1)

root = pathlib.Path(__file__).resolve().parent.parent
count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
draw = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
tokenize = sys.argv[3] if len(sys.argv) > 3 else root / ".build/release/tokenize"

RUNS = {
    "A": ["A"], "space": [" "], "line feed": ["\n"], "full stop": ["."], "zero": ["0"], "e acute": ["\u00e9"],
    "CJK": ["\u6771"], "emoji": ["\U0001F999"], "joiner": ["\u200d"], "us": ["us"],
    "mixed": ["a", " ", "1", "\n", ".", "\u00e9", "  ", "'s", "\u6771"], "NUL": ["\0"],
}
# As in RandomText of Tests/TestSupport/TextPattern.swift: ranges of scalars, first and last.
ALPHABETS = [
    [(0x00, 0x7F)], [(0x61, 0x7A), (0x20, 0x20), (0x41, 0x5A), (0x0A, 0x0A), (0x27, 0x27)],
    [(0x30, 0x39), (0x21, 0x2F), (0x5B, 0x60), (0x20, 0x20)], [(0xA0, 0x52F), (0x300, 0x36F)],
    [(0x4E00, 0x4FFF), (0x1F300, 0x1F9FF), (0x200C, 0x200D), (0xFE0F, 0xFE0F), (0x3040, 0x30FF)],
    [(0x00, 0xD7FF), (0xE000, 0x10FFFF)],
]
# Random strings that are made before they are compared, and characters of a chunk of a text: memory stays
# bounded whatever COUNT is.
BATCH = 50_000
CHUNK = 50_000
cases, failures = 0, 0


def random_text():
    alphabet = draw.choice(ALPHABETS)
    ranges = [draw.choice(alphabet) for _ in range(draw.randrange(32))]
    return "".join([chr(draw.randint(*scalars)) for scalars in ranges])


def our_ids(folder, texts):
    """The ids that the program says, in order."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", newline="\n") as file:
        for text in texts: file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
        file.flush()
        run = subprocess.run(
            [tokenize, "-m", folder, "--jsonl", file.name, "--no-special"], capture_output=True, check=True)
    # Not splitlines(), which also ends lines at characters that JSON leaves as they are.
    lines = run.stdout.split(b"\n")
    assert lines.pop() == b"" and len(lines) == len(texts), f"{len(lines)} answers to {len(texts)} texts"
    return [json.loads(line)["ids"] for line in lines]


def compare(folder, reference, pairs):
    """Counts the texts, which come as (what it is, text), and tells of those whose ids differ."""
    global cases, failures
    kinds, texts = zip(*pairs) if pairs else ((), ())
    ours = our_ids(folder, texts)
    theirs = [encoding.ids for encoding in reference.encode_batch_fast(list(texts), add_special_tokens=False)]
    cases += len(texts)
    for kind, text, mine, other in zip(kinds, texts, ours, theirs):
        if mine == other: continue
        failures += 1
        if failures > 5: continue
        place = next((i for i, pair in enumerate(zip(mine, other)) if pair[0] != pair[1]), min(len(mine), len(other)))
        # Where the reference's token begins that is not ours, in characters.
        offsets = reference.encode(text, add_special_tokens=False).offsets
        start = offsets[place][0] if place < len(offsets) else len(text)
        print(f"failed: {folder.name}, {kind}: token {place} of {len(mine)} here and {len(other)} there, "
              f"{mine[place : place + 8]} and {other[place : place + 8]}, in "
              f"{text if len(text) <= 64 else text[max(0, start - 24) : start + 40]!r}")


def whole_characters(path):
    """The text of a file, and its length in bytes; a slice may end inside a character, which is left out."""
    contents = path.read_bytes()
    if count < 10_000: contents = contents[:100_000]
    try:
        return contents.decode()
    except UnicodeDecodeError as error:
        if error.end != len(contents) or error.reason != "unexpected end of data": raise
        return contents[: error.start].decode()


folders = [root / "models/stories"] + sorted(
    path.parent for path in root.parent.glob("shared/tokenizers/*/tokenizer.json"))
models = [(folder, tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))) for folder in folders]
files = sorted(path for path in root.parent.glob("shared/text/*") if path.suffix in (".txt", ".raw"))
print(f"tokenizers {tokenizers.__version__}: {', '.join(folder.name for folder in folders)}")


def tell(kind, before): print(f"{kind}: {cases - before[0]} texts, {failures - before[1]} differ", flush=True)


before = cases, failures
runs = [
    (f"{size} of {name}", "".join(units[i % len(units)] for i in range(size)))
    for size in (1000, 10_000, 100_000)[: 2 if count < 10_000 else 3] for name, units in RUNS.items()]
for folder, reference in models: compare(folder, reference, runs)
tell("runs", before)

before = cases, failures
for folder, reference in models:
    words = [token.content for token in reference.get_added_tokens_decoder().values()]
    compare(folder, reference, [("added token", text) for word in words for text in (
        word, f"a{word} b", f" {word}{word}  x", word[:-1], word[1:] + word, f"\u00e9{word}\n{word}\u6771")])
tell("added tokens", before)

for path in files:
    before = cases, failures
    text = whole_characters(path)
    lines = text.splitlines(keepends=True)
    chunks = [text[start : start + CHUNK] for start in range(0, len(text), CHUNK)]
    pairs = [
        (f"{path.name}, {kind}", part) for kind, parts in [("line", lines), ("chunk", chunks), ("whole", [text])]
        for part in parts]
    for folder, reference in models: compare(folder, reference, pairs)
    tell(path.name, before)

before = cases, failures
for start in range(0, count, BATCH):
    texts = [("random", random_text()) for _ in range(min(BATCH, count - start))]
    for index, (folder, reference) in enumerate(models):
        compare(folder, reference, texts[index :: len(models)])
tell("random", before)
print(f"torture: token-agreement {cases} {failures}")
sys.exit(1 if failures else 0)
