"""The configurations of Scripts/study --methods (all methods) and --sweep (the choices of ODLRI).

Each is (group, name, family, label, options of `compress`), as in Scripts/study.
"""

# --- Every method at equal bits per weight --------------------------------------------------------------

# Matrices are fitted to their own weights, and the inputs of later layers come from compressed layers. Only AWQ takes
# them from the original model.
_ALONE = "--propagate compressed"
# Methods with L R have the ranks that give the wanted bits; packed factors are rounded with feedback.
_E8P = f"--format e8p {_ALONE}"
_INT3 = f"--format int3 --group-size row {_ALONE}"


def _low_rank(bits, quantized):
    """The methods with L R, with ranks for `bits` bits per weight over all matrices."""
    target = f"--target-bits {bits}"
    plain = "--format int3 --group-size row" if "int3" in quantized else "--format int2 --group-size row"
    return [
        ("lqer", "lqer", "LQER, not rotated", f"--method lqer {plain} --grid symmetric {_ALONE} {target}"),
        ("qera", "qera", "QERA", f"--method qera {quantized} {target}"),
        ("srr", "srr", "SRR", f"--method srr {quantized} {target}"),
        ("zero", "zero", "CALDERA, from zero", f"--method caldera --initialization zero {quantized} {target}"),
        ("low-rank", "low-rank", "CALDERA, low-rank first",
         f"--method caldera --initialization low-rank {quantized} {target}"),
        ("released", "low-rank", "CALDERA, as its program does",
         f"--method caldera --update-order low-rank-first --hessian-downdate {quantized} {target}"),
        ("odlri", "odlri", "ODLRI", f"--method odlri {quantized} {target}"),
        ("lordq", "lordq", "LoRDQ", f"--method lordq {_ALONE} {target}"),
    ]


def _rounded(format, group, lattice=None):
    """The methods without L R, with a group size; `lattice` replaces it for GPTQ."""
    grid = f"--format {format} --group-size {group}"
    published = f"--format {format} --group-size {group} --grid asymmetric --incoherence none"
    return [
        ("rtn", "rtn", "RTN", f"--method rtn {grid} {_ALONE}"),
        ("rtn-a", "rtn", "RTN, asymmetric, not rotated", f"--method rtn {published} {_ALONE}"),
        ("awq", "awq", "AWQ", f"--method awq {published}"),
        ("gptq-p", "gptq", "GPTQ as published, ordered",
         f"--method gptq {published} --scale-fit range --act-order {_ALONE}"),
        ("gptq", "gptq", "GPTQ/LDLQ, rotated" + (", E8 lattice" if lattice else ""),
         f"--method gptq {lattice or grid} {_ALONE}"),
    ]


METHODS = [
    (group, *line)
    for group, lines in [
        ("2.25", _rounded("int2", 128, "--format e8p") + _low_rank(2.25, _E8P)),
        ("2.5", _rounded("int2", 64) + _low_rank(2.5, _E8P)),
        ("3.25", _rounded("int3", 128) + _low_rank(3.25, _E8P)),
        ("4.25", _rounded("int4", 128) + _low_rank(4.25, _INT3)),
    ]
    for line in lines
]

# --- The choices that the paper leaves open -----------------------------------------------------------------

_BASE = f"--format e8p --rank 16 {_ALONE}"
_LOOP = "--outer-iterations 5 --refinement-rounds 0"
_ODLRI = f"--method odlri --outlier-channels 4 {_BASE}"
_ZERO = f"--method caldera --initialization zero {_BASE}"

SWEEP = (
    [("channels", "k0", "zero", "0", f"{_ZERO} {_LOOP} --lr-format f16")]
    + [("channels", f"k{k}", "odlri", f"{k}", f"--method odlri --outlier-channels {k} {_BASE} {_LOOP} --lr-format f16")
       for k in (2, 4, 8, 16)]
    + [("channels, int4", "i0", "zero", "0", f"{_ZERO} {_LOOP}")]
    + [("channels, int4", f"i{k}", "odlri", f"{k}", f"--method odlri --outlier-channels {k} {_BASE} {_LOOP}")
       for k in (2, 4, 8, 16)]
    + [("rank", f"r{r}", "odlri", f"{r}", f"--method odlri --format e8p --rank {r} {_ALONE} {_LOOP}")
       for r in (8, 16, 32, 64)]
    + [("factors", f"f-{f}", "odlri", f, f"{_ODLRI} {_LOOP} --lr-format {f}") for f in ("int4", "int8", "f16")]
    + [("rotation", f"rot-{sides}", "odlri", sides,
        f"--method odlri --outlier-channels 4 --format int2 --group-size 128 --rank 16 {_ALONE} {_LOOP} "
        f"--incoherence {sides}") for sides in ("both", "input", "none")]
    + [("outer iterations", f"o{n}", "odlri", f"{n}", f"{_ODLRI} --outer-iterations {n} --refinement-rounds 0")
       for n in (1, 2, 5, 15)]
    + [("start alone", f"s-{name}", name, label, f"{options} --outer-iterations 1 --refinement-rounds 0")
       for name, label, options in [
           ("zero", "zero", _ZERO), ("low-rank", "low-rank", f"--method caldera --initialization low-rank {_BASE}"),
           ("srr", "srr", f"--method caldera --initialization srr {_BASE}"), ("odlri", "odlri", _ODLRI)]]
)

# For each choice the heading of its section, and of the first column of its table.
SWEEP_TITLES = {
    "channels": ("Outlier channels, factors in F16", "channels"),
    "channels, int4": ("Outlier channels, factors in INT4", "channels"),
    "rank": ("Rank, a sixteenth of it outlier channels", "rank"),
    "factors": ("Format of the factors", "format"),
    "rotation": ("Rotated sides, Q in INT2 with groups of 128", "sides"),
    "outer iterations": ("Outer iterations", "iterations"),
    "start alone": ("The start alone: one round of Q and of L R", "start"),
}

# Both use fewer calibration samples than the page of Scripts/study, because they have many more cells.
COMMON = ["--samples=32", "--context=512"]
