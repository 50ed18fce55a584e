"""A random model of two layers whose vocabulary has everything that can harm a terminal.

Needs only the standard library, so that the programs can be tested where nothing else is installed. The
tokenizer is of the Llama-2 family. Every byte is a token, so an answer may have any byte, and characters
arrive in pieces.
"""
import array, json, os, pathlib, random, struct, sys

# The folder of the programs; tests set DUET_PROGRAMS to the folder of their build.
PROGRAMS = pathlib.Path(os.environ.get(
    "DUET_PROGRAMS", pathlib.Path(__file__).resolve().parents[2] / ".build" / "release"))

LETTERS = "abcdefghijklmnopqrstuvwxyz"
# Whole sequences in addition to single bytes: they write the clipboard, clear the screen, reset the terminal,
# change the direction of text, or are control characters of two bytes.
HOSTILE = [
    "\x1b]52;c;aGk=\x07", "\x1b[2J", "\x1bc", "\x1b]0;title\x07", "\x1b]8;;http://x\x1b\\", "\r", "\x08",
    "\x7f", "\x84", "\x90", "\x9b", "\x9b2J", "\x9d", *map(chr, range(0x202A, 0x202F)),
    *map(chr, range(0x2066, 0x206A)), "e\u0301", "\u6771", "\U0001F680", "\u200d",
]

TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}[{{ message['role'] }}]{{ message['content'] }}</s>"
    "{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}")


def vocabulary():
    words = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    words += ["\u2581"] + list(LETTERS) + ["[", "]", ".", ","] + ["\u2581" + letter for letter in LETTERS]
    return {word: index for index, word in enumerate(words + HOSTILE)}


def tokenizer():
    added = [
        {"id": index, "content": word, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": True}
        for index, word in enumerate(["<unk>", "<s>", "</s>"])]
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "\u2581"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
        "pre_tokenizer": None, "post_processor": None,
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {
            "type": "BPE", "dropout": None, "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True,
            "ignore_merges": False, "vocab": vocabulary(),
            "merges": [f"\u2581 {letter}" for letter in LETTERS]},
    }


def write(folder, hidden=32, intermediate=48, layers=2, heads=2, context=1024, endless=False, seed=1):
    """Writes the model. `hidden` is a multiple of 2 * `heads`; there are half as many heads of keys.

    With `endless` the token that ends a text never comes, at any temperature: the first number of the residual
    stream is the same for all tokens, no layer changes it, and the head has a large negative weight for it in
    the row of that token.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    size = len(vocabulary())
    half = max(1, heads // 2) * (hidden // heads)
    generator = random.Random(seed)
    tensors = {}

    def add(name, shape, width, center=0.0):
        count = 1
        for length in shape: count *= length
        tensors[name] = (shape, array.array("f", (
            center + (2 * generator.random() - 1) * width for _ in range(count))))

    add("model.embed_tokens.weight", [size, hidden], 1)
    for layer in range(layers):
        prefix = f"model.layers.{layer}."
        for name, rows, columns in [
                ("self_attn.q_proj", hidden, hidden), ("self_attn.k_proj", half, hidden),
                ("self_attn.v_proj", half, hidden), ("self_attn.o_proj", hidden, hidden),
                ("mlp.gate_proj", intermediate, hidden), ("mlp.up_proj", intermediate, hidden),
                ("mlp.down_proj", hidden, intermediate)]:
            # Activations stay near 1 through the layers.
            add(f"{prefix}{name}.weight", [rows, columns], (3 / columns) ** 0.5)
        add(f"{prefix}input_layernorm.weight", [hidden], 0.2, 1)
        add(f"{prefix}post_attention_layernorm.weight", [hidden], 0.2, 1)
    add("model.norm.weight", [hidden], 0.2, 1)
    add("lm_head.weight", [size, hidden], (3 / hidden) ** 0.5)

    if endless:
        for index in range(size): tensors["model.embed_tokens.weight"][1][index * hidden] = 3
        for layer in range(layers):
            for name in ("self_attn.o_proj", "mlp.down_proj"):
                (_, columns), numbers = tensors[f"model.layers.{layer}.{name}.weight"]
                numbers[:columns] = array.array("f", [0] * columns)
        tensors["lm_head.weight"][1][2 * hidden] = -1e5

    if sys.byteorder == "big":
        for _, numbers in tensors.values(): numbers.byteswap()
    header, offset = {}, 0
    for name, (shape, numbers) in tensors.items():
        end = offset + 4 * len(numbers)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(folder / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, numbers in tensors.values(): file.write(numbers.tobytes())
    configuration = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": hidden,
        "intermediate_size": intermediate, "num_hidden_layers": layers, "num_attention_heads": heads,
        "num_key_value_heads": max(1, heads // 2), "vocab_size": size,
        "max_position_embeddings": context, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "hidden_act": "silu", "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2}
    words = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "chat_template": TEMPLATE}
    for name, document in [
            ("config.json", configuration), ("tokenizer.json", tokenizer()),
            ("tokenizer_config.json", words)]:
        (folder / name).write_text(json.dumps(document), encoding="utf-8")
    return folder
