"""The cells of Scripts/study: runs them and stores their results."""

import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time


class CellFailed(Exception):
    """A program failed; the text says which one, and its message."""


@dataclasses.dataclass(frozen=True)
class Model:
    """A dense checkpoint to compress."""

    name: str
    folder: pathlib.Path

    @property
    def is_there(self):
        return (self.folder / "config.json").is_file()


@dataclasses.dataclass(frozen=True)
class Cell:
    """One compression of one model."""

    model: Model
    bits: str
    key: str
    family: str
    label: str
    options: list
    against: list

    @property
    def name(self):
        return f"{self.model.name}-{self.bits}-{self.key}"


def digest(path):
    """The SHA-256 of a file in hexadecimal."""
    result = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            result.update(piece)
    return result.hexdigest()


def write_json(document, path):
    """Writes a document; it appears complete or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".partial")
    temporary.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def read_json(path):
    """The document of a file, or None where there is none that can be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


class Study:
    """The work folder of a study: cells/ has the results, pairs/ the comparisons, models/ the outputs."""

    def __init__(self, work, programs, common, held_out, context, threads=None):
        self.work = work.absolute()
        self.programs = programs.absolute()
        self.common = common
        self.threads = [] if threads is None else ["-t", str(threads)]
        self.held_out = held_out
        self.context = context
        self.digests = {}

    # --- What is there --------------------------------------------------------------------------------

    def output(self, cell):
        """The folder of the compressed model."""
        return self.work / "models" / cell.name

    def definition(self, cell):
        """Everything that the result depends on, except the programs."""
        inputs = [cell.model.folder / "model.safetensors", self.held_out]
        inputs += [pathlib.Path(word) for word in self.common if not word.startswith("-")]
        for path in inputs:
            if path not in self.digests:
                self.digests[path] = digest(path)
        return {
            "options": cell.options + [pathlib.Path(word).name for word in self.common],
            "context": self.context,
            "sha256": {f"{path.parent.name}/{path.name}": self.digests[path] for path in inputs},
        }

    def result(self, cell):
        """The result of the cell, or None when it has not been run with its present definition."""
        document = read_json(self.work / "cells" / f"{cell.name}.json")
        if document is None or document["definition"] != self.definition(cell):
            return None
        return document

    def state(self, cell):
        """A word for --list."""
        document = read_json(self.work / "cells" / f"{cell.name}.json")
        if document is None:
            return "missing"
        return "there" if document["definition"] == self.definition(cell) else "out of date"

    def original_bits(self, model):
        """The bits per weight of the checkpoint's linear layers, from the headers of its files."""
        types = set()
        for path in model.folder.glob("*.safetensors"):
            with open(path, "rb") as file:
                header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
            types |= {entry["dtype"] for name, entry in header.items() if name.endswith("q_proj.weight")}
        return {"BF16": 16, "F16": 16, "F32": 32}[types.pop()]

    # --- Running --------------------------------------------------------------------------------------

    def run(self, cell, force, heading):
        """Compresses and measures, unless there is a result already."""
        if not force and self.result(cell) is not None:
            print(f"{heading}: there already", file=sys.stderr)
            return
        print(f"{heading}: {' '.join(cell.options)}", file=sys.stderr)
        output = self.output(cell)
        # Otherwise compress would continue a stopped run, and the seconds would be those of the rest only.
        shutil.rmtree(output, ignore_errors=True)
        output.parent.mkdir(parents=True, exist_ok=True)
        begun = time.time()
        compressed = self.call(
            "compress", str(cell.model.folder), "-o", str(output), *cell.options, *self.common)
        measured = self.perplexity(output, cell.model.folder)
        report = read_json(output / "compression_report.json")
        linears = [
            matrix for matrix in report["matrices"] if matrix["name"].startswith("model.layers.")]
        write_json(
            {
                "cell": cell.name,
                "definition": self.definition(cell),
                "date": time.strftime("%Y-%m-%d", time.localtime(begun)),
                "compress_sha256": digest(self.programs / "compress"),
                "version": compressed["version"],
                "machine": compressed["machine"],
                "seconds": compressed["seconds"],
                "totals": report["totals"],
                "plan": report["plan"],
                "weights_sha256": report["sha256"],
                "perplexity": measured,
                "matrices": [
                    {key: matrix[key] for key in (
                        "name", "relative_error", "mean_scale", "quantized_role", "low_rank_role",
                        "rank", "byte_count")}
                    for matrix in linears
                ],
            },
            self.work / "cells" / f"{cell.name}.json")
        print(
            f"  perplexity {measured['perplexity']:.4f}, "
            f"{report['totals']['linear_bits_per_weight']:.3f} bits per weight, "
            f"{compressed['seconds']:.0f} s", file=sys.stderr)

    def compare(self, cell, cells):
        """Compares the compressed model, token by token, with those of the cells in `against`."""
        for other in cells:
            if other.model != cell.model or other.bits != cell.bits or other.key not in cell.against:
                continue
            if self.result(cell) is None or self.result(other) is None or self.pair(cell, other):
                continue
            if not all((self.output(each) / "config.json").is_file() for each in [cell, other]):
                print(f"study: {cell.name} or {other.name} has no model any more; --force makes it anew",
                      file=sys.stderr)
                continue
            print(f"{cell.name} against {other.name}", file=sys.stderr)
            try:
                measured = self.perplexity(self.output(cell), self.output(other))
            except CellFailed as error:
                print(f"study: {cell.name} against {other.name}: {error}", file=sys.stderr)
                continue
            write_json(
                {"of": self.weights(cell, other), "perplexity": measured}, self.pair_path(cell, other))

    def pair(self, cell, other):
        """The comparison of two cells, or None when there is none with their present weights."""
        document = read_json(self.pair_path(cell, other))
        known = self.result(cell) is not None and self.result(other) is not None
        if document is None or not known or document["of"] != self.weights(cell, other):
            return None
        return document["perplexity"]["comparison"]

    def pair_path(self, cell, other):
        return self.work / "pairs" / f"{cell.name}--{other.key}.json"

    def weights(self, *cells):
        """The digests of the weights of the cells' models."""
        return [self.result(cell)["weights_sha256"] for cell in cells]

    def perplexity(self, folder, reference):
        """The result of `perplexity` for a model, compared with another."""
        document = self.call(
            "perplexity", "-m", str(folder), "-f", str(self.held_out), "-c", str(self.context),
            "--reference", str(reference))
        return document["results"][0]

    def call(self, program, *arguments):
        """Runs a program and returns its JSON document; its standard error is shown."""
        # In a new session, so that Ctrl-C reaches only this script, which then ends the program at once.
        process = subprocess.Popen(
            [self.programs / program, *arguments, *self.threads, "--json", "--quiet"], stdout=subprocess.PIPE,
            start_new_session=True)
        try:
            output = process.communicate()[0]
        except BaseException:
            process.kill()
            process.wait()
            raise
        try:
            document = json.loads(output)
        except ValueError:
            document = {}
        if process.returncode != 0:
            message = document.get("error", {}).get("message", "it said nothing")
            raise CellFailed(f"{program} ended with code {process.returncode}: {message}")
        return document
