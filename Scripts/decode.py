#!/usr/bin/env python3
"""Writes the linear layers of a compressed model as dense F32: decode.py [--rotated] DIR OUT.safetensors

Writes <linear>.weight in the basis of the source or, with --rotated, the exact stored numbers: <linear>.q,
.left, .right and .columns. A second implementation of Sources/Kernels/include/PackedFormats.h. A layer is
y = S_out B_out^T (Q z + L R z + C x_O), z = B S x; head and embedding are not rotated. Needs NumPy, safetensors.
"""
import json, pathlib, sys
import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

# Planes, the bits of an even row, and the taps of even and of odd rows, the newest bit first.
TRELLIS = {
    "trellis2": (4, 2, ((3, -2, 0, 0, 0, 0, 3, 4, -5, -6, -4, 4), (-6, -3, -4, -1, 0, 1, 1, 4, 0, 5, -3, 3))),
    "trellis2.5": (5, 2, ((-5, 3, 2, 2, 6, 1, -3, 0, 0, 1, -3, -5), (7, -4, -2, -3, 0, 0, 2, -3, -2, 0, -3, -5))),
    "trellis3": (6, 3, ((3, 5, 4, 0, 1, 0, 0, 3, -2, -4, -2, -7), (-5, -3, 3, -3, 0, 0, 0, -5, 0, 4, 2, -6))),
}
FORMATS = {"int2": (2, 1.5), "int3": (3, 3.5), "int4": (4, 7.5), "int8": (8, 128), "e8p": (2, 0)}

def lattice():  # (65536, 8): the points of all codes index | signs << 8
    ones = lambda bits: bin(bits).count("1")
    ranks = [3, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 2, 4, 8]
    first = {15: 0, 7: 14, 11: 25, 13: 36, 14: 47, 3: 48, 5: 49, 6: 50, 9: 51, 10: 52, 12: 53}
    sizes = np.full((256, 8), 0.5)
    for index in range(256):
        low, high = index & 15, index >> 4
        f = 10 * ones(low) + 5 * (ones(low) > 2)
        if f + (5 if high == 1 else 10 * ones(high)) <= 50:
            sizes[index] += [index >> i & 1 for i in range(8)]
        else:
            p, q = divmod(first[low] + ranks.index(high), 8)
            sizes[index, q], sizes[index, p] = 1.5, 2.5
    odd = np.array([ones(sign) % 2 for sign in range(256)])
    bits = (np.arange(256) ^ odd << 7)[:, None, None] >> np.arange(8) & 1
    # t is 5/2 minus or plus the size: the one with the parity of the bit. (signs, indices, 8)
    t = np.where((2.5 - sizes) % 2 == bits, 2.5 - sizes, 2.5 + sizes)
    return (t - 2.5 + np.where(odd, -0.25, 0.25)[:, None, None]).reshape(65536, 8)

def unpack_trellis(tensors, name, form, rows, columns):
    planes, even_bits, taps = TRELLIS[form]
    packed = tensors(f"{name}.codes")
    tiles = packed.reshape(len(packed) // 4, -1)
    stored = tiles.shape[1] // (4 * planes)
    signs = np.empty((len(tiles), stored, 32, planes), np.float32)
    for first in range(0, stored, 128):
        size = min(128, stored - first)
        part = tiles[:, 4 * planes * first:4 * planes * (first + size)]
        # (tiles, planes, blocks, i, h) -> (tiles, blocks, bits, pairs 16h + i, planes)
        part = part.reshape(len(tiles), planes, size // 8, 16, 2).transpose(0, 2, 4, 3, 1)
        part = part.reshape(len(tiles), size // 8, 1, 32, planes) >> np.arange(8).reshape(8, 1, 1) & 1
        signs[:, first:first + size] = part.reshape(len(tiles), size, 32, planes) * 2.0 - 1
    line = signs.reshape(len(tiles), stored, 32 * planes)
    pairs = planes * np.arange(32)
    sums = [sum(tap * line[:, :, (pairs + last - k) % line.shape[2]] for k, tap in enumerate(row))
            for last, row in zip((even_bits - 1, planes - 1), taps)]
    values = np.stack(sums, 3).reshape(len(tiles), stored, 64).transpose(0, 2, 1).reshape(-1, stored)
    scales = tensors(f"{name}.scales").reshape(-1, 1).astype(np.float32)
    return np.ascontiguousarray((scales / np.float32(16) * values)[:rows, :columns])

def unpack(tensors, name, form, rows, columns):
    if form in TRELLIS: return unpack_trellis(tensors, name, form, rows, columns)
    (bits, zero), vectors = FORMATS[form], {"int3": 3, "e8p": 2}.get(form, 1)
    packed = tensors(f"{name}.codes")  # (panels, bytes of a panel)
    v = packed.reshape(len(packed), -1, vectors, 16, 4).transpose(2, 0, 1, 3, 4)
    if form == "e8p":
        parts = [v[0].astype(np.uint16) | v[1].astype(np.uint16) << 8]
    elif form == "int3":
        parts = [plane >> shift & 7 for plane in v for shift in (0, 3)]
        parts += [v[0] >> 5 & 6 | v[2] >> 6 & 1, v[1] >> 5 & 6 | v[2] >> 7]
    else:
        parts = [v[0] >> shift & (1 << bits) - 1 for shift in range(0, 8, bits)]
    codes = np.stack(parts, 3).transpose(0, 2, 1, 3, 4).reshape(16 * len(packed), -1)
    values = lattice()[codes] if form == "e8p" else codes
    values = values.astype(np.float32).reshape(len(codes), -1)
    def spread(suffix):  # (panels, groups, 16) -> (padded rows, padded columns)
        numbers = tensors(name + suffix).transpose(0, 2, 1).reshape(len(codes), -1)
        return np.repeat(numbers.astype(np.float32), values.shape[1] // numbers.shape[1], 1)
    if tensors(f"{name}.offsets") is None:
        values = spread(".scales") * (values - np.float32(zero))
    else:
        values = spread(".scales") * values + spread(".offsets")
    return np.ascontiguousarray(values[:rows, :columns])

def unrotate(tensors, matrix):  # matrix B S, for B of the matrix's columns
    factor = tensors(f"incoherence.{matrix.shape[1]}.factor")
    factor = np.ones((1, 1)) if factor is None else factor.astype(np.float64)
    x = matrix.reshape(len(matrix), len(factor), -1)
    x = (factor / np.linalg.norm(factor, axis=1, keepdims=True)).T @ x
    for step in (1 << k for k in range(x.shape[2].bit_length() - 1)):
        low, high = np.moveaxis(x.reshape(-1, 2, step), 1, 0)
        x = np.stack([low + high, low - high], 1) / 2**0.5
    return x.reshape(matrix.shape) * tensors(f"incoherence.{matrix.shape[1]}.signs")

def decode(tensors, config, record, rotated):
    name, rows, columns = record["name"], record["output_size"], record["input_size"]
    key = {"lm_head": "head_format", "model.embed_tokens": "embedding_format"}.get(name, "format")
    form, sides = config[key], config["incoherence"] if key == "format" else "none"
    parts, rank = {}, record["rank"]
    if form != "none": parts["q"] = unpack(tensors, name, form, rows, columns)
    for part, shape in {"left": (rows, rank), "right": (rank, columns)}.items():
        if tensors(f"{name}.{part}.values") is not None:
            parts[part] = tensors(f"{name}.{part}.values").astype(np.float32)
        elif tensors(f"{name}.{part}.codes") is not None:
            parts[part] = unpack(tensors, f"{name}.{part}", config["lr_format"], *shape)
    index = tensors(f"{name}.columns.index")
    if index is not None:
        parts["columns"] = unpack(tensors, f"{name}.columns", "int8", rows, len(index))
    if rotated:
        return {f"{name}.{part}": values for part, values in parts.items()}
    weight = parts["q"].astype(np.float64) if "q" in parts else np.zeros((rows, columns))
    weight += parts["left"].astype(np.float64) @ parts["right"] if "left" in parts else 0
    weight = weight if sides == "none" else unrotate(tensors, weight)
    if index is not None: weight[:, index] += parts["columns"]
    weight = unrotate(tensors, weight.T).T if sides == "both" else weight
    return {f"{name}.weight": np.ascontiguousarray(weight, np.float32)}

def main(options, folder, output):
    files = map(lambda path: safe_open(path, "numpy"), folder.glob("model*.safetensors"))
    places = {name: file for file in files for name in file.keys()}
    tensors = lambda name: places[name].get_tensor(name) if name in places else None
    config = json.loads((folder / "config.json").read_text())["quantization_config"]
    records = json.loads((folder / "compression_report.json").read_text())["matrices"]
    records = [record for record in records if record["name"] + ".weight" not in places]  # not F16
    decoded = [decode(tensors, config, record, "--rotated" in options) for record in records]
    save_file({name: values for part in decoded for name, values in part.items()}, output)

if __name__ == "__main__":
    main(sys.argv[1:-2], pathlib.Path(sys.argv[-2]), sys.argv[-1])
