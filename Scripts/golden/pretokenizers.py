#!/usr/bin/env python3
"""Writes Tests/Golden/pretokenizers/*.json: the pieces that the package tokenizers makes of our texts.

Needs tokenizers 0.23.3; run from anywhere. With two numbers N and SEED it writes N random expressions made with
that seed to the standard output instead.
"""
import json, pathlib, random, sys

import tokenizers
from tokenizers import Regex, Tokenizer, pre_tokenizers

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "Tests/Golden/pretokenizers"

# What pipelines treat differently: case, marks, digits of all kinds, scripts, spaces, line ends, unassigned scalars.
TEXTS = [
    "", " ", "  ", "a", "\n", "\r\n", "\0", "Hello, world!", " leading", "trailing ", "two  spaces   three",
    "it's I'LL we'Ve 's'S '\u017f 'RE 'd 'M don't", "x = 12, y", "1234567 12a345 \u00b2\u2163\u0663\u0664\u0665 1,234.5",
    "tab\tand\nline\r\nend\r\r\n\n \n  \n", "a \u0085b\u2028c\u3000d\u00a0e\u1680f\u200bg\u001ch",
    "e\u0301\u0301 \u0301x \u00e9\u00df\u01c5\u02b0 A\u030aB", "\u212a\u017fK\u0130\u0131 \u1e9e \ufb06",
    "\U0001f999\U0001f3fd\u200d\u2640\ufe0f \U0001f469\u200d\U0001f680!!", "\u4eac\u90fd\u306e\u3072\u3089\u304c\u306a\u30ab\u30bf\u30ab\u30ca\u30fc\u3002\u4e00\u9fa5\uac00\ud55c\uae00\uff0c\uff11\uff12",
    "\u0e20\u0e32\u0e29\u0e32\u0e44\u0e17\u0e22 \u0e51\u0e52\u0e53", "\u0627\u0644\u0639\u0631\u0628\u064a\u0629\u060c \u06f1\u06f2 \u0640\u064b", "\u0928\u092e\u0938\u094d\u0924\u0947 \u0967\u0968", "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440! \u0391\u03b2\u03b3",
    "\u0378\ufdd0\U000e0100\U0010ffff \ue000x", "$#@! a+b=c <|im_end|> _x_ foo_bar-baz /path//to\\x~`^",
    "CamelCaseHTTPServer XMLHttp iPhone aB Ab ABc \u01c5a \u02b0A", "(wor|ld), x]y [a] {b} \u2026\u3002\uff0c\u3001\u0964\u06d4\u060c",
    "a\u2581b \u2581 c\u2581\u2581", "\u0120a\u00c3\u00a9 \u010a", "for (int i = 0; i < 100; ++i) {\n    sum += i;\n}\n\n\n", "0 00 000 0000", "--- ... !!!\n\n??",
    "   x   y\n   z", "\t\tx\n\t\ty\r\n", "aaa" * 30 + " " + "1" * 20 + "!" * 15 + " " * 12 + "\n" * 7,
]

CL100K = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
TEKKEN = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
PATTERNS = {
    "cl100k": CL100K,
    "cl100k, possessive": r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
    "tekken": TEKKEN,
    "gpt2": GPT2,
    "o200k": r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "qwen2": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "kimi": r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "deepseek v3": r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+""",
    "bloom": r" ?[^(\s|[.,!?…。，、।۔،])]+",
    "chatglm": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "granite": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "poro": r" ?[^(\s|.,!?…。，、।۔،)]+",
    "exaone": r"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+",
    "viking": r" ?[^(\s|.,!?…。，、।۔،)]+|\p{N}",
    "minimax": r"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "seed coder": r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+",
    "super bpe": r"\p{N}+| ?(?:\p{N}{3})+(?=\D|$)|(?=(\d{3})+(?!\d))",
}

BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
GPT2_BYTES = dict(BYTES, use_regex=True)
PREFIX_BYTES = dict(GPT2_BYTES, add_prefix_space=True)
BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]


def split(pattern, behavior="Isolated", invert=False, kind="Regex"):
    return {"type": "Split", "pattern": {kind: pattern}, "behavior": behavior, "invert": invert}


def digits(individual):
    return {"type": "Digits", "individual_digits": individual}


def punctuation(behavior):
    return {"type": "Punctuation", "behavior": behavior}


def metaspace(scheme, cuts, replacement="\u2581"):
    return {"type": "Metaspace", "replacement": replacement, "prepend_scheme": scheme, "split": cuts}


def sequence(*steps):
    return {"type": "Sequence", "pretokenizers": list(steps)}


# The start and the end of the published class; 60 more ranges are between them.
LETTERS_DEEPSEEK = (
    "\\s?[A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0370-\u0373\u0376\u037f\u0386\u0388-\u038a\u038e-\u03a1\u03a3-\u03f5"
    "\u048a-\u052f\u10a0-\u10c5\u1c80-\u1c88\u2126\u2128\u212a-\u212d\ufb00-\ufb06\uff21-\uff3a\U00010400-\U0001044f\U0001e900-\U0001e943]+")

STEPS = {
    "digits": digits(False), "individual digits": digits(True), "Whitespace": {"type": "Whitespace"},
    "WhitespaceSplit": {"type": "WhitespaceSplit"}, "BertPreTokenizer": {"type": "BertPreTokenizer"},
    "CharDelimiterSplit": {"type": "CharDelimiterSplit", "delimiter": "a"},
    "FixedLength": {"type": "FixedLength", "length": 3},
    "ByteLevel": GPT2_BYTES, "ByteLevel with prefix": PREFIX_BYTES, "ByteLevel without expression": BYTES,
    "ByteLevel with prefix, without expression": dict(PREFIX_BYTES, use_regex=False),
    "string": split(" ", kind="String"), "string of signs": split("[a", "MergedWithNext", kind="String"),
    "gemma": split(" ", "MergedWithPrevious", kind="String"),
}
for scheme in ["always", "first", "never"]:
    for cuts in [True, False]:
        STEPS[f"Metaspace {scheme} {cuts}"] = metaspace(scheme, cuts)
for behavior in BEHAVIORS:
    STEPS[f"Punctuation {behavior}"] = punctuation(behavior)
    for invert in [False, True]:
        for pattern in [r"\p{L}+", r"a*", r"\s", r"\b"]:
            STEPS[f"{pattern} {behavior} {invert}"] = split(pattern, behavior, invert)

PIPELINES = {
    "deepseek llm": sequence(
        split("[\r\n]"), split(LETTERS_DEEPSEEK), split("\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+"), split(r"\s+$"), split("[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"),
        digits(True), BYTES),
    "deepseek coder": sequence(
        split("[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"), split("[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"), digits(True), BYTES),
    "deepseek v3": sequence(split(r"\p{N}{1,3}"), split("[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"), split(PATTERNS["deepseek v3"]), BYTES),
    "falcon": sequence(punctuation("Contiguous"), GPT2_BYTES, digits(False), split("[0-9][0-9][0-9]")),
    "starcoder": sequence(digits(True), GPT2_BYTES), "command-r": sequence(digits(True), GPT2_BYTES),
    "bloom": sequence(split(PATTERNS["bloom"]), BYTES), "llama 3": sequence(split(CL100K), BYTES),
    "codeshell": sequence(split("\n"), digits(True), GPT2_BYTES),
    "prefix before every word": sequence(split(r"\p{L}+"), PREFIX_BYTES),
    "bytes twice": sequence(BYTES, split(r"\p{L}+"), BYTES),
    "bytes, punctuation": sequence(GPT2_BYTES, punctuation("Isolated")),
    "metaspace, digits": sequence(metaspace("first", True), digits(True)),
    "split, metaspace": sequence({"type": "WhitespaceSplit"}, metaspace("always", True)),
    "split, first metaspace": sequence(digits(True), metaspace("first", False)),
    "space, bytes, first metaspace": sequence(metaspace("always", True), metaspace("first", True)),
    "nested": sequence(sequence({"type": "WhitespaceSplit"}, sequence()), sequence(sequence(punctuation("MergedWithNext")))),
    "fixed length of bytes": sequence(BYTES, {"type": "FixedLength", "length": 2}),
    "none": sequence(),
}
for name, pattern in PATTERNS.items():
    PIPELINES[f"expression {name}"] = split(pattern)
    if name != "super bpe":
        PIPELINES[f"expression {name}, inverted"] = split(pattern, "Removed", True)

# Constructs, each with texts of its own.
EXPRESSIONS = [
    (r"\p{N}{1,3}+", ["1234567"]), (r"a{2}?", ["aaaaa"]), (r"a{,2}", ["aaaaa"]), (r"a{2,}+b", ["aaab"]), (r"a{2,3}?", ["aaaaaa"]),
    (r"^a", ["a\na\na", "ba"]), (r"^", ["a\n", "\n\n"]), (r"a$", ["a\na\n", "ab"]), (r"$", ["a\nb\n"]), (r"\Aa", ["aa\na"]), (r"a\Z", ["a\na\n", "aa"]),
    (r"a\z", ["aa\na", "a\n"]), (r".+", ["a\nb\rc\u2028d\u0085e"]), (r"(?m:.)+", ["a\nb"]), (r"\N+", ["a\nb"]), (r"\O+", ["a\nb"]),
    (r"[a-z&&[^aeiou]]+", ["hello&"]), (r"[a&&b]", ["ab&"]), (r"[^a&&b]+", ["abc"]), (r"[&&]", ["&a"]), (r"[a&&]", ["a&"]), (r"[a-c&&b-d&&c]", ["abcd"]),
    (r"[[:alpha:]]+", ["ab1 \u00e9"]), (r"[[:^alpha:]]+", ["a1"]), (r"[a[:digit:]]+", ["a1b"]), (r"[[a]b]+", ["ab[]"]), (r"[^\s[a]]+", ["ab c"]),
    (r"[]a]+", ["]a["]), (r"[a-]+", ["a-b"]), (r"[-a]+", ["a-b"]), (r"[\w-]+", ["a-b c"]), (r"[+--]+", ["+,-."]), (r"\h+", ["fF0g \t"]), (r"\H+", ["fgh"]),
    (r"\x{1F600}|\u0041|\x42|\0", ["a\U0001f600AB\0"]), (r"\e|\a|\f|\v|\t", ["\x1b\x07\x0c\x0b\t\n"]), (r"\q\_\-\/", ["q_-/"]), (r"\pL", ["pL a"]),
    (r"(?i)ab", ["aBAB"]), (r"a(?i)b|c", ["aBC c"]), (r"(?i:a(?-i)b)c", ["ABc Abc AbC"]), (r"(?i:[^k])+", ["aKk\u212ab"]), (r"(?i:k)", ["kK\u212a"]), (r"(?i:\p{Lu})+", ["aB"]),
    (r"(?i:[\p{Lu}&&[A-Z]])+", ["aB1"]), (r"(?i:i)", ["iI\u0130\u0131"]), (r"(?i:[a-z])+", ["a\u017f\u212a\u00e9"]), (r"(?i:[A-Z&&[^K]])+", ["abkK\u212a"]), (r"(?i:[^A-Z])+", ["abk\u212aK\u017f!"]),
    (r"(?i:\u03c3)+", ["\u03c3\u03c2\u03a3"]), (r"(?i:'S)", ["'s'\u017f"]),
    (r"\w|-", ["x\u00b2-\u00bd"]), (r"[\w-]+", ["x\u00b2-\u00bd"]), (r"\W|[^\w]x", ["x\u00b2x-\u00bd"]), (r"\b\S", ["x\u00b2 \u00bd-"]),
    (r"\p{Punct}|[[:space:]]", ["$a !"]), (r"[[:punct:]]", ["$a !"]), (r"\p{^L}+", ["a1"]), (r"\P{L}+", ["a1"]), (r"\P{^L}+", ["a1"]), (r"\p{han}+", ["\u6f22x"]), (r"\p{Uppercase_Letter}+", ["ABc"]), (r"[\p{Hiragana}\p{Katakana}]+", ["\u3042\u30a2a\u30fc"]),
    (r"(?<=a)b", ["ab b"]), (r"(?<!a)b", ["ab b"]), (r"(?<=[ab])\w", ["abc"]), (r"(?<!\S)\w+", ["ab cd-ef"]), (r"\bfoo\b", ["foo foob"]), (r"\B.", ["ab c"]), (r"\b", ["ab c"]),
    (r"(?>a+)b", ["aab"]), (r"\R", ["\r\n\n\r"]), (r"\R\n", ["\r\n\n \r\n"]), (r"a++a", ["aaa"]), (r"a?+a", ["aa"]), (r"a*+", ["aab"]), (r"(?:a|b)++", ["abc"]),
    (r"a**", ["aaab"]), (r"a+?+", ["aaa"]), (r"a??", ["aa"]), (r"a+?", ["aaa"]), (r"a*?b", ["aab"]), (r"(?:a?|b)*c", ["bc", "abac"]), (r"(?:a|)*b", ["aab"]), (r"(?:|a)*b", ["aab"]),
    (r"(?:|a)+", ["aab"]), (r"(?:a*)*", ["aab"]), (r"(?:a*?)*", ["aab"]), (r"(?:a*)+?", ["aab"]), (r"(?:a?b?)*?c", ["ababc"]), (r"(?:a|ab)(?:c|bcd)", ["abcd"]),
    (r"a*", ["baac"]), (r"(?=a)", ["bab"]), (r"(?!a)", ["bab"]), (r"(?=a*b)a", ["aab aa"]), (r"(?!.*b)a", ["aab aa"]),
    (r"(?<n>a)b", ["ab"]), (r"(?#x)a", ["a"]), (r"a{", ["a{"]), (r"a{1", ["a{1"]), (r"a{x}", ["a{x}"]), (r"a{0}", ["ab"]), (r"", ["ab"]), (r"a|", ["ab"]), (r"]|}", ["]}"]), (r"()", ["ab"]), (r"(a|b)+", ["abc"]),
    (r"a+b|a", ["aaaa", "aaab"]), (r"(?:a|a)*b", ["aaab"]), (r"((a+)+)+b", ["aaa aab"]), (r"\d+(?=(\d{3})+(?!\d))", ["1234567"]),
    (r"\s+(?!\S)|\s+", ["a   b  "]), (r"(?:(?:a|b)?c??)*", ["abcab"]),
]

MODEL = {"type": "BPE", "dropout": None, "unk_token": None, "vocab": {}, "merges": []}


def pieces(pre_tokenizer, texts):
    whole = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
             "pre_tokenizer": pre_tokenizer, "post_processor": None, "decoder": None, "model": MODEL}
    try:
        step = Tokenizer.from_str(json.dumps(whole)).pre_tokenizer
    except Exception as error:
        raise ValueError(f"{pre_tokenizer}: {error}")
    # Without a step, the package returns an empty text as one piece.
    return [[piece for piece, _ in step.pre_tokenize_str(text) if piece] for text in texts]


# Properties that expressions name, and steps that are sets of scalars.
PROPERTIES = (
    "L Lu Ll Lt Lm Lo M Mn Mc Me N Nd Nl No P Pc Pd Ps Pe Pi Pf Po S Sm Sc Sk So Z C Cc Cf Cn Co LC Alpha Alnum Punct Space Upper Lower Graph Print Blank XDigit Any Assigned "
    "White_Space Uppercase Lowercase Ideographic Emoji Emoji_Presentation Han Hiragana Katakana Hangul Bopomofo Latin Cyrillic Greek Arabic Hebrew Thai Devanagari Bengali Tamil Telugu "
    "Gujarati Gurmukhi Kannada Malayalam Oriya Sinhala Lao Tibetan Myanmar Georgian Armenian Ethiopic Khmer Mongolian").split()
SCALARS = [*range(0xD800), *range(0xE000, 0x110000)]
BLOCK = 0x8000


def scalar_ranges(step, is_removed=False):
    """The ranges of the scalars of which `step` makes pieces, or that it removes."""
    ranges = []
    for start in range(0, len(SCALARS), BLOCK):
        block = SCALARS[start:start + BLOCK]
        # A scalar between line feeds is removed, or a piece, whatever its neighbours are.
        found = set(chr(value) for value in block if value != 10) if is_removed else set()
        for piece, _ in step.pre_tokenize_str("\n" + "\n".join(chr(value) for value in block)):
            if is_removed:
                found -= set(piece)
            else:
                found |= set(piece)
        for value in sorted(map(ord, found)):
            if ranges and ranges[-1][1] == value - 1:
                ranges[-1][1] = value
            else:
                ranges.append([value, value])
    return ranges


def properties():
    result = {}
    for name in PROPERTIES:
        result[name] = scalar_ranges(pre_tokenizers.Split(Regex(r"\p{%s}" % name), "removed", True))
    for name in ["[:word:]", "[:punct:]"]:
        result[name] = scalar_ranges(pre_tokenizers.Split(Regex(f"[{name}]"), "removed", True))
    result["\\w"] = scalar_ranges(pre_tokenizers.Split(Regex(r"\w"), "removed", True))
    result["Punctuation"] = scalar_ranges(pre_tokenizers.Punctuation("removed"), True)
    return result


def case_groups():
    """The groups of scalars that differ in case only."""
    cased = [value for value in SCALARS if chr(value).upper() != chr(value) or chr(value).lower() != chr(value) or chr(value).title() != chr(value)]
    text = "\n".join(map(chr, cased))
    groups = set()
    for value in cased:
        step = pre_tokenizers.Split(Regex(r"(?i:\x{%x})" % value), "removed", True)
        groups.add("".join(sorted({piece for piece, _ in step.pre_tokenize_str(text) if len(piece) == 1})))
    return sorted(groups)


def random_expression(generator, depth=3):
    """An expression over a few letters that needs few constructs that Duet refuses."""
    def scalars():
        return generator.choice(["a", "b", "c", "1", " ", "[ab]", "[^a]", r"\w", r"\s", r"\d", ".", "[a-c&&[^b]]", "\u00e9", r"\p{L}"])

    def part(depth):
        roll = generator.random()
        if depth == 0 or roll < 0.5:
            scalar = scalars()
            roll = generator.random()
            if roll < 0.12:
                return scalar + generator.choice(["?+", "*+", "++"])
            return scalar
        if roll < 0.8:
            return "(?:" + branches(depth - 1) + ")"
        if roll < 0.9:
            return generator.choice(["(?=", "(?!"]) + branches(depth - 1) + ")"
        return generator.choice([r"\b", "^", "$", r"\B", "(?<=a)", r"(?<!\s)", r"\z"])

    def quantified(depth):
        result = part(depth)
        is_repeatable = not result.endswith("+") and not result.startswith(("(?=", "(?!", "(?<", "^", "$", r"\b", r"\B", r"\z"))
        if is_repeatable and generator.random() < 0.45:
            # Duet refuses to count what can be empty.
            counts = [] if result.startswith("(") else ["{2}", "{1,2}", "{0,2}?", "{2,}"]
            result += generator.choice(["?", "*", "+", "??", "*?", "+?"] + counts)
        return result

    def branches(depth):
        return "|".join("".join(quantified(depth) for _ in range(generator.randint(0 if depth < 3 else 1, 3)))
                        for _ in range(generator.randint(1, 3)))

    return branches(depth)


def random_cases(count, seed):
    generator = random.Random(seed)
    for _ in range(count):
        expression = random_expression(generator)
        texts = ["".join(generator.choice("aaabbc1 \n\u00e9") for _ in range(generator.randint(1, 10))) for _ in range(3)]
        case = f"random {expression}", split(expression, generator.choice(BEHAVIORS), generator.random() < 0.3), texts
        try:
            pieces(*case[1:])
            yield case
        except ValueError as error:
            # Oniguruma refuses the repetition of what can only be empty.
            assert "target of repeat operator is invalid" in str(error), error
        except BaseException as error:
            # It gives up on some expressions.
            assert "retry-limit-in-match" in str(error), error


def write(stream, cases):
    json.dump([{"name": name, "pre_tokenizer": step, "texts": texts, "pieces": pieces(step, texts)} for name, step, texts in cases],
              stream, indent=None, separators=(",\n", ":"))
    stream.write("\n")


if len(sys.argv) == 3:
    write(sys.stdout, random_cases(int(sys.argv[1]), int(sys.argv[2])))
else:
    assert tokenizers.__version__ == "0.23.3"
    for name, cases in [
        ("steps", ((name, step, TEXTS) for name, step in STEPS.items())),
        ("pipelines", ((name, step, TEXTS) for name, step in PIPELINES.items())),
        ("expressions", ((name, split(name), texts) for name, texts in EXPRESSIONS)),
        ("random", random_cases(400, 1)),
    ]:
        with open(FOLDER / f"{name}.json", "w") as stream:
            write(stream, cases)
    with open(FOLDER / "scalars.json", "w") as stream:
        json.dump({"properties": properties(), "cases": case_groups()}, stream, separators=(",", ":"))
        stream.write("\n")
