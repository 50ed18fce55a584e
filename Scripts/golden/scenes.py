#!/usr/bin/env python3
"""Writes Tests/Golden/compressor/*.safetensors: small problems and how well each method solves them.

The methods are those of decompose.py, a float64 implementation of W = Q + L R that shares nothing with
the compressor. It is no part of the project; its folder is the argument:

    python3 Scripts/golden/scenes.py [../shared/reference]

Each file holds W (192, 256) and H (256, 256), rounded to F32 before anything is computed from them, and
under `errors` of its metadata the relative errors sqrt(tr(E H E^T) / tr(W H W^T)) against this H: by the
name of the method the mean over rotations, their number, whose seeds count from 0, and the standard error of
the mean. All methods work with H damped by 0.01 and static scales in groups of 128; "rotated" is on both
sides. Factors have rank 32, and their scales serve 128 entries along the long side. Takes ten minutes
on two cores. Needs NumPy and safetensors.
"""

import hashlib
import json
import multiprocessing
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
REFERENCE = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT.parent / "shared" / "reference")
sys.path.insert(0, str(REFERENCE))

# The reference limits NumPy to one thread, and must do so before NumPy is loaded.
import decompose as ref  # noqa: E402
import numpy as np  # noqa: E402
import safetensors  # noqa: E402
from safetensors.numpy import save_file  # noqa: E402

FOLDER = ROOT / "Tests" / "Golden" / "compressor"
SEED = 0
# Rotations whose errors are averaged, so that the mean is known to half a per cent (a standard error): errors of
# rounding alone have standard deviations of up to 4 % from one rotation to the next, others of 1.5 %.
ROTATIONS, ROUNDING_ROTATIONS = 16, 64
GROUP, RANK, OUTLIERS, ITERATIONS = 128, 32, 8, 5


def rounding(method, bits, sweeps=0):
    if method == "rtn":
        return lambda W, H: (ref.rtn(W, bits, GROUP), None)
    return lambda W, H: (ref.ldlq(W, H, bits, GROUP, static=True, cd_iters=sweeps), None)


def cases(W, H):
    """Pairs of a name and what computes the approximation from a rotation seed, or None for no seed."""
    damped = ref.damp(H)
    for bits in (2, 3):
        for method in ("rtn", "ldlq"):
            plain = rounding(method, bits)
            yield f"{method} {bits}", None, lambda seed, f=plain: f(W, damped)[0]
            yield f"{method} {bits} rotated", 0, lambda seed, f=plain: ref.rotated(f, W, damped, seed)[0]
        polished = rounding("ldlq", bits, 5)
        yield f"ldlq {bits} rotated cd5", 0, lambda seed, f=polished: ref.rotated(f, W, damped, seed)[0]

    def loop(seed, bits, **options):
        return ref.caldera(
            W, H, bits, RANK, iters=ITERATIONS, k=OUTLIERS, group=GROUP, seed=seed, **options)[0]

    for init in ("zero", "lowrank", "odlri"):
        for lr, feedback in ((4, False), (4, True), (16, False)):
            for refine in (0, 3):
                name = f"{init} 2 lr{lr}" + (" feedback" if feedback else "")
                options = dict(init=init, lr_bits=lr, feedback=feedback, refine=refine)
                yield (name + (f" refine{refine}" if refine else ""), 0,
                       lambda seed, o=options: loop(seed, 2, **o))
    for init in ("zero", "odlri"):
        options = dict(init=init, lr_bits=4, feedback=True)
        yield f"{init} 3 lr4 feedback", 0, lambda seed, o=options: loop(seed, 3, **o)
        options = dict(init=init, lr_bits=16, downdate=True)
        yield f"{init} 2 lr16 downdate", 0, lambda seed, o=options: loop(seed, 2, **o)
    yield "columns 2 lr4 feedback refine3", 0, lambda seed: ref.caldera_columns(
        W, H, 2, RANK - OUTLIERS, OUTLIERS, lr_bits=4, iters=ITERATIONS, group=GROUP, seed=seed,
        feedback=True, refine=3)[0]

    def factors(seed, feedback):
        Wr, Hr, rotation = ref.rotate(W, damped, np.random.default_rng(seed))
        L, R = ref.lplr(Wr, Hr, RANK, 4, GROUP, feedback=feedback)
        return ref.unrotate(L @ R, rotation)

    for feedback in (False, True):
        name = "factors lr4 rotated" + (" feedback" if feedback else "")
        yield name, 0, lambda seed, f=feedback: factors(seed, f)
    yield "lowrank exact", None, lambda seed: np.matmul(*ref.whitened_lowrank(W, damped, RANK))


def digest(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def make(scene):
    W, _, H, outliers = ref.synthetic(m=192, n=256, d=2048, seed=SEED, **ref.SCEN[scene])
    tensors = {"W": W.astype(np.float32), "H": H.astype(np.float32)}
    W, H = (tensors[name].astype(np.float64) for name in ("W", "H"))
    errors = {}
    for name, rotation, solve in cases(W, H):
        count = ROUNDING_ROTATIONS if name.startswith(("rtn", "ldlq")) else ROTATIONS
        seeds = range(count) if rotation is not None else (None,)
        values = [ref.act_error(W, solve(seed), H) for seed in seeds]
        deviation = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
        errors[name] = {
            "mean": float(np.mean(values)), "standard_error": deviation / len(values) ** 0.5,
            "rotations": len(values)}
        print(scene, f"{name:34s}", *errors[name].values(), flush=True)
    source = (
        f"golden/scenes.py sha256 {digest(__file__)}, decompose.py sha256 {digest(ref.__file__)}, "
        f"numpy {np.__version__}, safetensors {safetensors.__version__}, seed {SEED}")
    # One entry, because the library writes several in an order that changes from run to run.
    document = {"source": source, "outliers": outliers.tolist(), "errors": errors}
    save_file(tensors, FOLDER / f"{scene}.safetensors", {"scene": json.dumps(document)})


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    with multiprocessing.Pool() as pool:
        pool.map(make, ("S1", "S3", "S4"), chunksize=1)


if __name__ == "__main__":
    main()
