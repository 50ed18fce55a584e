"""Outputs and models that `compress` must refuse, and some that it must accept."""
import os, shutil

from compress_run import digest


def run(compression):
    folder, model = compression.folder, compression.model
    failures, cases = [], 0
    free = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}

    def refuse(name, output, code, part, changes=None, source=None, **options):
        """A run that must be refused, and leave everything in the folder as it was."""
        nonlocal cases
        cases += 1
        before = digest(folder)
        wrong = compression.refusal(
            compression.run(output, changes, source, **options), code, part)
        if not wrong and digest(folder) != before: wrong = "files were changed"
        if wrong: failures.append(f"{name}: {wrong}")

    def accept(name, output, **options):
        nonlocal cases
        cases += 1
        outcome = compression.run(output, **options)
        if outcome[0] or digest(output) != compression.expected:
            failures.append(f"{name}: exit {outcome[0]}, {outcome[1]!r}")

    def damaged(name, remove=None, **files):
        """A copy of the model with files removed or replaced."""
        copy = folder / name
        shutil.copytree(model, copy)
        if remove: (copy / remove).unlink()
        for key, text in files.items():
            file = next(path for path in copy.iterdir() if path.name.split(".")[0] == key)
            file.write_bytes(text)
        return copy

    # The model's folder and folders in it, by several paths.
    (folder / "link").symlink_to(model)
    (model / "sub").mkdir()
    (folder / "inner").symlink_to(model / "sub")
    for path in [model, f"{model}/", f"{model}/.", f"{model}/sub/..", folder / "link", f"{folder}/./model"]:
        refuse(f"output {path}", path, 2, "the output is the model itself")
        refuse(f"output {path} by force", path, 2, "the output is the model itself", {"--force": None})
    for path in [model / "new", model / "sub", folder / "link" / "a" / "b", folder / "inner",
                 folder / "inner" / "x"]:
        refuse(f"output {path}", path, 2, "inside the model", {"--force": None})
    (model / "sub").rmdir()
    (folder / "inner").unlink()

    # Paths that are taken by folders or files.
    refuse("the folder above the model", folder, 2, "the output is not empty")
    taken = folder / "taken"
    taken.mkdir()
    (taken / "letter.txt").write_text("mine")
    refuse("a folder with a letter", taken, 2, "the output is not empty")
    refuse("a file", taken / "letter.txt", 4, "letter.txt", {"--force": None})
    refuse("below a file", taken / "letter.txt" / "out", 4, "letter.txt")
    refuse("a complete model", folder / "whole", 2, "the output is not empty")
    (folder / "nowhere").symlink_to(folder / "missing" / "there")
    refuse("a link to nothing", folder / "nowhere", 4, "nowhere")
    (folder / "circle").symlink_to(folder / "circle")
    refuse("a link to itself", folder / "circle", 4, "circle")
    refuse("a name of 300 characters", folder / ("x" * 300), 4, "xxx")
    refuse("no folder of files", "/proc/duet", 4, "/proc/duet")
    refuse("a device", "/dev/null", 4, "/dev/null")
    refuse("no name", "", 2, "--output")
    state = folder / "state"
    state.mkdir()
    (state / ".compress").write_text("a file")
    refuse("a file for the state", state, 4, ".compress")
    (state / ".compress").unlink()
    (state / ".compress" / "lock").mkdir(parents=True)
    refuse("a folder for the lock", state, 4, "lock")

    # Missing rights. The superuser has all rights, so these runs have another user.
    closed = folder / "closed"
    closed.mkdir(mode=0o555)
    refuse("a folder without the right to write", closed, 4, "closed", **free)
    refuse("below it", closed / "new" / "deep", 4, "closed", **free)
    hidden = folder / "hidden"
    hidden.mkdir(mode=0o000)
    refuse("a folder without any right", hidden / "new", 4, "hidden", **free)
    hidden.chmod(0o755)
    secret = damaged("secret")
    (secret / "model.safetensors").chmod(0o000)
    refuse("weights without the right to read", folder / "new", 4, "model.safetensors", None, secret,
           **free)

    # Missing or damaged models and texts.
    refuse("no model", folder / "new", 4, "absent", None, folder / "absent")
    refuse("a file for a model", folder / "new", 4, "config.json", None, model / "config.json")
    for name in ["config.json", "model.safetensors", "tokenizer.json"]:
        refuse(f"no {name}", folder / "new", 4, name, None, damaged(f"without-{name}", remove=name))
    refuse("no text", folder / "new", 2, "--calibration", None,
           damaged("without-text", remove="calibration.txt"))
    refuse("weights cut short", folder / "new", 3, "model.safetensors", None, damaged(
        "short", model=(model / "model.safetensors").read_bytes()[:-1]))
    refuse("weights of nothing", folder / "new", 3, "model.safetensors", None, damaged("empty", model=b""))
    refuse("a text of nothing", folder / "new", 2, "--calibration", None, damaged("silent", calibration=b""))
    refuse("a text that is none", folder / "new", 3, "calibration.txt", None,
           damaged("binary", calibration=b"\xff" * 5000))
    refuse("a text that is missing", folder / "new", 4, "absent.txt", {"--calibration": folder / "absent.txt"})
    refuse("a folder for a text", folder / "new", 4, "whole", {"--calibration": folder / "whole"})
    refuse("a text too short", folder / "new", 3, "needed", {"--samples": "5000"})
    refuse("a compressed model", folder / "new", 3, "compressed already", None, folder / "whole")

    # Two outputs of one run.
    for name, dense in [("the output", folder / "new"), ("inside it", folder / "new" / "dense"),
                        ("the model", model), ("inside it too", model / "dense")]:
        refuse(f"dense weights in {name}", folder / "new", 2, "", {"--export-dense": dense})
    refuse("dense weights without a name", folder / "new", 2, "--export-dense", {"--export-dense": ""})

    # Missing folders are made, and unusual names are accepted.
    accept("missing folders", folder / "a" / "b" / "c")
    (folder / "there").mkdir()
    accept("an empty folder", folder / "there")
    accept("a link to a folder", _link(folder / "by-link", folder / "linked"))
    accept("a name with spaces and controls", folder / "a b\n\x1b[2J")
    accept("a name that is not ASCII", folder / "\u6771\u4eac")
    return cases, failures


def _link(link, target):
    target.mkdir()
    link.symlink_to(target)
    return link
