"""The cells of Scripts/study --model: tries settings on calibration text, then measures methods on other text.

A method's *trials* are judged by the KL divergence on the choice text, which is the last tenth of the calibration text and
never calibrated with. The setting with the least is the method's best, also at the other numbers of bits where the method
has as many settings. The best and the published setting are then *measured* on text that took no part in either.

Every result is a line of one JSON Lines file, which is kept with the page: a study that was stopped goes on, also on
another machine.
"""

import dataclasses
import hashlib
import json
import pathlib
import shutil
import sys
import time

from cells import Study, digest, read_json

TASKS = ["piqa", "arc_easy", "arc_challenge", "hellaswag", "winogrande"]


@dataclasses.dataclass(frozen=True)
class Scale:
    """How much a study calibrates with and measures."""

    samples: int
    context: int
    windows: int
    documents: int


@dataclasses.dataclass(frozen=True)
class Row:
    """A method at a number of bits."""

    bits: str
    key: str
    family: str
    label: str
    published: str
    settings: tuple
    # The row whose trials choose the setting: this one, or that of the same method at other bits.
    choice: "Row | None" = None

    @property
    def name(self):
        return f"{self.bits}-{self.key}"


class Texts:
    """The texts of a study: what is calibrated with, what settings are chosen on, what is measured."""

    def __init__(self, folder, calibration, measured, divided):
        """Cuts the files at ends of lines; a `divided` file gives two thirds to calibration and one to measuring."""
        folder.mkdir(parents=True, exist_ok=True)
        self.calibration, self.measured, choice = [], list(measured), []
        self.sources = []
        for path in [*calibration, *divided]:
            text = path.read_bytes()
            end = len(text)
            if path in divided:
                end = text.rfind(b"\n", 0, 2 * len(text) // 3) + 1
                rest = folder / f"{path.stem}-measured.txt"
                rest.write_bytes(text[end:])
                self.measured.append(rest)
            middle = text.rfind(b"\n", 0, end * 9 // 10) + 1
            if not 0 < middle < end:
                raise SystemExit(f"study: {path} has too few lines to be divided; give a longer text")
            part = folder / f"{path.stem}-calibration.txt"
            part.write_bytes(text[:middle])
            self.calibration.append(part)
            choice.append(text[middle:end])
            self.sources.append((path.name, middle, end, len(text)))
        names = [part.name for part in self.calibration + self.measured]
        if len(set(names)) < len(names):
            raise SystemExit("study: two texts have the same name; rename one of them")
        self.choice = folder / "choice.txt"
        self.choice.write_bytes(b"".join(choice))


class CheckpointStudy(Study):
    """A study of one checkpoint. The work folder has models and texts; results are in one file."""

    def __init__(self, work, programs, model, texts, tasks, scale, results, threads=None):
        super().__init__(work, programs, [], None, scale.context, threads)
        self.model = model
        self.texts = texts
        self.tasks = tasks
        self.scale = scale
        self.path = results
        self.documents = {}
        if results.is_file():
            for line in results.read_text(encoding="utf-8").splitlines():
                document = json.loads(line)
                self.documents[document["cell"]] = document

    # --- What is there --------------------------------------------------------------------------------

    def sha256(self, path):
        if path not in self.digests:
            self.digests[path] = digest(path)[:16]
        return self.digests[path]

    def weights(self):
        """The digest of the weights."""
        single = self.model.folder / "model.safetensors"
        if single.is_file():
            return self.sha256(single)
        digests = [self.sha256(path) for path in sorted(self.model.folder.glob("*.safetensors"))]
        return hashlib.sha256(" ".join(digests).encode()).hexdigest()[:16]

    def inputs(self, kind):
        """Everything that a result of this kind depends on, except options and programs."""
        scale = self.scale
        inputs = {
            "model": self.weights(),
            "calibration": [self.sha256(path) for path in self.texts.calibration],
        }
        inputs["samples"] = [scale.samples, scale.context]
        if kind == "trial":
            return inputs | {"texts": [self.sha256(self.texts.choice)]}
        return inputs | {
            "windows": scale.windows, "documents": scale.documents,
            "texts": [self.sha256(path) for path in self.texts.measured]}

    def find(self, kind, options):
        """The result of a cell, or None when there is none with its present definition."""
        document = self.documents.get(f"{kind} {options}".strip())
        if document is None or document["inputs"] != self.inputs(kind):
            return None
        return document

    def store(self, kind, options, result):
        document = {
            "cell": f"{kind} {options}".strip(), "inputs": self.inputs(kind),
            "date": time.strftime("%Y-%m-%d"), **result}
        self.documents[document["cell"]] = document
        lines = [json.dumps(self.documents[name], sort_keys=True) for name in sorted(self.documents)]
        partial = self.path.with_suffix(".partial")
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
        partial.replace(self.path)

    def best(self, row):
        """The setting of a row with the least divergence on the choice text; None while a trial is missing."""
        if len(row.settings) == 1:
            return row.settings[0]
        if row.choice is not None:
            chosen = self.best(row.choice)
            return chosen and row.settings[row.choice.settings.index(chosen)]
        trials = [(self.find("trial", options), options) for options in row.settings]
        if any(trial is None for trial, _ in trials):
            return None
        return min(trials, key=lambda pair: pair[0]["kl_divergence"])[1]

    # --- Running --------------------------------------------------------------------------------------

    def output_of(self, options):
        """The folder of a compressed model."""
        return self.work / "models" / hashlib.sha256(options.encode()).hexdigest()[:12]

    def compress(self, options):
        """Compresses into the work folder; returns its folder and what is kept of the reports.

        The model of a trial is taken again when it is still there."""
        output = self.output_of(options)
        report = read_json(output / "compression_report.json")
        trial = self.find("trial", options)
        if report and trial and report["sha256"] == trial["weights_sha256"]:
            return output, {key: trial[key] for key in (
                "bits", "bytes", "mean_relative_error", "seconds", "machine", "weights_sha256")}
        shutil.rmtree(output, ignore_errors=True)
        output.parent.mkdir(parents=True, exist_ok=True)
        calibration = [word for path in self.texts.calibration for word in ("--calibration", str(path))]
        compressed = self.call(
            "compress", str(self.model.folder), "-o", str(output), *options.split(), *calibration,
            "--samples", str(self.scale.samples), "-c", str(self.scale.context))
        report = read_json(output / "compression_report.json")
        return output, {
            "bits": report["totals"]["linear_bits_per_weight"],
            "bytes": sum(path.stat().st_size for path in output.glob("*.safetensors")),
            "mean_relative_error": report["totals"]["mean_relative_error"],
            "seconds": compressed["seconds"],
            "machine": compressed["machine"],
            "weights_sha256": report["sha256"],
        }

    def divergence(self, folder, text, windows):
        """The comparison of a folder with the original on a text; the original runs once for each text."""
        states = self.work / "states" / f"{self.weights()}-{self.sha256(text)}-{self.scale.context}-{windows or 'all'}"
        states.parent.mkdir(parents=True, exist_ok=True)
        result = self.call(
            "perplexity", "-m", str(folder), "-f", str(text), "-c", str(self.scale.context), "--reference",
            str(self.model.folder), "--reference-states", str(states),
            *(["--windows", str(windows)] if windows else []))["results"][0]
        comparison = result["comparison"]
        kept = ("reference_perplexity", "perplexity_ratio", "kl_divergence", "same_top", "log_ratio",
                "window_kl_divergence")
        return {
            "file": pathlib.Path(result["file"]).name, "windows": result["windows"],
            "scored_tokens": result["scored_tokens"], "perplexity": result["perplexity"],
            "perplexity_stderr": result["perplexity_stderr"], "window_nll": result["window_nll"],
            **{key: value for key, value in comparison.items() if key in kept or key.removesuffix("_stderr") in kept},
        }

    def answers(self, folder):
        """Which documents of the zero-shot tasks are answered rightly: {task: {metric: "0110..."}}."""
        if self.tasks is None:
            return None
        document = self.call(
            "evaluate", "-m", str(folder), "--tasks", ",".join(TASKS), "--data", str(self.tasks), "--limit",
            str(self.scale.documents))
        return {
            task: {metric: outcomes[metric] for metric in ("acc", "acc_norm") if metric in outcomes}
            for task, outcomes in document["outcomes"].items()}

    def speed(self, folder):
        """Tokens per second of generation, and their share of a loop that only reads the weights."""
        test = self.call("bench", "-m", str(folder), "-p", "0", "-n", "64", "-r", "3")["tests"][0]
        return {"tokens_per_second": test["tokens_per_second_mean"], "share_of_reading": test["share_median"]}

    def run_trial(self, options, heading, force=False):
        """Compresses with a setting and judges it; the model stays until its row is measured."""
        if not force and self.find("trial", options):
            return
        print(f"{heading}, trial: {options}", file=sys.stderr)
        output, result = self.compress(options)
        comparison = self.divergence(output, self.texts.choice, None)
        self.store("trial", options, result | comparison)
        print(f"  KL {comparison['kl_divergence']:.4f} at {result['bits']:.3f} bits per weight", file=sys.stderr)

    def run_measured(self, options, heading, force=False):
        if not force and self.find("measured", options):
            return
        print(f"{heading}, measured: {options}", file=sys.stderr)
        output, result = self.compress(options)
        result["texts"] = [self.divergence(output, text, self.scale.windows) for text in self.texts.measured]
        result["answers"] = self.answers(output)
        result["speed"] = self.speed(output)
        self.store("measured", options, result)
        print(
            f"  perplexity {', '.join('%.3f' % text['perplexity'] for text in result['texts'])}, "
            f"{result['bits']:.3f} bits per weight, {result['seconds']:.0f} s", file=sys.stderr)

    def run_original(self, force=False):
        if not force and self.find("measured", "original"):
            return
        print("original", file=sys.stderr)
        self.store("measured", "original", {
            "answers": self.answers(self.model.folder), "speed": self.speed(self.model.folder),
            "bytes": sum(path.stat().st_size for path in self.model.folder.glob("*.safetensors"))})

    def run_trials(self, row, force=False):
        """Runs the trials that a row lacks; keeps the model of the best only."""
        if len(row.settings) == 1 or row.choice is not None:
            return
        for options in row.settings:
            self.run_trial(options, row.name, force)
        for options in row.settings:
            if options != self.best(row):
                shutil.rmtree(self.output_of(options), ignore_errors=True)

    def run_row(self, row, force=False):
        """Runs what a row lacks: the trials that choose its best setting, this setting, its published setting."""
        self.run_trials(row.choice or row, force)
        for options in dict.fromkeys(filter(None, [self.best(row), row.published])):
            self.run_measured(options, row.name, force)
            shutil.rmtree(self.output_of(options), ignore_errors=True)

    def state(self, row):
        """Words for --list."""
        chooser = row.choice or row
        trials = sum(self.find("trial", options) is not None for options in chooser.settings)
        wanted = len(chooser.settings) if len(chooser.settings) > 1 else 0
        best = self.best(row)
        measured = [name for name, options in [("best", best), ("published", row.published)]
                    if options and self.find("measured", options)]
        return f"{min(trials, wanted)} of {wanted} trials; measured: {', '.join(measured) or 'nothing'}"
