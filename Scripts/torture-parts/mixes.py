"""Runs whose output is removed, and given to another run, while they still write to it."""
import random, shutil, signal, subprocess, time

import random_model
from compress_run import digest


def mixes(compression, count):
    """Starts a run of another model, lets SIGTERM or nothing stop it, removes its output and starts a run there.

    The other model has the same shape and other weights, or another shape. The second run must end as if it
    had been alone, and the first must not end with 0 unless it had ended before.
    """
    failures, kinds, generator = [], {}, random.Random(7)
    text = (compression.model / "calibration.txt").read_bytes()
    others = [random_model.write(compression.folder / "same-shape", context=64, seed=2),
              random_model.write(compression.folder / "other-shape", context=64, hidden=48, seed=3)]
    for other in others: (other / "calibration.txt").write_bytes(text)
    output, dense = compression.folder / "output", compression.folder / "dense"
    first = compression.start(output, {"--export-dense": dense})
    while first.poll() is None and not (output / ".compress" / "fingerprint.json").exists(): time.sleep(0.0005)
    begun = time.monotonic()
    code, message = compression.finish(first)
    # The seconds from when a run holds the folder to its end.
    writing = time.monotonic() - begun
    if code: raise SystemExit(f"the run with dense weights failed: {message}")
    expected = {**compression.expected}, digest(dense)
    for index in range(count):
        for folder in (output, dense): shutil.rmtree(folder, ignore_errors=True)
        # With the dense model every other time.
        changes = {"--export-dense": dense} if index % 2 else {}
        first = compression.start(output, changes, model=others[index // 2 % 2])
        # From when it holds the folder on: before that, removing the folder takes nothing from it.
        while first.poll() is None and not (output / ".compress" / "fingerprint.json").exists(): time.sleep(0.0005)
        time.sleep(generator.uniform(0, 0.8 * writing))
        if index // 4 % 2: first.send_signal(signal.SIGTERM)
        # A run that has moved everything into place may exit a moment later.
        had_ended = first.poll() is not None or not (output / ".compress").exists()
        # rm -rf, again while the run makes new files.
        for folder in (output, dense):
            while folder.exists(): shutil.rmtree(folder, ignore_errors=True)
        # So may one that looked for its lock for the last time just before it was removed.
        try:
            first.wait(0.05)
            had_ended = had_ended or first.returncode == 0
        except subprocess.TimeoutExpired:
            pass
        second = compression.run(output, changes)
        code, message = compression.finish(first)
        kind = f"exit {code}{' before' if had_ended else ''}"
        kinds[kind] = kinds.get(kind, 0) + 1
        if second[0]: failures.append(f"pair {index}: the second run ended with {second}")
        elif digest(output) != expected[0]: failures.append(f"pair {index}: another model")
        elif changes and digest(dense) != expected[1]: failures.append(f"pair {index}: other dense weights")
        # 143: SIGTERM came first. 6: the dense folder was not in place yet.
        if code not in ([0, 6, 143] if had_ended else [6, 143]):
            failures.append(f"pair {index}: the first run ended with {code}: {message!r}")
        if code == 6 and "another run has taken it over" not in message:
            failures.append(f"pair {index}: {message!r}")
    print(", ".join(f"{kind}: {number}" for kind, number in sorted(kinds.items())))
    return count, failures
