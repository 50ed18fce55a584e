"""The rows of Scripts/study --model: every method at about 2.1, 2.6 and 3.5 bits per weight.

A row is (key, family, label, published, settings). `published` has the options that come nearest to the method of its
authors. `settings` has the options that are tried on the calibration text; the best of them is the method's best
setting. Every setting with rounds of Q and L R has the same: 3 outer rounds, none of refinement, which brings next to
nothing in a trellis code (docs/study-smollm2.md). Q alone in integers or on the lattice is refined in 3 rounds.
"""

# The matrices are fitted to their own weights, behind compressed layers.
_ALONE = "--propagate compressed"
# They are fitted to what the original model computes at their places.
_CORRECTED = "--propagate corrected"
_ROUNDS = "--outer-iterations 3 --refinement-rounds 0"
# The papers' rounds, and factors rounded to nearest. The authors of CALDERA and ODLRI do not refine.
_PAPER = f"--outer-iterations 15 --inner-iterations 10 --lr-rounding nearest --refinement-rounds 0 {_ALONE}"
# Grids as GPTQ and AWQ were published: not rotated, with a zero.
_PLAIN = "--grid asymmetric --incoherence none"


def _both(options):
    """Settings with matrices fitted to their own weights, and to the original's outputs."""
    return [f"{options} {_ALONE}", f"{options} {_CORRECTED}"]


def _without_low_rank(published, rotated, trellis):
    """RTN, GPTQ and AWQ: `published` and `rotated` are options of Q in integers, `trellis` is a trellis code.

    GPTQ in a trellis code, which is the default of compress, has no rounds of refinement."""
    return [
        ("rtn", "rtn", "RTN", f"--method rtn {published} {_PLAIN} --scale-fit range {_ALONE}",
         [f"--method rtn {published} {_PLAIN} {_ALONE}"] + _both(f"--method rtn {rotated}")),
        ("gptq", "gptq", "GPTQ, integers",
         f"--method gptq {published} {_PLAIN} --scale-fit range --act-order {_ALONE}",
         [f"--method gptq {published} {_PLAIN} --act-order {_ALONE}"]
         + _both(f"--method gptq {rotated} --refinement-rounds 3")),
        ("gptq-trellis", "gptq", "GPTQ in a trellis code", None, _both(f"--method gptq --format {trellis}")),
        ("awq", "awq", "AWQ", f"--method awq {published}",
         [f"--method awq {published}", f"--method awq {rotated} --grid symmetric"]),
    ]


def _with_low_rank(bits, fine, lattice, integers, default):
    """The methods with L R: `fine` has the options of Q and of the rank for settings. For what the authors published,
    `lattice` has them for CALDERA and ODLRI, and `integers` has those of Q for the others. `default` is the format that
    the default of compress has at these bits."""
    target = f"--target-bits {bits}"
    caldera, odlri = f"--method caldera {fine}", f"--method odlri {fine}"
    published_caldera, published_odlri = f"--method caldera {lattice}", f"--method odlri {lattice}"
    program = "--update-order low-rank-first --hessian-downdate"
    return [
        ("lqer", "lqer", "LQER", f"--method lqer {integers} {_PLAIN} --lr-format int8 {target} {_ALONE}",
         [f"--method lqer {integers} --grid symmetric {target} {_ALONE}"] + _both(f"--method lqer {fine}")),
        ("qera", "qera", "QERA", f"--method qera {integers} --incoherence none --lr-format f16 {target} {_ALONE}",
         _both(f"--method qera {fine}")),
        ("srr", "srr", "SRR", f"--method srr {integers} --incoherence none --lr-format f16 {target} {_ALONE}",
         _both(f"--method srr {fine}")),
        ("lordq", "lordq", "LoRDQ", f"--method lordq {target} {_ALONE}", _both(f"--method lordq {target}")),
        ("zero", "zero", "CALDERA, the paper's order", f"{published_caldera} --initialization zero {_PAPER}",
         _both(f"{caldera} --initialization zero {_ROUNDS}")),
        ("released", "low-rank", "CALDERA, its program's order", f"{published_caldera} {program} {_PAPER}",
         _both(f"{caldera} {program} {_ROUNDS}")),
        ("odlri", "odlri", "ODLRI", f"{published_odlri} {_PAPER}",
         [f"{odlri} --outlier-channels 2 {_ROUNDS} {_ALONE}"]
         + [f"{odlri} --outlier-channels {k} {_ROUNDS} {_CORRECTED}" for k in (2, 4, 9, 16)]),
        ("default", "best", "the default of compress", None, [f"--format {default}"]),
    ]


_LATTICE_ALONE = [(
    "gptq-e8p", "gptq", "GPTQ on the E8 lattice", f"--method gptq --format e8p {_ALONE}",
    _both("--method gptq --format e8p --refinement-rounds 3"))]

# The bits at which settings are tried. A row of the same method at other bits takes the setting at the same place.
CHOICE_BITS = "2.6"

# (bits, rows). One rank for all matrices, where such a rank has these bits; ranks are stored in steps of 16, so that 2.1
# bits need ranks by matrix.
GROUPS = [
    ("2.1", _without_low_rank("--format int2 --group-size row", "--format int2 --group-size row", "trellis2")
     + _LATTICE_ALONE
     + _with_low_rank(
         2.1, "--format trellis2 --target-bits 2.1", "--format e8p --target-bits 2.1", "--format int2 --group-size row",
         "trellis2")),
    ("2.6", _without_low_rank("--format int2 --group-size 64", "--format int2 --group-size 32", "trellis2.5")
     + _with_low_rank(
         2.6, "--format trellis2 --rank 36", "--format e8p --rank 36", "--format int2 --group-size row", "trellis2.5")),
    ("3.5", _without_low_rank("--format int3 --group-size 64", "--format int3 --group-size 32", "trellis3")
     + _with_low_rank(
         3.5, "--format trellis3 --rank 32", "--format int3 --group-size row --rank 32",
         "--format int3 --group-size row", "trellis3")),
]
