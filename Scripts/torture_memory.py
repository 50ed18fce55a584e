"""Resident memory over many turns of a chat, and over many windows of a perplexity."""
import json, pathlib, subprocess, time

from torture_interrupts import Chat

LIMIT = 1 << 20
# The lists of lines and of messages, the context, and the buffers of malloc have had their sizes by then.
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
    """One conversation, of which the oldest turns go out of sight, and many short ones."""
    failures = []
    command = [str(programs / "chat"), "-m", str(model), "-c", "256", "-s", "1", "-t", "1",
               "--on-full", "drop-oldest"]
    # What was said is kept, to be saved: in the one conversation it has to be short beside the bar.
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
    """The peak of a run over `count` windows more than those of another."""
    text = model / "text.txt"
    # Six tokens, of windows of 32; a hundred windows more than are measured.
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
