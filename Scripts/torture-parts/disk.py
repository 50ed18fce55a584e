"""Disks that are full at the beginning of a run, or become full during it."""
import resource, shutil, subprocess, time


def verdict(compression, output, code, message):
    """What is wrong with a run on a full disk, or with its resumption when there is room again, or None."""
    if code == 0:
        return None if compression.is_complete(output) else "exit 0 with another output"
    if code != 4: return f"exit {code} instead of 4: {message!r}"
    if len(message.splitlines()) != 1: return f"said {message!r}"
    if (output / "config.json").exists(): return "a partial output looks complete"
    code, message = compression.run(output)
    if code or not compression.is_complete(output): return f"afterwards exit {code}: {message!r}"
    return None


def number_of_files(folder):
    """The number of files in a folder that another program changes."""
    try:
        return sum(path.is_file() for path in folder.rglob("*"))
    except FileNotFoundError:
        return 0


def limited(compression, count):
    """Runs with a limit on the size of files, from 0 to more than the largest file."""
    failures, stopped = [], 0
    largest = max((compression.folder / "whole" / name).stat().st_size for name in compression.expected)
    for index in range(count):
        size = int(largest * 1.1 * (index / count) ** 2)
        output = compression.folder / "limited"
        outcome = compression.run(
            output, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)))
        stopped += outcome[0] != 0
        wrong = verdict(compression, output, *outcome)
        if wrong: failures.append(f"files of at most {size} bytes: {wrong}")
        shutil.rmtree(output, ignore_errors=True)
    print(f"{stopped} of {count} runs were stopped by the largest size of a file")
    return failures


def filled(compression, count):
    """Fills the disk when a run has made a number of files, and frees it afterwards."""
    disk = compression.folder / "disk"
    disk.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(disk)], capture_output=True, check=False)
    if mount.returncode:
        print("no file system can be mounted here, so none was filled")
        return 0, []
    failures, stopped = [], 0
    try:
        for index in range(count):
            output = disk / "output"
            process = compression.start(output)
            # The number goes from 0, so that the lock is the first file, to a few less than all.
            while process.poll() is None and number_of_files(output / ".compress") <= index % 18:
                time.sleep(0.0002)
            filler = disk / "filler"
            with open(filler, "wb", buffering=0) as file:
                try:
                    while True: file.write(bytes(4096))
                except OSError:
                    pass
            outcome = compression.finish(process)
            filler.unlink()
            stopped += outcome[0] != 0
            wrong = verdict(compression, output, *outcome)
            if wrong: failures.append(f"disk {index}: {wrong}")
            shutil.rmtree(output, ignore_errors=True)
    finally:
        subprocess.run(["umount", str(disk)], check=False)
    print(f"{stopped} of {count} runs met a full disk")
    if stopped < count // 5: failures.append(f"only {stopped} runs met a full disk")
    return count, failures


def run(compression, count):
    failures = limited(compression, count)
    more, others = filled(compression, count)
    return count + more, failures + others
