"""Scripts/study --model: the options, and the order of the work."""

import dataclasses
import fnmatch
import pathlib
import sys

from cells import CellFailed, Model
from checkpoint_cells import CheckpointStudy, Row, Scale, Texts
from checkpoint_page import write_checkpoint_page
from checkpoint_sets import CHOICE_BITS, GROUPS
from page import hand_written


def add_options(parser):
    """The options that belong to --model."""
    group = parser.add_argument_group(
        "a checkpoint of your own (--model)",
        "Each method is tried with several settings on a part of the calibration text, then its best and its published "
        "setting are measured on other text. Results are lines of docs/study-NAME.jsonl; a line that is there is not "
        "measured again.")
    group.add_argument("--model", metavar="DIR", help="the checkpoint")
    group.add_argument("--name", metavar="NAME", help="its name on the page; default: the folder's")
    group.add_argument("--calibration", metavar="FILE", action="append", default=[], type=pathlib.Path,
                       help="a text to calibrate with; its last tenth is for choosing settings; may be repeated")
    group.add_argument("--text", metavar="FILE", action="append", default=[], type=pathlib.Path,
                       help="a text to measure; may be repeated")
    group.add_argument("--divide", metavar="FILE", action="append", default=[], type=pathlib.Path,
                       help="a text of which two thirds are used as by --calibration and one as by --text")
    group.add_argument("--tasks", metavar="DIR", type=pathlib.Path,
                       help="data of the five zero-shot tasks; without it they are left out")
    group.add_argument("--trials", action="store_true", help="run the trials only")
    for option, default, text in [
            ("--samples", 128, "calibration samples"), ("--context", 2048, "tokens of a sample and of a window"),
            ("--windows", 48, "windows of a text that are measured, 0 for all"),
            ("--documents", 500, "documents of a task")]:
        group.add_argument(option, metavar="N", type=int, default=default, help=f"{text}; default: {default}")


def rows_of_groups():
    """All rows. Settings are tried at `CHOICE_BITS`; a row at other bits follows the row of its method there."""
    rows = [
        Row(bits, key, family, label, published, tuple(settings))
        for bits, group in GROUPS for key, family, label, published, settings in group]
    choosers = {row.key: row for row in rows if row.bits == CHOICE_BITS}
    return [
        row if row.bits == CHOICE_BITS or row.key not in choosers
        else dataclasses.replace(row, choice=choosers[row.key])
        for row in rows]


def study_checkpoint(parser, arguments, root, programs):
    """Runs what is missing and writes the page."""
    model = Model(arguments.name or pathlib.Path(arguments.model).resolve().name, pathlib.Path(arguments.model))
    if not model.is_there:
        parser.error(f"--model {model.folder}: there is no config.json")
    if not arguments.text and not arguments.divide:
        parser.error("--model needs a --text to measure, or a text to --divide")
    if not arguments.calibration and not arguments.divide:
        parser.error("--model needs a --calibration text, or a text to --divide")
    for path in [*arguments.calibration, *arguments.text, *arguments.divide]:
        if not path.is_file():
            parser.error(f"{path} is not there")
    work, docs = pathlib.Path(arguments.work), pathlib.Path(arguments.docs)
    texts = Texts(work / "texts" / model.name, arguments.calibration, arguments.text, arguments.divide)
    scale = Scale(
        arguments.samples, arguments.context, arguments.windows, arguments.documents)
    page = docs / f"study-{model.name}.md"
    # Refuses, before hours of work, a page whose part written by hand it could not keep.
    hand_written(page)
    study = CheckpointStudy(
        work, programs, model, texts, arguments.tasks, scale, page.with_suffix(".jsonl"), arguments.threads)
    rows = rows_of_groups()
    patterns = arguments.only or ["*"]
    chosen = [row for row in rows if any(fnmatch.fnmatchcase(row.name, pattern) for pattern in patterns)]
    if not chosen:
        sys.exit(f"study: no row is called like {' or '.join(patterns)}; --list shows all")
    if arguments.list:
        width = max(len(row.name) for row in chosen)
        for row in chosen:
            print(f"{row.name:{width}}  {row.label}: {study.state(row)}")
        return
    docs.mkdir(parents=True, exist_ok=True)
    failed = []
    if not arguments.page:
        study.run_original(arguments.force)
        for row in chosen:
            try:
                if arguments.trials:
                    study.run_trials(row.choice or row, arguments.force)
                else:
                    study.run_row(row, arguments.force)
            except CellFailed as error:
                failed.append(row.name)
                print(f"study: {row.name}: {error}", file=sys.stderr)
            write_checkpoint_page(study, rows, page, f"Study of {model.name}")
    else:
        write_checkpoint_page(study, rows, page, f"Study of {model.name}")
    if failed:
        sys.exit(f"study: failed: {', '.join(failed)}")
