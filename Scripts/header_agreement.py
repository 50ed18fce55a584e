#!/usr/bin/env python3
"""Compares which safetensors files Duet and the Python package `safetensors` accept.

    Scripts/header_agreement.py [COUNT] [SEED] [TORTURE]

Makes COUNT mutations (10000 unless given) of good files, asks both (the program
TORTURE, that of .build/release unless given), and prints how often they agree. The
last line is for Scripts/torture; the exit code is 1 when the two disagree anywhere but in two known places,
where Duet refuses more: two tensors of one name, which the format forbids and the package lets pass, and
tensors without elements that have a size of 2^63 or more beside a zero, because Duet counts in signed numbers.
Needs the package.
"""
import json, pathlib, random, subprocess, sys, tempfile

import safetensors

root = pathlib.Path(__file__).resolve().parent.parent
count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
draw = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
torture = sys.argv[3] if len(sys.argv) > 3 else root / ".build/release/torture"

NUMBERS = [
    "0", "1", "-1", "2147483648", "4294967296", "9007199254740992", "9223372036854775808",
    "18446744073709551615", "18446744073709551616", "1.5", "1e2", "\"7\"", "null", "[]", "{}"]
TYPES = ["F64", "F32", "F16", "BF16", "I64", "I8", "U8", "BOOL", "F8_E4M3", "F4", "C64", "X", "f32"]


def good_file():
    """Tensors that fill the data, in any order, with or without metadata."""
    entries, data = [], 0
    for index in range(draw.randrange(5)):
        kind, size = draw.choice([("F32", 4), ("BF16", 2), ("U8", 1), ("I64", 8)])
        shape = [draw.choice([0, 1, 2, 3]) for _ in range(draw.randrange(4))]
        bytes_ = size
        for factor in shape: bytes_ *= factor
        entries.append((f"t{index}", {"dtype": kind, "shape": shape, "data_offsets": [data, data + bytes_]}))
        data += bytes_
    draw.shuffle(entries)
    if draw.random() < 0.3: entries.insert(0, ("__metadata__", {"format": "pt"}))
    header = json.dumps(dict(entries), separators=draw.choice([(",", ":"), (", ", ": ")]))
    return header.encode() + b" " * draw.randrange(9), bytes(data)


def mutated(header, data):
    """One to three changes; the length in front mostly stays true."""
    header = bytearray(header)
    for _ in range(draw.randrange(1, 4)):
        place = draw.randrange(len(header) or 1)
        end = min(len(header), place + draw.randrange(1, 8))
        change = draw.randrange(9)
        digits = [i for i, byte in enumerate(header) if 48 <= byte <= 57]
        if change == 0 and header: header[place] ^= 1 << draw.randrange(8)
        elif change == 1: del header[place:end]
        elif change == 2: header[place:place] = header[place:end]
        elif change == 3: del header[place:]
        elif change in (4, 5) and digits:
            start = draw.choice(digits)
            stop = start
            while stop < len(header) and 48 <= header[stop] <= 57: stop += 1
            header[start:stop] = draw.choice(NUMBERS).encode()
        elif change == 6:
            for name in TYPES[:5]:
                header = bytearray(header.replace(f'"{name}"'.encode(), f'"{draw.choice(TYPES)}"'.encode(), 1))
        elif change == 7: data = data[: draw.randrange(len(data) + 1)] + bytes(draw.randrange(2))
        else: header[place:place] = draw.choice([b"{", b"}", b",", b"\"", b"\\u0041", b" ", b"\xff", b"\x00"])
    length = len(header) if draw.random() < 0.95 else draw.choice([0, 1, len(header) + 1, 100_000_001, 2**63, 2**64 - 1])
    return length.to_bytes(8, "little") + bytes(header) + data


def reference_accepts(contents):
    try:
        safetensors.deserialize(contents)
    except safetensors.SafetensorError:
        return False
    return True


def is_known(contents):
    """Whether some name is there twice, or the bits of a tensor, multiplied from left to right, leave the signed
    64-bit numbers."""
    repeated = False

    def members(pairs):
        nonlocal repeated
        repeated |= len(dict(pairs)) < len(pairs)
        return dict(pairs)

    header = json.loads(contents[8 : 8 + int.from_bytes(contents[:8], "little")], object_pairs_hook=members)
    for name, entry in header.items():
        if name == "__metadata__": continue
        product = 1
        for size in entry["shape"] + [64]:
            product *= size
            if max(size, product) >= 2**63: return True
    return repeated


with tempfile.NamedTemporaryFile() as file:
    cases = [mutated(*good_file()) for _ in range(count)]
    for case in cases: file.write(len(case).to_bytes(4, "little") + case)
    file.flush()
    run = subprocess.run(
        [torture, "verdicts", "-f", file.name], capture_output=True, text=True, check=True)
ours = [line == "accepted" for line in run.stdout.splitlines()[:count]]
theirs = [reference_accepts(case) for case in cases]
table = {pair: sum(pair == both for both in zip(ours, theirs)) for pair in [(True, True), (False, False), (True, False), (False, True)]}
print(f"accepted by both {table[True, True]}, refused by both {table[False, False]}, "
      f"only by Duet {table[True, False]}, only by safetensors {safetensors.__version__} {table[False, True]}")
failures, known = 0, 0
for case, mine, other in zip(cases, ours, theirs):
    if mine == other: continue
    if other and is_known(case):
        known += 1
        continue
    failures += 1
    if failures <= 20:
        print(f"failed: {'accepted' if mine else 'refused'} here only: {case[:400]!r}")
print(f"{known} of them for a repeated name, or a size of 2^63 or more beside a zero")
print(f"torture: header-agreement {count} {failures}")
sys.exit(1 if failures else 0)
