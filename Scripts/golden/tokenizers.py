#!/usr/bin/env python3
"""Writes Tests/Golden/tokenizers/: small tokenizers and what the Python packages make of awkward texts.

For each tokenizer a folder with its files (tokenizer.json, or tokenizer.model and the files beside it) and
expected.jsonl: one object for each text with its ids, and the ids with special tokens where they differ. The oracle
is the package tokenizers for a tokenizer.json, sentencepiece for a tokenizer.model in one piece, and
transformers for a tokenizer.model with added tokens. normalization.json holds what the package's normalizers make
of the texts, and a digest of what they make of every scalar; the character map is the one in unigram-unknown.

    python3 Scripts/golden/tokenizers.py        needs tokenizers 0.23.3, sentencepiece 0.2.3 and, for the
                                                part "slow", transformers 4.57.6, which wants an older tokenizers:
    python3 Scripts/golden/tokenizers.py slow
"""

import base64
import hashlib
import io
import json
import pathlib
import shutil
import sys

# This folder, in which this file would be found in place of the package of the same name.
sys.path.pop(0)

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = ROOT / "Tests" / "Golden" / "tokenizers"

CORPUS = [
    line.strip()
    for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    if line.strip()
] + [
    "Once upon a time there was a little girl named Lily who liked red kites.",
    "The cat sat on the mat and the dog ran after the cat. Café, naïve, über, señor.",
    "Der Fuchs läuft über die Straße. Größe, Übermut und Ärger.",
    "日本語のテキスト。カタカナとひらがな。한국어 문장입니다. Русский текст здесь.",
] * 20

TEXTS = [
    "", " ", "  ", "   a", "a   ", "  a  b  ", "hello     world", "the cat", " the cat ", "\n", "\t", "a\nb\n\nc",
    "\u00a0a\u00a0", "\u3000全角　空白\u3000", "ﬁne ﬀ ﬃ ﬆ", "Ｆｕｌｌ　ｗｉｄｔｈ　１２３", "ｶﾞｷﾞ ﾊﾟ", "cafe\u0301 café", "e\u0301\u0323 e\u0323\u0301 a\u0301\u0301",
    "\u0301start", "\u1112\u1161\u11ab\u1100\u1173\u11af", "한글 한글", "ㄱㅏㄴ ㅎㅏㄴ", "각\u11a8", "👩‍👩‍👧‍👦 👍🏽 🇩🇪🇫🇷 ❤️", "\u0000", "a\u0000b", "\u0001\u0002\u007f\u0080\u009f", "\ufffd \ufffdx",
    "\u2581", "\u2581a\u2581\u2581b", " \u2581 ", "a\u2581", "Å Å Å", "ǅ Ǆ ŉ ß ẞ İ ı Σς ΑΣ", "²³ ½ ℌ ℃ ™ № ㎏ ㍿", "\u200b\u200c\u200d\ufeff zero", "\u2028\u2029",
    "x\u0327\u030c\u0327", "ự Ự", "דּ שׁ", "ﷺ ﷲ", "क़ क़ ड़", "ே ெ ொ", "𝐁𝐨𝐥𝐝 𝕄 𝟙", "豈 更 車", "Ω Ω K", "<unk>", "<s>", "</s>", "<s>a</s> b", "a<s>b", "<0x41>",
    "hello</s>hello", "</s> hello", "</s>  hello", "</s>\nhello", "zzzqqq", "…‥․", "a\r\nb\r\n", "Ã©", "ÀÁÂ", "\U000e0100\U000f0000\U0010ffff", "q\u0307\u0323", "\u1e9b\u0323",
    "1234567890 12 3", "aaaaaaaaaaaaaaaaaaaaaaaaa", "the " * 30, "ab" * 300, "é" * 200, "a\u0310\u0301", "a\u0323\u0310\u0301\u0327", "´a", "a ´b ¨", "\u2017", "ﬁ\u0301 ﬁ\u0301x",
]

# Texts with added tokens in all surroundings.
ADDED = ["<l>", "<r>", "<w>", "<n>", "<lr>", "<sp>", "N M"]
ADDED_TEXTS = [
    text.replace("@", token)
    for token in ADDED
    for text in [
        "@", " @", "@ ", "  @  ", "a@b", "a @ b", "a  @\t\n b", "@@", "@ @", "é@é", "\u3000@\u3000", "_@", "@_", "1@", "-@-", "x @y", "\u0301@", "@\u0301",
        "\u00a0@\u00a0x", "the@cat", "the @ cat<l> x <r> y", "<l> @ <r>", "@ <w>", "a<@",
    ]
] + ["ＮＭ", "Ｎ Ｍ", "n m", "a n m b", "n  m", "<N>", "<Ｎ>", "＜n＞"]


def added(identifier, content, **flags):
    entry = dict(
        id=identifier, content=content, single_word=False, lstrip=False, rstrip=False, normalized=False, special=False
    )
    return entry | flags


def save(name, files, lines):
    folder = TARGET / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file, contents in files.items():
        if isinstance(contents, str):
            contents = contents.encode()
        (folder / file).write_bytes(contents)
    with open(folder / "expected.jsonl", "w", encoding="utf-8") as output:
        for line in lines:
            output.write(json.dumps(line, ensure_ascii=True) + "\n")


# MARK: tokenizers


def expected(tokenizer, texts, decodes=True):
    for text in texts:
        plain = tokenizer.encode(text, add_special_tokens=False).ids
        line = {"text": text, "ids": plain}
        special = tokenizer.encode(text).ids
        if special != plain:
            line["ids_with_special"] = special
        if decodes:
            line["decoded"] = tokenizer.decode(plain, skip_special_tokens=False)
        yield line


def shape(model, **parts):
    standard = dict(
        version="1.0", truncation=None, padding=None, added_tokens=[], normalizer=None, pre_tokenizer=None,
        post_processor=None, decoder=None,
    )
    return standard | parts | {"model": model}


MARK = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": False}
UNMARK = {
    "type": "Sequence",
    "decoders": [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0},
    ],
}
FUSED_FIRST = {
    "type": "Sequence",
    "decoders": [
        {"type": "ByteFallback"}, {"type": "Fuse"},
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
    ],
}
SPECIAL = [added(i, t, special=True) for i, t in enumerate(["<unk>", "<s>", "</s>"])]


def train(kind, **options):
    """The bytes of a SentencePiece model trained on the corpus."""
    import sentencepiece

    output = io.BytesIO()
    settings = dict(
        sentence_iterator=iter(CORPUS), model_writer=output, vocab_size=420, model_type=kind,
        character_coverage=0.98, minloglevel=2, num_threads=1, shuffle_input_sentence=False,
    )
    sentencepiece.SentencePieceTrainer.train(**(settings | options))
    return output.getvalue()


def proto(model):
    from sentencepiece import sentencepiece_model_pb2 as definition

    result = definition.ModelProto()
    result.ParseFromString(model)
    return result


def tokenizers_part():
    import tokenizers

    assert tokenizers.__version__ == "0.23.3", tokenizers.__version__

    def write(name, content, texts, **options):
        text = json.dumps(content, ensure_ascii=False)
        tokenizer = tokenizers.Tokenizer.from_str(text)
        save(name, {"tokenizer.json": text}, expected(tokenizer, texts, **options))

    bytes_model = train("unigram", byte_fallback=True, vocab_size=500)
    vocabulary = [[piece.piece, piece.score] for piece in proto(bytes_model).pieces]
    template = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
    }
    write(
        "unigram-bytes",
        shape(
            {"type": "Unigram", "unk_id": 0, "byte_fallback": True, "vocab": vocabulary}, added_tokens=SPECIAL,
            pre_tokenizer=MARK, post_processor=template, decoder=UNMARK,
        ),
        TEXTS,
    )
    plain_model = train("unigram", normalization_rule_name="nmt_nfkc")
    vocabulary = [[piece.piece, piece.score] for piece in proto(plain_model).pieces]
    map_ = base64.b64encode(proto(plain_model).normalizer_spec.precompiled_charsmap).decode()
    write(
        "unigram-unknown",
        shape(
            {"type": "Unigram", "unk_id": 0, "vocab": vocabulary}, added_tokens=SPECIAL,
            normalizer={
                "type": "Sequence",
                "normalizers": [{"type": "Precompiled", "precompiled_charsmap": map_}, {"type": "Strip", "strip_left": True, "strip_right": True}],
            },
            pre_tokenizer=MARK | {"split": True},
            post_processor={"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 1], "trim_offsets": True, "add_prefix_space": False},
            decoder=FUSED_FIRST,
        ),
        TEXTS,
    )
    # All pieces of one scalar, so that every merge of text is possible; unknown scalars are fused or dropped.
    scalars = sorted(set("".join(CORPUS)) | {"▁"})[:150]
    pieces = {"<unk>": 0, "<s>": 1, "</s>": 2} | {c: i + 3 for i, c in enumerate(scalars)}
    merges = []
    for pair in ["t h", "th e", "▁ th", "▁ the", "▁th e", "a t", "c at", "▁ cat", "n m", "e l"]:
        left, right = pair.split(" ")
        if left in pieces and right in pieces:
            if left + right not in pieces:
                pieces[left + right] = len(pieces)
            merges.append(pair)
    flags = [
        added(0, "<l>", lstrip=True), added(0, "<r>", rstrip=True), added(0, "<w>", single_word=True),
        added(0, "<n>", normalized=True), added(0, "<lr>", lstrip=True, rstrip=True, single_word=True, special=True),
        added(0, "<sp>", special=True), added(0, "N M", normalized=True),
        added(0, "the", normalized=True, single_word=True),
    ]

    def byte_pairs(**options):
        return {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
            "vocab": pieces, "merges": merges,
        } | options

    write(
        "pairs-dropped",
        shape(byte_pairs(), added_tokens=SPECIAL + flags, normalizer={"type": "NFKC"}, pre_tokenizer=MARK, decoder=MARK),
        TEXTS + ADDED_TEXTS,
    )
    write(
        "pairs-fused",
        shape(
            byte_pairs(unk_token="<unk>", fuse_unk=True), added_tokens=SPECIAL + flags,
            normalizer={
                "type": "Sequence",
                "normalizers": [
                    {"type": "NFKD"}, {"type": "Sequence", "normalizers": [{"type": "StripAccents"}, {"type": "Lowercase"}]},
                    {"type": "Replace", "pattern": {"String": "~"}, "content": ""},
                    {"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
                ],
            },
            post_processor={"type": "BertProcessing", "sep": ["</s>", 2], "cls": ["<s>", 1]}, decoder=UNMARK,
        ),
        TEXTS + ADDED_TEXTS,
    )
    # Byte-level without the pieces of some bytes.
    letters = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    letters = [c for c in sorted(letters) if c not in "qZÃĠĊ"] + ["Ġ"]
    vocab = {c: i for i, c in enumerate(letters)}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    write(
        "byte-level-dropped",
        shape(byte_pairs(vocab=vocab, merges=[]), pre_tokenizer=byte_level, decoder=byte_level),
        TEXTS,
    )

    # Normalizers by themselves.
    from tokenizers import normalizers

    kinds = {
        "NFC": normalizers.NFC(), "NFD": normalizers.NFD(), "NFKC": normalizers.NFKC(), "NFKD": normalizers.NFKD(),
        "Lowercase": normalizers.Lowercase(), "Strip": normalizers.Strip(), "StripAccents": normalizers.StripAccents(),
        "Nmt": normalizers.Nmt(), "ByteLevel": normalizers.ByteLevel(),
        "Precompiled": normalizers.Precompiled(proto(plain_model).normalizer_spec.precompiled_charsmap),
    }
    import random

    random.seed(1)
    interesting = (
        [chr(v) for v in range(0x300, 0x370)] + [chr(v) for v in range(0xC0, 0x250)] + list("aeiouAEIOU \u1100\u1161\u11a8가각")
        + [chr(v) for v in range(0x1E00, 0x1F00)] + list("कािे\u093c\u09c7\u09be\u0b47\u0b56\u3099か\u1025\u102e\U00011131\U00011127ﬁ①㍍")
    )
    mixed = ["".join(random.choice(interesting) for _ in range(random.randint(1, 12))) for _ in range(300)]
    result = {"mixed": mixed}
    for name, normalizer in kinds.items():
        result[name] = [normalizer.normalize_str(text) for text in TEXTS]
        changed = hashlib.sha256()
        # Planes 3 to 13 have no scalars with properties that matter here, planes 15 and 16 are private.
        for value in [*range(0x30000), *range(0xE0000, 0xE0200)]:
            if not 0xD800 <= value < 0xE000:
                changed.update(normalizer.normalize_str(chr(value)).encode() + b"\n")
        # The package's marks are those of a much older version of Unicode.
        if name != "StripAccents":
            result[name + " of every scalar"] = changed.hexdigest()
        if name.startswith("NF") or name == "Precompiled":
            result[name + " of mixed"] = [normalizer.normalize_str(text) for text in mixed]
    result["texts"] = TEXTS
    (TARGET / "normalization.json").write_text(json.dumps(result, ensure_ascii=True) + "\n")


# MARK: sentencepiece


def sentencepiece_part():
    import sentencepiece

    cases = {
        "spm-pairs-nfkc": dict(kind="bpe", byte_fallback=True, vocab_size=560, normalization_rule_name="nmt_nfkc"),
        "spm-pairs-spaces": dict(kind="bpe", byte_fallback=True, vocab_size=560, normalization_rule_name="identity"),
        "spm-pairs-unknown": dict(kind="bpe", normalization_rule_name="identity", remove_extra_whitespaces=False, add_dummy_prefix=False),
        "spm-unigram-nfkc": dict(kind="unigram", normalization_rule_name="nmt_nfkc"),
        "spm-unigram-bytes": dict(kind="unigram", byte_fallback=True, vocab_size=500, normalization_rule_name="identity", remove_extra_whitespaces=False),
        "spm-unigram-spaces": dict(kind="unigram", byte_fallback=True, vocab_size=500, normalization_rule_name="identity", add_dummy_prefix=False),
    }
    for name, options in cases.items():
        model = train(**options)
        processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        # Control tokens are text to the package.
        texts = [text for text in TEXTS if not any(mark in text for mark in ("<s>", "</s>", "<unk>"))]
        lines = [{"text": text, "ids": processor.encode(text), "ids_with_special": [1] + processor.encode(text)} for text in texts]
        save(name, {"tokenizer.model": model}, lines)


# MARK: transformers


def slow_part():
    import transformers

    assert transformers.__version__ == "4.57.6", transformers.__version__
    model = train("bpe", byte_fallback=True, vocab_size=560, normalization_rule_name="identity", remove_extra_whitespaces=False, user_defined_symbols=["<sep>", "<mask>"])
    common = dict(add_bos_token=True, add_eos_token=False, bos_token="<s>", eos_token="</s>", unk_token="<unk>", tokenizer_class="LlamaTokenizer")
    tokens = {"<pad>": 560, "<|im_end|>": 563, "<|im_start|>": 561, "<tool>": 565}
    decoder = {
        "560": added(0, "<l>", lstrip=True), "561": added(0, "<r>", rstrip=True, special=True),
        "562": added(0, "<n>", normalized=True), "563": added(0, "<w>", single_word=True),
    }
    for entry in decoder.values():
        del entry["id"]
    cases = {
        "added-tokens-file": (common | dict(legacy=True, eos_token="<|im_end|>"), tokens, {"additional_special_tokens": ["<|im_start|>", "<|im_end|>"], "pad_token": "<pad>"}),
        "legacy-false": (common | dict(legacy=False, added_tokens_decoder=decoder), None, None),
        "legacy-true": (common | dict(legacy=True, added_tokens_decoder=decoder, add_eos_token=True), None, None),
        "no-prefix": (common | dict(legacy=False, add_prefix_space=False, added_tokens_decoder=decoder, add_bos_token=False), None, None),
    }
    texts = [text for text in TEXTS + ADDED_TEXTS if "\u2581" not in text] + [
        text.replace("@", token)
        for token in ["<sep>", "<tool>", "<|im_start|>", "<pad>", "</s>"]
        for text in ["@", "a@b", " @ ", "@the cat", "a @ b", "@@", "@\nx"]
    ]
    for name, (configuration, file, special) in cases.items():
        files = {"tokenizer.model": model, "tokenizer_config.json": json.dumps(configuration)}
        if file:
            files["added_tokens.json"] = json.dumps(file)
            files["special_tokens_map.json"] = json.dumps(special)
        save(name, files, [])
        tokenizer = transformers.AutoTokenizer.from_pretrained(TARGET / name)
        assert tokenizer.is_fast
        lines = []
        for text in texts:
            lines.append({"text": text, "ids": tokenizer.encode(text, add_special_tokens=False), "ids_with_special": tokenizer.encode(text)})
        save(name, files, lines)


if __name__ == "__main__":
    if sys.argv[1:] == ["slow"]:
        slow_part()
    else:
        tokenizers_part()
        sentencepiece_part()
