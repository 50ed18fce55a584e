"""The pages of Scripts/study: tables, sentences and plots."""

import dataclasses
import os

from plots import plot_errors, plot_perplexity
from tables import (
    bits_of, comparison_table, group_table, introduction, paragraph, where_odlri_does_not_win)

BY_HAND = ("<!-- by hand, kept by Scripts/study: begin -->", "<!-- by hand: end -->")


@dataclasses.dataclass(frozen=True)
class Page:
    """A page: the name of its file and of its plots, its title, and whether ODLRI is its subject."""

    name: str
    title: str
    compares_odlri: bool


def hand_written(path):
    """The part of an earlier page that was written by hand, with its markers."""
    if not path.exists():
        return f"{BY_HAND[0]}\n{BY_HAND[1]}"
    text = path.read_text(encoding="utf-8")
    begin, end = text.find(BY_HAND[0]), text.find(BY_HAND[1])
    if begin < 0 or end < begin:
        raise SystemExit(
            f"study: {path} lacks the lines \"{BY_HAND[0]}\" and \"{BY_HAND[1]}\", between which the part "
            "written by hand stands; put them back or move the file away")
    return text[begin : end + len(BY_HAND[1])]


def name_of_plot(page, kind, model, bits=None):
    return f"{page.name}-{kind}-{model.name}{f'-{bits}bit' if bits else ''}.svg"


def write_plots(page, docs, rows, model):
    """The plots of a model, and the lines that show them."""
    original = rows[0][1]["perplexity"]["comparison"]["reference_perplexity"]
    name = name_of_plot(page, "perplexity", model)
    groups = {}
    for cell, result in rows:
        measured = result["perplexity"]
        groups.setdefault(f"{cell.bits} bits", []).append((
            cell.family, cell.label, bits_of(result), measured["perplexity"],
            measured["comparison"]["perplexity_change_stderr"] or 0))
    title = f"{model.name}: perplexity against size"
    plot_perplexity(docs / name, title, groups, original, "perplexity (logarithmic)")
    lines = [
        f"![Perplexity of {model.name} against bits per weight, by method]({name})", "",
        "Bars are the standard errors of the paired change from the original.", "",
    ]
    for bits in sorted({cell.bits for cell, _ in rows}):
        shown = {}
        for cell, result in rows:
            if cell.bits == bits:
                shown.setdefault(cell.family, (cell, result))
        series = []
        for cell, result in shown.values():
            errors = {}
            for matrix in result["matrices"]:
                words = matrix["name"].split(".")
                errors[words[-1], int(words[2])] = matrix["relative_error"]
            series.append((cell.family, cell.label, errors))
        name = name_of_plot(page, "errors", model, bits)
        plot_errors(docs / name, f"{model.name} at {bits} bits: error of every matrix", series, "relative error")
        lines += [f"![Relative error of every matrix of {model.name} at {bits} bits, by method]({name})", ""]
    return lines


def write_page(study, cells, docs, page, left_out):
    """Writes a page and its plots from the cells that are there; keeps the part written by hand."""
    results = [(cell, study.result(cell)) for cell in cells]
    missing = [cell for cell, result in results if result is None]
    rows = [(cell, result) for cell, result in results if result is not None]
    path = docs / f"{page.name}.md"
    kept = hand_written(path)
    if not rows:
        print("study: no cell is there yet, so there is no page to write")
        return
    docs.mkdir(parents=True, exist_ok=True)
    by_name = {cell.name: (cell, result) for cell, result in rows}
    pairs = []
    for cell, result in rows:
        for key in cell.against:
            other = by_name.get(f"{cell.model.name}-{cell.bits}-{key}")
            comparison = other and study.pair(cell, other[0])
            if comparison:
                pairs.append((cell, result, *other, comparison))

    lines = [
        f"# {page.title}", "",
        "<!-- Written by Scripts/study, which replaces everything but the part marked as written by hand. -->", "",
        *introduction([result for _, result in rows]), "",
    ]
    if missing:
        names = ", ".join(cell.name for cell in missing[:6]) + (", …" if len(missing) > 6 else "")
        lines += [paragraph(f"Not measured yet, {len(missing)} of {len(cells)} cells: {names}."), ""]
    for model in left_out:
        lines += [f"Left out, because it was not there: {model.name}.", ""]
    # The marker stands for the part written by hand, so that the code below does not change its empty lines.
    lines += [BY_HAND[0], ""]
    if page.compares_odlri:
        lines += ["## Where ODLRI does not win", "", *where_odlri_does_not_win(pairs), ""]
    for model in dict.fromkeys(cell.model for cell, _ in rows):
        own = [(cell, result) for cell, result in rows if cell.model == model]
        lines += [f"## {model.name}", ""]
        for bits in sorted({cell.bits for cell, _ in own}):
            group = [(cell, result) for cell, result in own if cell.bits == bits]
            lines += [f"### {bits} bits", "", *group_table(group, study.original_bits(model)), ""]
        lines += write_plots(page, docs, own, model)
    if pairs:
        lines += ["## Comparisons, token by token", "", *comparison_table(pairs), ""]
    lines += ["## Options", "", "| cell | options of `compress` |", "|---|---|"]
    lines += [f"| {cell.name} | `{' '.join(cell.options)}` |" for cell, _ in rows]
    text = "\n".join(lines).rstrip() + "\n"
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    partial = path.with_suffix(".partial")
    partial.write_text(text.replace(BY_HAND[0], kept), encoding="utf-8")
    os.replace(partial, path)
    print(f"{path}: {len(rows)} of {len(cells)} cells, {len(pairs)} comparisons")
