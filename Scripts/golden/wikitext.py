#!/usr/bin/env python3
"""Writes Tests/Golden/wikitext.json: the texts that lm-eval and the papers make of WikiText.

An independent implementation of Sources/Evaluation/WikiText with Python's `re`. It follows the list of
replacements of lm-eval's wikitext task (version 2), and the builder of the data set's pages and rows.
The committed cases are made up. For the real file only counts and SHA-256 digests are committed.

    python3 Scripts/golden/wikitext.py [wiki.test.raw]
"""

import hashlib
import io
import json
import pathlib
import random
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

STEPS = (
    [("s '", "s'"), (re.compile("/' [0-9]/"), "/'[0-9]/")]
    + [(f" @{mark}@ ", mark) for mark in "-,."]
    + [(f" {mark} ", f"{mark} ") for mark in ":;.!?,"]
    + [
        (re.compile(rf"{re.escape(a)}\s*([^{re.escape(b)}]*?)\s*{re.escape(b)}"), rf"{a}\1{b}")
        for a, b in ["()", "[]", "{}", '""', "''"]
    ]
    + [("= = = =", "===="), ("= = =", "==="), ("= =", "=="), (" ° ", "°"), (" \n", "\n"), ("\n ", "\n")]
    + [(" N ", " 1 "), (" 's", "'s")]
)


def detokenize(page):
    for pattern, replacement in STEPS:
        if isinstance(pattern, str):
            page = page.replace(pattern, replacement)
        else:
            page = pattern.sub(replacement, page)
    return page


def is_title(line):
    closed = line.replace("= = =", "===").replace("= =", "==").strip()
    return closed[:2] == "= " and closed[-2:] == " ="


def pages(text):
    found, lines = [], []
    for line in text.split("\n"):
        if is_title(line):
            if "\n".join(lines).strip():
                found.append("\n".join(lines))
            lines = []
        lines.append(line)
    return found + ["\n".join(lines)]


def rows(text):
    return "\n\n".join(row if row.strip() else "" for row in io.StringIO(text, newline="\n"))


def describe(text):
    return [
        {
            "page": page,
            "detokenized": detokenize(page),
            "words": len(re.split(r"\s+", page)),
            "bytes": len(page.encode()),
        }
        for page in pages(text)
    ]


# Everything that one of the steps searches for, and similar texts.
PIECES = (
    ["s '", "' s", "/' 7/", "/' x/", " @-@ ", " @,@ ", " @.@ ", "@-@", " : ", " ; ", " . ", " ! ", " ? "]
    + [" , ", "( ", " )", "(", ")", "[ ", " ]", "{ ", " }", ' " ', '"', " ' ", "'", "''", " 's", " ° ", "°"]
    + [" \n", "\n ", "\n", " \n \n", " N ", " N N ", "= =", "= = =", " = = = = ", " = A Title = \n"]
    + [" = = A Section = = \n", " = = = Deeper = = = \n", "\t", "\u00a0", "\u3000", "\x1c", "\u0085", "\u200b"]
    + ["word", "The Bill", "2000", "é", "東京", "🙂", "\r\n", "= ", " ="]
)

SENTENCES = """ 
 = A made @-@ up page = 
 
 The boys ' coats ( size 10 @.@ 5 , " large " ) cost $ 1 @,@ 200 ; they were n't sold . Why ? It 's cold ! 
 At 20 ° C the [ old ] kettle { made in N } sings : ' la la ' . 
 
 = = History = = 
 
 = = = Early years = = = 
 
 It began ( as told ( twice ) ) in 1901 , " they say . 
 
 = Another page = 
 
 Short . 
"""


def main():
    generator = random.Random(20240501)
    texts = [SENTENCES, "", "\n", " \n \n", "= x =", " = x = \n", "a\n\nb", "a\nb\n", "= = =", "= =  = ="]
    for _ in range(60):
        texts.append("".join(generator.choice(PIECES) for _ in range(generator.randrange(1, 40))))
    golden = {
        "generator": f"golden/{pathlib.Path(__file__).name}",
        "cases": [{"text": text, "rows": rows(text), "pages": describe(text)} for text in texts],
    }
    if len(sys.argv) > 1:
        data = pathlib.Path(sys.argv[1]).read_bytes()
        described = describe(data.decode())
        joined = "\0".join(page["detokenized"] for page in described)
        golden["wiki.test.raw"] = {
            "sha256": hashlib.sha256(data).hexdigest(),
            "pages": len(described),
            "words": sum(page["words"] for page in described),
            "bytes": sum(page["bytes"] for page in described),
            "detokenized_sha256": hashlib.sha256(joined.encode()).hexdigest(),
            "rows_sha256": hashlib.sha256(rows(data.decode()).encode()).hexdigest(),
        }
    path = ROOT / "Tests" / "Golden" / "wikitext.json"
    path.write_text(json.dumps(golden, ensure_ascii=True, indent=1) + "\n")


main()
