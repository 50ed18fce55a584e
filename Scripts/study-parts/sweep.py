"""The page of Scripts/study --sweep: a table and a plot for each choice that the paper leaves open."""

import os

from page import BY_HAND, hand_written
from plots import plot_lines
from sets import SWEEP_TITLES
from tables import bits_of, introduction, paragraph, with_error


def mean(result, key):
    """The mean of a figure over the matrices."""
    values = [matrix[key] for matrix in result["matrices"]]
    return sum(values) / len(values)


def rows_of(cells):
    """The rows of a table, one for each value of the choice."""
    for cell, result in cells:
        measured = result["perplexity"]
        comparison = measured["comparison"]
        original = comparison["reference_perplexity"]
        change = comparison["perplexity_change_stderr"] or 0
        yield (
            f"| {cell.label} | {with_error(measured['perplexity'] / original, change / original, 4)} "
            f"| {mean(result, 'relative_error'):.4f} | {mean(result, 'mean_scale'):.4f} "
            f"| {mean(result, 'quantized_role'):.2f}, {mean(result, 'low_rank_role'):.2f} "
            f"| {bits_of(result):.3f} | {result['seconds']:.0f} |")


def write_sweep(study, cells, docs, page, left_out):
    """Writes the page and its plots from the cells that are there; keeps the part written by hand."""
    rows = [(cell, study.result(cell)) for cell in cells]
    missing = [cell.name for cell, result in rows if result is None]
    rows = [(cell, result) for cell, result in rows if result is not None]
    if not rows:
        print("study: no cell is there yet, so there is no page to write")
        return
    path = docs / f"{page.name}.md"
    kept = hand_written(path)
    lines = [
        f"# {page.title}", "",
        "<!-- Written by Scripts/study --sweep, which replaces everything but the part marked as written by hand. -->",
        "", *introduction([result for _, result in rows]), "",
        paragraph(
            "One choice changes at a time. Ratio is the perplexity over that of the original with the paired standard "
            "error; error, scale of Q and roles, ||QX||/||WX|| and ||LRX||/||WX||, are means over the matrices."), "",
    ]
    if missing:
        lines += [paragraph(f"Not measured yet: {', '.join(missing)}."), ""]
    for model in left_out:
        lines += [f"Left out, because it was not there: {model.name}.", ""]
    lines += [BY_HAND[0], ""]
    for group, (title, heading) in SWEEP_TITLES.items():
        own = [(cell, result) for cell, result in rows if cell.bits == group]
        if not own:
            continue
        lines += [f"## {title}", ""]
        series = []
        for model in dict.fromkeys(cell.model for cell, _ in own):
            of_model = [(cell, result) for cell, result in own if cell.model == model]
            lines += [
                f"**{model.name}**", "",
                f"| {heading} | ratio | error | scale of Q | roles of Q, LR | bits per weight | seconds |",
                "|---|---:|---:|---:|---:|---:|---:|", *rows_of(of_model), ""]
            series.append((
                model.name,
                [(cell.label, result["perplexity"]["perplexity"]
                  / result["perplexity"]["comparison"]["reference_perplexity"]) for cell, result in of_model]))
        name = f"{page.name}-{group.replace(', ', '-').replace(' ', '-')}.svg"
        plot_lines(docs / name, title, series, heading, "ratio of perplexities")
        lines += [f"![{title}]({name})", ""]
    lines += ["## Options", "", "| cell | options of `compress` |", "|---|---|"]
    lines += [f"| {cell.name} | `{' '.join(cell.options)}` |" for cell, _ in rows]
    partial = path.with_suffix(".partial")
    partial.write_text(("\n".join(lines).rstrip() + "\n").replace(BY_HAND[0], kept), encoding="utf-8")
    os.replace(partial, path)
    print(f"{path}: {len(rows)} of {len(cells)} cells")
