"""A model to compress, and the output of a run without disturbance."""
import hashlib, pathlib, shutil, subprocess, time

import random_model

OPTIONS = {
    "-t": "1", "--samples": "8", "-c": "32", "--rank": "4", "--outer-iterations": "2",
    "--inner-iterations": "2", "--refinement-rounds": "1"}


def digest(folder):
    """The SHA-256 of each file in a folder and below, without the file of timings."""
    folder = pathlib.Path(folder)
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*") if path.is_file() and path.name != "compression_timings.json"}


class Compression:
    def __init__(self, folder):
        self.folder = folder
        # So that a user without rights can read the model.
        folder.chmod(0o755)
        self.program = str(random_model.PROGRAMS / "compress")
        self.model = random_model.write(folder / "model", context=64)
        (self.model / "calibration.txt").write_text("the quick brown fox jumps over the lazy dog. " * 60)
        self.unchanged = digest(self.model)
        begun = time.monotonic()
        code, message = self.run(folder / "whole")
        if code: raise SystemExit(f"the undisturbed run failed: {message}")
        self.seconds = time.monotonic() - begun
        self.expected = digest(folder / "whole")

    def command(self, output, changes=None, model=None):
        options = {**OPTIONS, **(changes or {})}
        # False leaves an option out, None gives it without a value.
        words = [word for option, value in options.items() if value is not False
                 for word in ([option] if value is None else [option, str(value)])]
        return [self.program, str(model or self.model), "-o", str(output), "--quiet", *words]

    def start(self, output, changes=None, model=None, **options):
        return subprocess.Popen(
            self.command(output, changes, model), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, **options)

    def run(self, output, changes=None, model=None, **options):
        """The exit code, and the text of standard error."""
        return self.finish(self.start(output, changes, model, **options))

    @staticmethod
    def finish(process, seconds=120):
        try:
            message = process.communicate(timeout=seconds)[1].decode(errors="replace")
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return None, "it hangs"
        return process.returncode, message

    def is_complete(self, output):
        return digest(output) == self.expected if pathlib.Path(output).is_dir() else False

    def is_model_unchanged(self):
        return digest(self.model) == self.unchanged

    def unfinished(self, name):
        """The folder of a run that was killed when its first matrices were done."""
        output = self.folder / name
        shutil.rmtree(output, ignore_errors=True)
        parts = output / ".compress" / "parts"
        while True:
            process = self.start(output)
            while process.poll() is None and not (parts.is_dir() and any(parts.glob("*.safetensors"))):
                time.sleep(0.001)
            process.kill()
            process.communicate()
            if (output / ".compress" / "fingerprint.json").exists(): return output
            # The run had ended before it was killed.
            shutil.rmtree(output, ignore_errors=True)

    @staticmethod
    def refusal(outcome, code, part):
        """What is wrong with a refusal, or None: it needs the exit code, and one line that contains `part`."""
        if outcome[0] != code: return f"exit {outcome[0]} instead of {code}: {outcome[1]!r}"
        lines = outcome[1].splitlines()
        if len(lines) != 1 or not lines[0].startswith("compress: "): return f"said {outcome[1]!r}"
        return None if part in outcome[1] else f"no {part!r} in {outcome[1]!r}"
