"""Standard output that is closed, full, or closed by its reader."""
import json, os, random, subprocess, time

from pseudoterminal import PROMPT, Terminal


def commands(programs, model, folder):
    """For each program a command that prints something."""
    text = folder / "text.txt"
    text.write_text("abc def. " * 2000)
    questions = folder / "questions.jsonl"
    questions.write_text("".join(
        json.dumps({"context": "a b", "choices": ["c", "d"], "gold": 0}) + "\n" for _ in range(3)))
    model = str(model)
    return {
        "chat": ["chat", "-m", model, "-p", "a", "-n", "400", "-s", "1", "--temperature", "50"],
        "chat --json": ["chat", "-m", model, "-p", "a", "-n", "400", "--json"],
        "tokenize": ["tokenize", "-m", model, "-f", str(text)],
        "perplexity": ["perplexity", "-m", model, "-f", str(text), "-c", "64", "--quiet"],
        "evaluate": ["evaluate", "-m", model, "--tasks", str(questions), "--quiet"],
        "compress --help": ["compress", "--help"],
        "bench": ["bench", "--help"],
        "chat --help": ["chat", "--help"],
    }


def broken(command, read_count):
    """What is wrong with a program whose reader closes the pipe after `read_count` bytes, or None."""
    reading, writing = os.pipe()
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    rest = read_count
    while rest > 0:
        data = os.read(reading, rest)
        if not data: break
        rest -= len(data)
    os.close(reading)
    message = process.communicate(timeout=60)[1].decode(errors="replace")
    if message: return f"said {message!r}"
    # The program may have written everything before the reader closed the pipe.
    if process.returncode == 141 or (process.returncode == 0 and read_count > 0): return None
    return f"exit {process.returncode}"


def closed(command):
    """What is wrong with a program that starts without standard output, or None."""
    process = subprocess.Popen(
        ["/bin/sh", "-c", 'exec "$@" >&-', "sh", *command], stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE)
    return told(process)


def full(command):
    with open("/dev/full", "wb") as file:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.PIPE)
        return told(process)


def told(process):
    """What is wrong with the end of a program that cannot write, or None."""
    message = process.communicate(timeout=60)[1].decode(errors="replace")
    if process.returncode != 4: return f"exit {process.returncode}: {message!r}"
    lines = message.splitlines()
    if len(lines) != 1 or "cannot write to standard output" not in lines[0]: return f"said {message!r}"
    return None


def hung_up(chat, delay):
    """What is wrong with a chat whose window is closed while it writes an answer, or None."""
    terminal = Terminal()
    process = terminal.start(chat, {"SWIFT_BACKTRACE": "enable=no"})
    try:
        if not terminal.wait(PROMPT): return "no prompt"
        terminal.type("a\r")
        time.sleep(delay)
        terminal.close()
        code = process.wait(timeout=20)
        # -1: SIGHUP ended it; 0: it read the end of input first; 4: it could not write first.
        return None if code in (-1, 0, 4) else f"exit {code}"
    except subprocess.TimeoutExpired:
        return "it goes on without a terminal"
    finally:
        process.kill()
        process.wait()
        terminal.close()


def run(programs, model, count):
    generator = random.Random(2)
    failures = []
    table = {
        name: [str(programs / words[0]), *words[1:]]
        for name, words in commands(programs, model, model.parent).items()}
    interactive = [str(programs / "chat"), "-m", str(model), "-n", "100000", "--temperature", "50"]
    names = list(table)
    for trial in range(count):
        name = names[trial % len(names)]
        kind = ["broken at once", "broken later", "closed", "full", "hung up"][trial // len(names) % 5]
        if kind == "broken at once": wrong = broken(table[name], 0)
        elif kind == "broken later": wrong = broken(table[name], generator.randrange(1, 200))
        elif kind == "closed": wrong = closed(table[name])
        elif kind == "full": wrong = full(table[name])
        else: wrong = hung_up(interactive, generator.uniform(0, 0.02))
        if wrong: failures.append(f"{name}, {kind}: {wrong}")
    return count, failures
