#!/usr/bin/env python3
"""Writes Tests/Golden/packed/*.safetensors: matrices packed byte by byte, one file per format.

A second implementation of Sources/Kernels/include/PackedFormats.h, written from the words of that
header: each bit of each byte is put where the text says, and the points of e8p are found there too.

    python3 Scripts/golden/packed.py

Each file holds what goes in (codes, scales and offsets by row) and what must come out (the tensors of
`packed` and the numbers, `dense`). Needs NumPy and safetensors.
"""

import hashlib
import pathlib

import numpy as np
import safetensors
from safetensors.numpy import save_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "Tests" / "Golden" / "packed"
SEED = 20250717

BITS = {"int2": 2, "int3": 3, "int4": 4, "int8": 8}
# The columns of a block, what a row with one scale is padded to.
BLOCK = {"int2": 16, "int3": 32, "int4": 8, "int8": 4, "e8p": 32}
ZERO = {"int2": 1.5, "int3": 3.5, "int4": 7.5, "int8": 128}

# Planes, the bits of an even row, and the taps of even and of odd rows, the newest bit first: as in Trellis.h.
TRELLIS = {
    "trellis2": (4, 2, [[3, -2, 0, 0, 0, 0, 3, 4, -5, -6, -4, 4], [-6, -3, -4, -1, 0, 1, 1, 4, 0, 5, -3, 3]]),
    "trellis2.5": (5, 2, [[-5, 3, 2, 2, 6, 1, -3, 0, 0, 1, -3, -5], [7, -4, -2, -3, 0, 0, 2, -3, -2, 0, -3, -5]]),
    "trellis3": (6, 3, [[3, 5, 4, 0, 1, 0, 0, 3, -2, -4, -2, -7], [-5, -3, 3, -3, 0, 0, 0, -5, 0, 4, 2, -6]]),
}

# For each column of a block, its bits from the lowest: (vector, bit of the byte 4r + column % 4).
PLACES = {
    "int2": [[(0, 2 * (c // 4)), (0, 2 * (c // 4) + 1)] for c in range(16)],
    "int3": [[(c // 8, 3 * (c // 4 % 2) + b) for b in range(3)] for c in range(24)]
    + [[(2, 6), (0, 6), (0, 7)] for _ in range(24, 28)]
    + [[(2, 7), (1, 6), (1, 7)] for _ in range(28, 32)],
    "int4": [[(0, 4 * (c // 4) + b) for b in range(4)] for c in range(8)],
    "int8": [[(0, b) for b in range(8)] for c in range(4)],
}


def padded(size, step):
    return -(-size // step) * step


def pack_integers(name, codes, columns):
    """codes (rows, any columns) -> (panels, bytes of a panel)."""
    places = PLACES[name]
    width = len(places)
    vectors = BITS[name] * width * 16 // 8 // 64
    panels = padded(len(codes), 16) // 16
    blocks = np.zeros((panels, columns // width, vectors, 64), np.uint8)
    for row, line in enumerate(codes):
        for column, code in enumerate(line):
            for bit, (vector, shift) in enumerate(places[column % width]):
                byte = 4 * (row % 16) + column % 4
                blocks[row // 16, column // width, vector, byte] |= (int(code) >> bit & 1) << shift
    return blocks.reshape(panels, -1)


def pack_lattice(codes, columns):
    """codes (rows, any number) of sixteen bits -> (panels, bytes of a panel)."""
    panels = padded(len(codes), 16) // 16
    blocks = np.zeros((panels, columns // 32, 2, 64), np.uint8)
    for row, line in enumerate(codes):
        for number, code in enumerate(line):
            byte = 4 * (row % 16) + number % 4
            blocks[row // 16, number // 4, 0, byte] = code & 255
            blocks[row // 16, number // 4, 1, byte] = code >> 8
    return blocks.reshape(panels, -1)


def lattice_point(code):
    index, sign = int(code) & 255, int(code) >> 8
    low, high = index & 15, index >> 4
    count = lambda bits: bin(bits).count("1")
    f = 10 * count(low) + (5 if count(low) > 2 else 0)
    g = 5 if high == 1 else 10 * count(high)
    if f + g <= 50:
        pattern = [1.5 if index >> i & 1 else 0.5 for i in range(8)]
    else:
        ranks = [3, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 2, 4, 8]
        first = {15: 0, 7: 14, 11: 25, 13: 36, 14: 47, 3: 48, 5: 49, 6: 50, 9: 51, 10: 52, 12: 53}
        p, q = divmod(first[low] + ranks.index(high), 8)
        pattern = [0.5] * 8
        pattern[q] = 1.5
        pattern[p] = 2.5
    shift = 0.25
    if count(sign) % 2:
        shift, sign = -0.25, sign ^ 0x80
    point = []
    for i, size in enumerate(pattern):
        # t is one of the two numbers size away from 5/2; the sign bit is its lowest bit.
        t = next(t for t in (2.5 - size, 2.5 + size) if t % 2 == (sign >> i & 1))
        point.append(t - 2.5 + shift)
    assert sum(p - shift for p in point) % 2 == 0
    return point


def pack_trellis(name, bits, columns):
    """bits (tiles, any columns, bits of a tile) -> (panels, bytes of a panel)."""
    planes = TRELLIS[name][0]
    tiles = np.zeros((len(bits), 4 * planes * columns), np.uint8)
    for tile, lines in enumerate(bits):
        for column, line in enumerate(lines):
            group, within = divmod(column, 128)
            size = min(128, columns - 128 * group)
            for number, bit in enumerate(line):
                pair, plane = divmod(number, planes)
                h, i = divmod(pair, 16)
                byte = 512 * planes * group + 4 * size * plane + 32 * (within // 8) + 2 * i + h
                tiles[tile, byte] |= int(bit) << within % 8
    return tiles.reshape(4 * len(bits), -1)


def trellis_value(name, row, bits):
    """16 times the value of a row of a tile, for a scale of 1."""
    planes, even_bits, taps = TRELLIS[name]
    end = planes * (row // 2) + (planes if row % 2 else even_bits) - 1
    return sum(tap * (1 if bits[end - k] else -1) for k, tap in enumerate(taps[row % 2]))


def by_panel(numbers, rows, step=16):
    """(rows, groups) -> (panels, groups, 16), padded with zeros to a multiple of `step` rows."""
    full = np.zeros((padded(rows, step), numbers.shape[1]), np.float16)
    full[:rows] = numbers
    return np.ascontiguousarray(full.reshape(-1, 16, numbers.shape[1]).transpose(0, 2, 1))


def make(file, name, rows, columns, group, has_offsets, generator):
    stored = padded(columns, group or BLOCK.get(name, 32))
    groups = stored // group if group else 1
    scales = generator.uniform(0.5, 2, (rows, groups)).astype(np.float16)
    tensors = {"scales": scales.astype(np.float32)}
    expanded = np.repeat(scales.astype(np.float64), stored // groups, axis=1)[:, :columns]
    if name == "e8p":
        codes = generator.integers(0, 1 << 16, (rows, padded(columns, 8) // 8)).astype(np.uint16)
        packed = pack_lattice(codes, stored)
        points = np.array([[x for code in line for x in lattice_point(code)] for line in codes])
        dense = expanded * points[:, :columns]
    elif name in TRELLIS:
        shape = (padded(rows, 64) // 64, columns, 32 * TRELLIS[name][0])
        codes = generator.integers(0, 2, shape).astype(np.uint8)
        packed = pack_trellis(name, codes, stored)
        sums = [[trellis_value(name, r % 64, bits) for bits in codes[r // 64]] for r in range(rows)]
        dense = expanded * np.array(sums) / 16
    else:
        codes = generator.integers(0, 1 << BITS[name], (rows, columns)).astype(np.uint8)
        packed = pack_integers(name, codes, stored)
        dense = expanded * (codes - np.float64(0 if has_offsets else ZERO[name]))
    if has_offsets:
        offsets = generator.normal(0, 3, (rows, groups)).astype(np.float16)
        dense += np.repeat(offsets.astype(np.float64), stored // groups, axis=1)[:, :columns]
        tensors["offsets"] = offsets.astype(np.float32)
        tensors["packed.offsets"] = by_panel(offsets, rows)
    tensors["codes"] = codes
    tensors["dense"] = dense.astype(np.float32)
    tensors["packed.codes"] = packed
    tensors["packed.scales"] = by_panel(scales, rows, 64 if name in TRELLIS else 16)
    script = hashlib.sha256(pathlib.Path(__file__).read_bytes()).hexdigest()
    versions = f"numpy {np.__version__}, safetensors {safetensors.__version__}"
    # One entry, because the library writes several in an order that changes from run to run.
    metadata = {"source": f"golden/packed.py sha256 {script}, {versions}, seed {SEED}"}
    save_file(tensors, FOLDER / f"{file}.safetensors", metadata)


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(SEED)
    # Two panels, the second of one row; columns that fill no block, group or word.
    make("int2", "int2", 17, 71, 32, False, generator)
    make("int2-offsets", "int2", 17, 71, 64, True, generator)
    make("int3", "int3", 17, 71, 0, False, generator)
    make("int3-offsets", "int3", 17, 71, 32, True, generator)
    make("int4", "int4", 17, 71, 64, False, generator)
    make("int8", "int8", 17, 71, 128, False, generator)
    make("int8-offsets", "int8", 17, 71, 0, True, generator)
    make("e8p", "e8p", 17, 71, 0, False, generator)
    make("e8p-groups", "e8p", 17, 71, 32, False, generator)
    for name in TRELLIS:
        make(name, name, 83, 139, 0, False, generator)


main()
