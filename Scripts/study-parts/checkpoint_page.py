"""The page of Scripts/study --model."""

import math
import os

from checkpoint_cells import TASKS
from checkpoint_sets import CHOICE_BITS
from page import BY_HAND, hand_written
from plots import plot_perplexity
from tables import pair_of, paragraph, with_error

# lm-eval's metric for the mean of a task.
_METRICS = {"piqa": "acc_norm", "arc_easy": "acc_norm", "arc_challenge": "acc_norm", "hellaswag": "acc_norm",
            "winogrande": "acc"}


def right(answers):
    """One digit for every document of all tasks: whether the answer is right by the task's metric."""
    return [int(digit) for task in TASKS if task in answers for digit in answers[task][_METRICS[task]]]


def mean_and_error(values):
    """The mean and its standard error."""
    mean = sum(values) / len(values)
    spread = sum((value - mean) ** 2 for value in values) / max(1, len(values) - 1)
    return mean, math.sqrt(spread / len(values))


def answer_columns(result, original):
    """The mean of the tasks in percent, and the paired difference from the original."""
    if not result.get("answers"):
        return "", ""
    own = right(result["answers"])
    mean, _ = mean_and_error(own)
    if original is None or not original.get("answers"):
        return f"{100 * mean:.2f}", ""
    change, error = mean_and_error([a - b for a, b in zip(own, right(original["answers"]))])
    return f"{100 * mean:.2f}", with_error(100 * change, 100 * error, 2)


def table_line(label, result, original):
    cells = [label, f"{result['bits']:.3f}", f"{result['bytes'] / 2**20:.1f}"]
    for text in result["texts"]:
        cells += [f"{text['perplexity']:.2f}", pair_of(text, "perplexity_ratio", 3), pair_of(text, "kl_divergence", 4),
                  f"{100 * text['same_top']:.1f}"]
    cells += [*answer_columns(result, original), f"{result['seconds']:.0f}",
              f"{result['speed']['tokens_per_second']:.1f}"]
    return f"| {' | '.join(cells)} |"


def group_lines(study, rows, original):
    """The table of one number of bits: each method at its best setting, then as published."""
    found = []
    for row in rows:
        best = study.best(row)
        for label, options in [(f"{row.label}", best), (f"{row.label}, as published", row.published)]:
            result = options and study.find("measured", options)
            if result:
                found.append((row, label, options, result))
    if not found:
        return [], []
    names = [text["file"] for text in found[0][3]["texts"]]
    head = "| method | bits | MiB |" + "".join(f" {name}: perplexity | ratio | KL | same top, % |" for name in names)
    lines = [head + " tasks, % | change | s | tokens/s |", "|---|" + "---:|" * (6 + 4 * len(names))]
    if original:
        cells = ["original", str(study.original_bits(study.model)), f"{original['bytes'] / 2**20:.1f}"]
        for text in found[0][3]["texts"]:
            cells += [f"{text['reference_perplexity']:.2f}", "1", "0", "100"]
        cells += [answer_columns(original, None)[0], "", "", f"{original['speed']['tokens_per_second']:.1f}"]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [table_line(label, result, original) for _, label, _, result in found]
    return lines, found


def trial_lines(study, rows):
    """Every trial: what was tried, and its divergence on the choice text."""
    lines = []
    for row in rows:
        if len(row.settings) == 1 or row.choice is not None:
            continue
        best = study.best(row)
        for options in row.settings:
            trial = study.find("trial", options)
            if trial:
                mark = " **chosen**" if options == best else ""
                lines.append(
                    f"| {row.label} | `{options}`{mark} | {trial['bits']:.3f} | {pair_of(trial, 'kl_divergence', 4)} |")
    return lines


def introduction(study):
    scale, texts = study.scale, study.texts
    machines = sorted({
        f"{d['machine']['threads']} threads, kernels {d['machine']['kernel_set']}"
        for d in study.documents.values() if "machine" in d})
    dates = sorted({document["date"] for document in study.documents.values()})
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    sources = "; ".join(
        f"`{name}` bytes 0 to {middle} to calibrate with, to {end} to choose settings on"
        + ("" if end == total else f", to {total} to measure") for name, middle, end, total in texts.sources)
    return [
        paragraph(
            f"Written by `Scripts/study --model`; measured {when} on {', '.join(machines)}. "
            f"Texts: {sources}."), "",
        paragraph(
            f"Every model is compressed with {scale.samples} samples of {scale.context} tokens. A method's settings are "
            f"tried at {CHOICE_BITS} bits, and the one with the least KL divergence from the original on the choice text "
            "is its best, also at other bits. It and the published setting are measured: "
            f"protocol `paper` with windows of {scale.context} tokens, "
            f"{f'the first {scale.windows}' if scale.windows else 'all'} windows of each text, "
            f"fewer where it is shorter; the first {scale.documents} documents of each of {len(TASKS)} tasks (acc_norm; winogrande acc)."), "",
        paragraph(
            "Numbers after ± are paired standard errors: of the same windows, or the same documents. Bits count all that "
            "is stored for the compressed linear layers, MiB the whole model with its embedding. Seconds are those of "
            "the compression; machines that had other work at the time made them longer."), "",
    ]


def write_checkpoint_page(study, rows, path, title):
    """Writes the page and its plot from the results that are there; keeps the part written by hand."""
    kept = hand_written(path)
    original = study.find("measured", "original")
    groups = {bits: [row for row in rows if row.bits == bits] for bits in dict.fromkeys(row.bits for row in rows)}
    body, plotted, options_of, trials, missing = [], {}, [], [], []
    for bits, own in groups.items():
        lines, found = group_lines(study, own, original)
        missing += [row.name for row in own if not study.find("measured", study.best(row) or "")]
        trials += trial_lines(study, own)
        if not lines:
            continue
        body += [f"## About {bits} bits", "", *lines, ""]
        options_of += [f"| {bits} | {label} | `{options}` |" for _, label, options, _ in found]
        plotted[f"about {bits} bits"] = [
            (row.family, label, result["bits"], result["texts"][0]["perplexity"],
             result["texts"][0]["perplexity_ratio_stderr"] * result["texts"][0]["reference_perplexity"])
            for row, label, _, result in found]
    if not body:
        print("study: nothing is measured yet, so there is no page to write")
        return
    lines = [
        f"# {title}", "",
        "<!-- Written by Scripts/study, which replaces everything but the part marked as written by hand. -->", "",
        *introduction(study)]
    if missing:
        lines += [paragraph(f"Not measured yet: {', '.join(missing)}."), ""]
    lines += [BY_HAND[0], "", *body]
    reference = next(document for document in study.documents.values() if document.get("texts"))["texts"][0]
    name = f"{path.stem}-perplexity.svg"
    plot_perplexity(
        path.parent / name, f"{study.model.name}: perplexity against size", plotted,
        reference["reference_perplexity"], f"perplexity of {reference['file']} (logarithmic)")
    lines += [f"![Perplexity of {study.model.name} against bits per weight, by method]({name})", ""]
    lines += ["## Options", "", "| bits | row | options of `compress` |", "|---|---|---|", *options_of, ""]
    if trials:
        lines += ["## Trials", "", "| method | setting | bits | KL on the choice text |", "|---|---|---:|---:|", *trials]
    partial = path.with_suffix(".partial")
    partial.write_text(("\n".join(lines).rstrip() + "\n").replace(BY_HAND[0], kept), encoding="utf-8")
    os.replace(partial, path)
    print(f"{path}: {len(options_of)} rows, {len(trials)} trials")
