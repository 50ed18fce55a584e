"""Memory over many turns of a chat, over many windows of a perplexity, and for the largest headers."""
import json, os, pathlib, struct, subprocess, time

from interrupts import Chat

LIMIT = 1 << 20
# After so many turns the lists of lines and messages, the context and the buffers of malloc have their full sizes.
WARM_UP = 1000


def status(identifier, name):
    """A figure of a process in bytes, or 0 when it has ended."""
    try:
        text = pathlib.Path(f"/proc/{identifier}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    for line in text.splitlines():
        if line.startswith(name + ":"): return int(line.split()[1]) * 1024
    return 0


def turns(programs, model, count):
    """Measures one conversation whose oldest turns are dropped, and many short ones."""
    failures = []
    command = [str(programs / "chat"), "-m", str(model), "-c", "256", "-s", "1", "-t", "1",
               "--on-full", "drop-oldest"]
    # The chat keeps all messages for saving: in the one conversation they must be much smaller than the limit.
    for name, length, period in [("one conversation", 2, 0), ("conversations of 100", 8, 100)]:
        chat = Chat([*command, "-n", str(length)])
        try:
            for turn in range(WARM_UP + count):
                if turn == WARM_UP: first = status(chat.process.pid, "VmRSS")
                if period and turn % period == 0: chat.command("/clear")
                chat.command("tell me more")
            growth = status(chat.process.pid, "VmRSS") - first
            print(f"{count} turns, {name}: {first / LIMIT:.2f} MiB after the first {WARM_UP}, "
                  f"{growth / 1024:.0f} KiB more at the end")
            if growth >= LIMIT: failures.append(f"{name}: resident memory grew by {growth} bytes")
        finally:
            chat.close()
    return 2 * count, failures


def windows(programs, model, count):
    """Compares the peak memory of a run with that of another run over `count` windows more."""
    text = model / "text.txt"
    # A sentence has six tokens, a window 32; the text has a hundred windows more than are measured.
    text.write_text("abc de. " * (32 * (count + 200) // 6))
    peaks = []
    for number in (100, 100 + count):
        process = subprocess.Popen(
            [str(programs / "perplexity"), "-m", str(model), "-f", str(text), "-c", "32", "-t", "1",
             "--windows", str(number), "--json", "--quiet"], stdout=subprocess.PIPE)
        peak = 0
        while process.poll() is None:
            peak = max(peak, status(process.pid, "VmHWM"))
            time.sleep(0.001)
        document = json.loads(process.stdout.read())
        peaks.append((peak, document["results"][0]["windows"]))
    growth = peaks[1][0] - peaks[0][0]
    print(f"{count} windows: {peaks[0][0] / LIMIT:.2f} MiB for 100, {growth / 1024:.0f} KiB more for "
          f"{100 + count}")
    failures = [f"the peak of memory grew by {growth} bytes"] if growth >= LIMIT else []
    if [number for _, number in peaks] != [100, 100 + count]:
        failures.append(f"other windows were measured than asked for: {peaks}")
    return count, failures


def many(size, entry):
    """Members of an object, all different, of at most `size` bytes together."""
    parts, length, number = [], 0, 0
    while True:
        part = entry(number)
        length += len(part) + 1
        if length > size: return ",".join(parts)
        parts.append(part)
        number += 1


def tensor(number):
    return (f'"model.layers.{number % 32}.t{number:07}.weight":'
            f'{{"dtype":"F32","shape":[1],"data_offsets":[{4 * number},{4 * number + 4}]}}')


# For each kind of header a function that makes one of a number of bytes.
HEADERS = {
    "tensors": lambda size: "{" + many(size - 2, tensor) + "}",
    "tensors out of order": lambda size: "{" + ",".join(
        # Names in descending order.
        f'"t{10**7 - index:08}":{{"dtype":"F32","shape":[1],"data_offsets":[{4 * index},{4 * index + 4}]}}'
        for index in range(size // 80)) + "}",
    "metadata": lambda size: '{"__metadata__":{' + many(size - 19, lambda number: f'"{number:x}":"x"') + "}}",
    "a name": lambda size: '{"' + "x" * (size - 58) + '":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
    "lists": lambda size: '{"a":' + "[" * (size - 6) + "}",
    "blanks": lambda size: "{" + " " * (size - 2) + "}",
}


def large_headers(programs, model, count):
    """Checks that headers of `count` million bytes (at most 100) are refused within 3 s and five times their size.

    All are refused, because none has the tensors of a model, but most must be read to the end first.
    """
    failures = []
    for name, make in HEADERS.items():
        header = make(count * 1_000_000).encode()
        with open(model / "model.safetensors", "wb") as file:
            file.write(struct.pack("<Q", len(header)) + header)
            file.truncate(8 + len(header) + 4 * max(1, header.count(b'"shape"')))
        process = subprocess.Popen(
            [str(programs / "chat"), "-m", str(model), "-p", "x", "--quiet"],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        # Not ru_maxrss, which includes the memory of this script at the start of the process.
        peak, ended = 0, 0
        while not ended:
            peak = max(peak, status(process.pid, "VmHWM") / len(header))
            time.sleep(0.001)
            ended, code, usage = os.wait4(process.pid, os.WNOHANG)
        process.returncode = os.waitstatus_to_exitcode(code)
        message = process.stderr.read()
        seconds = usage.ru_utime + usage.ru_stime
        print(f"{name}: {seconds:.2f} s, {peak:.2f} times its size, {message.decode()[:100].strip()}")
        if process.returncode != 3 or message.count(b"\n") != 1:
            failures.append(f"{name}: exit code {process.returncode}, {message[:200]!r}")
        if seconds >= 3: failures.append(f"{name}: {seconds:.2f} s of processor time")
        # With a small header, most of the memory is that of the program.
        if peak >= 5 and count >= 50: failures.append(f"{name}: {peak:.2f} times its size in memory")
    return len(HEADERS), failures
