#!/usr/bin/env python3
"""Writes Tests/Golden/compressor/methods.json: how well methods beside CALDERA and ODLRI solve the scenes.

The scenes are the W and H of Tests/Golden/compressor/S*.safetensors, which golden/scenes.py makes. The
methods are those of decompose.py, a float64 implementation that shares no code with the compressor. It is
not part of the project; its folder is the argument:

    python3 Scripts/golden/methods.py [../shared/reference]

The file has, by scene and method, the mean over rotations, or over orders of the inputs, of the relative error
sqrt(tr(E H E^T) / tr(W H W^T)) with this H, and the standard error of the mean, 0 where nothing is random.
All methods work with H damped by 0.01, groups of 128, rank 32 (96 in blocks of 32 where there is no Q). Needs
NumPy and safetensors.
"""

import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
REFERENCE = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT.parent / "shared" / "reference")
sys.path.insert(0, str(REFERENCE))

# The reference limits NumPy to one thread, and must do so before NumPy is loaded.
import decompose as ref  # noqa: E402
import numpy as np  # noqa: E402
from safetensors.numpy import load_file  # noqa: E402

FOLDER = ROOT / "Tests" / "Golden" / "compressor"
GROUP, RANK = 128, 32
ROTATIONS = range(8)


def ordered_ldlq(W, H, bits, search):
    """Rounds columns by falling diag H; every group keeps the scale of its columns ("static groups")."""
    n = W.shape[1]
    order = np.argsort(-np.diag(H), kind="stable")
    U, D = ref.udu(H[np.ix_(order, order)])
    weights = np.empty(n)
    weights[order] = D
    grids = {a: ref.fit_grid(W[:, a:a + GROUP], bits, "asym", weights[a:a + GROUP], search)
             for a in range(0, n, GROUP)}
    Wp, Q = W[:, order], np.zeros_like(W)
    for j in range(n):
        target = Wp[:, j] + (Wp[:, :j] - Q[:, :j]) @ U[:j, j]
        Q[:, j] = grids[order[j] // GROUP * GROUP](target)
    out = np.empty_like(Q)
    out[:, order] = Q
    return out


def plain(W, H):
    """Pairs of a name and an approximation of W, without rotation."""
    damped = ref.damp(H)
    for bits in (2, 3):
        for fit, search in (("search", True), ("range", False)):
            yield f"rtn {bits} asymmetric {fit}", ref.rtn(W, bits, GROUP, "asym", search)
            yield (f"gptq {bits} asymmetric {fit}",
                   ref.ldlq(W, damped, bits, GROUP, "asym", search, static=True))
            yield f"gptq {bits} asymmetric {fit} ordered", ordered_ldlq(W, damped, bits, search)
        yield f"gptq {bits} as published", ref.gptq(W, H, bits, GROUP)
        yield f"awq {bits}", ref.awq(W, H, bits, GROUP, search=True)
        Q = ref.rtn(W, bits, GROUP)
        diagonal = np.diag(np.diag(damped))
        for name, metric in (("qera", damped), ("lqer", diagonal)):
            yield f"{name} {bits} lr16", Q + np.matmul(*ref.whitened_lowrank(W - Q, metric, RANK))
            for feedback in (False, True):
                suffix = " feedback" if feedback else ""
                yield (f"{name} {bits} lr4{suffix}",
                       Q + np.matmul(*ref.lplr(W - Q, metric, RANK, 4, GROUP, 10, feedback)))


def rotated(W, H):
    """Pairs of a name and a function from the seed of a rotation to an approximation of W."""
    damped = ref.damp(H)
    for lr, feedback in ((4, False), (4, True), (16, False)):
        suffix = f"lr{lr}" + (" feedback" if feedback else "")

        def split(seed, lr=lr, feedback=feedback):
            return ref.caldera(W, H, 2, RANK, lr_bits=lr, iters=1, init="srr", group=GROUP,
                               seed=seed, feedback=feedback, final_q=False)[0]

        def repair(seed, lr=lr, feedback=feedback):
            Wr, Hr, rotation = ref.rotate(W, damped, np.random.default_rng(seed))
            Q = ref.rtn(Wr, 2, GROUP)
            L, R = ref.lplr(Wr - Q, Hr, RANK, lr, GROUP, 10, feedback)
            return ref.unrotate(Q + L @ R, rotation)

        yield f"srr 2 {suffix}", split
        yield f"qera 2 {suffix} rotated", repair
        if lr == 16:
            continue
        for bits in (2, 3, 4, 8):
            def factors(seed, bits=bits, feedback=feedback):
                return ref.lordq(W, H, 3 * RANK, bits, RANK, GROUP, seed=seed, inner=10,
                                 feedback=feedback)

            yield f"lordq {bits}" + (" feedback" if feedback else ""), factors


def diagonal_error(W, H, bits, feedback, seed):
    """LQER with packed factors in the metric that it minimises, for inputs in a random order. The order decides
    which columns share a scale; without a rotation nothing else is random."""
    order = np.random.default_rng(seed).permutation(W.shape[1])
    W, H = W[:, order], H[np.ix_(order, order)]
    Q, diagonal = ref.rtn(W, bits, GROUP), np.diag(np.diag(ref.damp(H)))
    L, R = ref.lplr(W - Q, diagonal, RANK, 4, GROUP, 10, feedback)
    return ref.act_error(W, Q + L @ R, np.diag(np.diag(H)))


def main():
    document = {}
    for scene in ("S1", "S3", "S4"):
        tensors = load_file(FOLDER / f"{scene}.safetensors")
        W, H = (tensors[name].astype(np.float64) for name in ("W", "H"))
        errors = document[scene] = {}

        def put(name, values):
            deviation = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
            errors[name] = {"mean": float(np.mean(values)),
                            "standard_error": deviation / len(values) ** 0.5}
            print(scene, f"{name:34s}", errors[name], flush=True)

        for name, approximation in plain(W, H):
            put(name, [ref.act_error(W, approximation, H)])
        for name, solve in rotated(W, H):
            put(name, [ref.act_error(W, solve(seed), H) for seed in ROTATIONS])
        for bits in (2, 3):
            for suffix, feedback in (("", False), (" feedback", True)):
                put(f"lqer {bits} lr4{suffix}, own metric",
                    [diagonal_error(W, H, bits, feedback, seed) for seed in ROTATIONS])
        splits = [ref.srr_split(W, ref.damp(H), RANK, np.random.default_rng(seed))
                  for seed in ROTATIONS]
        errors["srr split"] = {"mean": float(np.mean(splits)), "standard_error": 0.0}
    (FOLDER / "methods.json").write_text(json.dumps(document, indent=1) + "\n")


main()
