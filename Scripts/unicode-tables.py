"""Writes Sources/Text/Unicode/DecompositionTable.swift from the Unicode data of this Python.

Run from the project's root: python3 Scripts/unicode-tables.py
"""

import unicodedata

# The scalars with decompositions that Unicode 12.1 to 14 added. Hugging Face tokenizers 0.23 does not
# know them, and pieces and models are made with it.
NEWER = {
    0x32FF, 0xA7F2, 0xA7F3, 0xA7F4, 0xAB69, 0x11938, 0x1F16C, *range(0x10780, 0x107BB), *range(0x1FBF0, 0x1FBFA),
}
assert unicodedata.unidata_version == "14.0.0", "NEWER is for the data of Python 3.11"


def entries():
    """Yields (scalar, kind, targets): kind is "=", "!" or "~" as the written file explains."""
    for value in range(0x110000):
        fields = unicodedata.decomposition(chr(value)).split()
        if not fields or value in NEWER:
            continue
        if fields[0].startswith("<"):
            yield value, "~", [int(field, 16) for field in fields[1:]]
        else:
            # A scalar that its own composed form does not hold is never the result of composing.
            composes = unicodedata.normalize("NFC", chr(value)) == chr(value)
            yield value, "=" if composes else "!", [int(field, 16) for field in fields]


def runs():
    """Yields the entries, with neighbours that map one to one, in step, joined to runs."""
    pending = None
    for value, kind, targets in entries():
        if (
            pending
            and len(targets) == 1
            and len(pending[2]) == 1
            and kind == pending[1]
            and value == pending[0] + pending[3]
            and targets[0] == pending[2][0] + pending[3]
        ):
            pending[3] += 1
            continue
        if pending:
            yield pending
        pending = [value, kind, targets, 1]
    yield pending


words = []
for value, kind, targets, count in runs():
    repeat = f"*{count:x}" if count > 1 else ""
    words.append(f"{value:x}{repeat}{kind}" + "+".join(f"{target:x}" for target in targets))

lines, line = [], ""
for word in words:
    if len(line) + len(word) + 1 > 96:
        lines.append(line)
        line = ""
    line = f"{line} {word}" if line else word
lines.append(line)

with open("Sources/Text/Unicode/DecompositionTable.swift", "w", encoding="utf-8") as file:
    file.write(
        f"""/// The decompositions of Unicode 12.0, written by Scripts/unicode-tables.py.
///
/// The words are separated by white space. All numbers are hexadecimal. `a=b+c`: the scalar a is
/// canonically b and c, and b and c compose to a. `a!b`: the same, but nothing composes to a. `a~b`: a
/// is compatible with b. `a*n~b`: a + i maps to b + i for all i below n. Hangul syllables follow a rule
/// and are not in the table.
enum DecompositionTable {{
  static let words = \"\"\"
"""
    )
    for line in lines:
        file.write(f"    {line}\n")
    file.write('    """\n}\n')
print(len(words), "words", sum(map(len, lines)), "bytes", len(lines), "lines")
