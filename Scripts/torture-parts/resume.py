"""Runs on the output of another run: at the same time, or later with changes."""
import os, random, shutil, time

from compress_run import digest


def locks(compression, count):
    """Starts two runs on one output, the second at a random moment of the first."""
    failures, generator = [], random.Random(5)
    kinds = {}
    for index in range(count):
        output = compression.folder / "output"
        first = compression.start(output)
        time.sleep(generator.uniform(0, compression.seconds) if index % 2 else 0)
        second = compression.start(output)
        outcomes = [compression.finish(process) for process in (first, second)]
        codes = sorted((outcome[0] is None, outcome[0]) for outcome in outcomes)
        codes = [code for _, code in codes]
        # 4: the other run was writing; 2: it had ended.
        kinds[str(codes)] = kinds.get(str(codes), 0) + 1
        if codes not in ([0, 4], [0, 2]) or not compression.is_complete(output):
            failures.append(f"pair {index}: {outcomes}")
        for code, message in outcomes:
            part = {4: "another process is writing", 2: "the output is not empty"}.get(code, "")
            if code and (part not in message or len(message.splitlines()) != 1):
                failures.append(f"pair {index}: {message!r}")
        shutil.rmtree(output, ignore_errors=True)
    print(", ".join(f"exit codes {codes}: {number}" for codes, number in sorted(kinds.items())))
    return count, failures


def changes(compression):
    """Resumes a run with one change at a time: of an option, or of a file that an option names."""
    output = compression.unfinished("output")
    model = compression.model
    other = compression.folder / "other.txt"
    other.write_text("other words. " * 400)
    table = [
        ({"--method": "odlri"}, "plan.method"), ({"--format": "int2"}, "plan.format"),
        ({"--format": "int3"}, "plan.format"), ({"--format": "int4"}, "plan.format"),
        ({"--group-size": "32"}, "plan.group_size"), ({"--group-size": "128"}, "plan.group_size"),
        ({"--head-format": "f16"}, "plan.head_format"), ({"--rank": "5"}, "plan.rank"),
        ({"--rank": "0"}, "plan.rank"),
        ({"--lr-format": "f16", "--inner-iterations": False}, "plan.factor_format"),
        ({"--lr-rounding": "nearest"}, "plan.factor_rounding"),
        ({"--initialization": "zero"}, "plan.initialization"),
        ({"--initialization": "auto"}, "plan.initialization"),
        ({"--outlier-storage": "int8"}, "plan.outlier_storage"),
        ({"--update-order": "low-rank-first"}, "plan.update_order"),
        ({"--outer-iterations": "3"}, "plan.outer_iterations"),
        ({"--inner-iterations": "3"}, "plan.inner_iterations"),
        ({"--refinement-rounds": "0"}, "plan.refinement_rounds"),
        ({"--hessian-downdate": None}, "plan.projects_metric"), ({"--damping": "0.02"}, "plan.damping"),
        ({"--incoherence": "none"}, "plan.incoherence"), ({"--incoherence": "input"}, "plan.incoherence"),
        ({"--propagate": "original"}, "plan.propagation"),
        ({"--propagate": "compressed"}, "plan.propagation"), ({"--samples": "7"}, "plan.sample_count"),
        ({"-c": "31"}, "plan.context_length"), ({"-s": "1"}, "plan.seed"),
        ({"--keep": "q_proj"}, "plan.kept_names"), ({"--calibration": other}, "calibration"),
    ]
    failures, before = [], digest(output)

    def refuse(name, part, options):
        outcome = compression.run(output, options)
        wrong = compression.refusal(outcome, 6, part)
        if not wrong and digest(output) != before: wrong = "the state of the run was changed"
        if wrong: failures.append(f"{name}: {wrong}")

    for options, part in table:
        refuse(" ".join(f"{key} {value}" for key, value in options.items()), part, options)
    # The files that the options name, each changed and restored.
    weights = model / "model.safetensors"
    for name, part, file, change in [
            ("a weight", "tensor.", weights, lambda data: data[:-2] + bytes([data[-2] ^ 1]) + data[-1:]),
            ("the configuration", "config", model / "config.json",
             lambda data: data.replace(b"1e-05", b"1e-06")),
            ("the text", "calibration", model / "calibration.txt", lambda data: b"T" + data[1:])]:
        status, data = file.stat(), file.read_bytes()
        if change(data) == data: raise SystemExit(f"{name} did not change")
        file.write_bytes(change(data))
        refuse(name, part, {})
        file.write_bytes(data)
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    if compression.run(output)[0] or not compression.is_complete(output):
        failures.append("the run could not be resumed afterwards")
    return len(table) + 3, failures
