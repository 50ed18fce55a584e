"""The tables and sentences of the page that Scripts/study writes."""

import statistics
import textwrap

# Bits per weight that differ by less than this share count as equal.
EQUAL_BITS = 0.02
# A difference of at most this number of standard errors counts as none.
SIGNIFICANT = 2


def paragraph(text):
    """A paragraph, broken into lines of at most 118 characters."""
    return textwrap.fill(text, 118, break_long_words=False, break_on_hyphens=False)


def with_error(value, error, digits):
    return f"{value:.{digits}f} ± " + (f"{error:.{digits}f}" if error is not None else "unknown")


def pair_of(members, name, digits, scale=1):
    error = members[f"{name}_stderr"]
    return with_error(scale * members[name], None if error is None else scale * error, digits)


def bits_of(result):
    return result["totals"]["linear_bits_per_weight"]


def has_equal_bits(one, other):
    return abs(bits_of(one) - bits_of(other)) <= EQUAL_BITS * bits_of(other)


# --- Tables -------------------------------------------------------------------------------------------


def group_table(rows, original_bits):
    """The table of one model at one number of bits; rows: (cell, result)."""
    reference = rows[0][1]["perplexity"]["comparison"]
    lines = [
        "| method | perplexity | ratio to the original | KL, nats per token | same top token, % "
        "| bits per weight | mean relative error | seconds |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
        f"| original | {pair_of(reference, 'reference_perplexity', 4)} | 1 | 0 | 100 "
        f"| {original_bits} | 0 | |",
    ]
    least = min(result["perplexity"]["perplexity"] for _, result in rows)
    for cell, result in rows:
        measured = result["perplexity"]
        comparison = measured["comparison"]
        perplexity = pair_of(measured, "perplexity", 4)
        if measured["perplexity"] == least:
            perplexity = f"**{perplexity}**"
        cells = [
            cell.label, perplexity, pair_of(comparison, "perplexity_ratio", 4),
            pair_of(comparison, "kl_divergence", 4), pair_of(comparison, "same_top", 2, scale=100),
            f"{bits_of(result):.3f}", f"{result['totals']['mean_relative_error']:.4f}",
            f"{result['seconds']:.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    usual = statistics.median(bits_of(result) for _, result in rows)
    others = [
        f"{cell.label} ({bits_of(result):.2f})" for cell, result in rows
        if abs(bits_of(result) - usual) > EQUAL_BITS * usual
    ]
    if others:
        lines += ["", f"Not at the {usual:.2f} bits of the others: {', '.join(others)}."]
    return lines


def verdict(comparison):
    """"better", "worse" or "same", by the paired standard error."""
    change, error = comparison["log_ratio"], comparison["log_ratio_stderr"]
    if error is None or abs(change) <= SIGNIFICANT * error:
        return "same"
    return "better" if change < 0 else "worse"


def comparison_table(pairs):
    """Every comparison; pairs: (cell, result, other, other's result, comparison)."""
    words = {"better": "better", "worse": "worse", "same": "not told apart"}
    lines = [
        "| model | bits | method | against | ratio of perplexities | paired difference in nats | result |",
        "|---|---|---|---|---:|---:|---|",
    ]
    for cell, result, other, other_result, comparison in pairs:
        bits = f"{bits_of(result):.2f}"
        if not has_equal_bits(result, other_result):
            bits += f" against {bits_of(other_result):.2f}"
        lines.append(
            f"| {cell.model.name} | {bits} | {cell.label} | {other.label} "
            f"| {pair_of(comparison, 'perplexity_ratio', 4)} | {pair_of(comparison, 'log_ratio', 4)} "
            f"| {words[verdict(comparison)]} |")
    return lines


# --- Sentences ----------------------------------------------------------------------------------------


def where_odlri_does_not_win(pairs):
    """The comparisons of ODLRI with other methods that it does not win, and a count of the rest."""
    fair = [
        pair for pair in pairs
        if pair[0].family == "odlri" and pair[2].family != "odlri" and has_equal_bits(pair[1], pair[3])
    ]
    if not fair:
        return ["ODLRI has not been compared with another method yet."]
    losses = [pair for pair in fair if verdict(pair[4]) == "worse"]
    ties = [pair for pair in fair if verdict(pair[4]) == "same"]
    wins = len(fair) - len(losses) - len(ties)
    lines = [
        paragraph(
            f"Of {len(fair)} comparisons with another method at equal bits per weight (within "
            f"{100 * EQUAL_BITS:.0f} %), ODLRI wins {wins}, loses {len(losses)}, and in {len(ties)} the "
            f"difference is within {SIGNIFICANT} standard errors of the paired difference."), "",
    ]
    for heading, some in [("It loses:", losses), ("It is not told apart:", ties)]:
        if not some:
            continue
        lines += [heading, ""]
        for cell, result, other, _, comparison in some:
            percent = 100 * (comparison["perplexity_ratio"] - 1)
            error = comparison["perplexity_ratio_stderr"]
            error = "unknown" if error is None else f"{100 * error:.2f}"
            lines.append(
                f"- {cell.model.name} at {bits_of(result):.2f} bits: the perplexity of \"{cell.label}\" is "
                f"{abs(percent):.2f} ± {error} % {'higher' if percent >= 0 else 'lower'} than that of "
                f"\"{other.label}\".")
        lines.append("")
    if len(fair) >= 10:
        lines.append(
            "Among twenty comparisons of equal methods one is expected beyond two standard errors by chance.")
    return lines


def introduction(results):
    """What was measured, on what, with which programs."""
    first = results[0]["perplexity"]
    machines = sorted({
        f"{r['machine']['threads']} threads, kernels {r['machine']['kernel_set']}, OpenBLAS core "
        f"{r['machine']['blas_core']}" for r in results})
    dates = sorted({r["date"] for r in results})
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    builds = {r["compress_sha256"] for r in results}
    plans = {(r["plan"]["sample_count"], r["plan"]["context_length"]) for r in results}
    samples = " or ".join(f"{count} samples of {length} tokens" for count, length in sorted(plans))
    build = "one build of `compress`" if len(builds) == 1 else (
        f"**{len(builds)} different builds of `compress`**, so that rows may not be comparable "
        "(`Scripts/study --force` makes all of them anew)")
    return [
        paragraph(
            f"Measured {when} with {build}; {'; '.join(machines)}. Calibration: {samples} of "
            "`models/stories/calibration.txt`."), "",
        paragraph(
            f"Perplexity is that of `{first['file'].split('/')[-1]}` (SHA-256 {first['sha256'][:12]}…), protocol "
            f"`{first['protocol']}`: {first['windows']} windows of {first['context']} tokens, "
            f"{first['scored_tokens']} tokens scored. Numbers after ± are standard errors over windows. The "
            "error of a perplexity comes mostly from the text, which all methods share. The errors of ratios and "
            "differences are paired, from the differences of the same tokens; compare methods by these."), "",
        paragraph(
            "Bits per weight count all that is stored for the compressed linear layers: codes, scales, factors, "
            "rotations, padding. Embedding and output head are not counted; the head has eight bits in every "
            "row. The relative error of a matrix is sqrt(tr(E H E^T) / tr(W H W^T)), with H from the inputs "
            "that the compressed layers before it give. Seconds are those of the compression, on a machine "
            "that may have had other work."),
    ]
