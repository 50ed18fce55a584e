"""Answers of random tokens on a terminal: no control character may arrive there."""
import subprocess

from pseudoterminal import OWN_SEQUENCE, PASTE_OFF, PASTE_ON, PROMPT, Terminal, is_harmful

# At this temperature all tokens are about as likely, so a tenth of them are harmful.
RANDOM = ["--temperature", "50", "--top-k", "0", "--top-p", "1", "--min-p", "0", "-n", "40", "-t", "1"]
MOST_ANSWERS_OF_A_CHAT = 200


def problem(data):
    """What is wrong with the bytes of an answer on the terminal, or None."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        return f"not UTF-8: {error}"
    # The terminal itself puts a carriage return before each line feed.
    for character in text.replace("\r\n", "\n"):
        if is_harmful(character): return f"U+{ord(character):04X} arrived in {data!r}"
    return None


def shown(text):
    """The bytes that a terminal must receive for a text, as a string."""
    result = ""
    for character in text:
        code = ord(character)
        if not is_harmful(character): result += character
        elif code > 0xFF: result += f"\\u{{{code:x}}}"
        else: result += f"\\x{code:02x}"
    return result.replace("\n", "\r\n")


def at_the_prompt(chat, count, seed):
    """The failures, and the number of escaped characters, in the answers of one chat with a line editor."""
    terminal = Terminal()
    process = terminal.start([*chat, "-s", str(seed), "--on-full", "drop-oldest", "-c", "300"])
    failures, escaped = [], 0
    try:
        terminal.wait(lambda: terminal.received.endswith(PROMPT))
        for number in range(count):
            terminal.received.clear()
            terminal.type("x\r")
            if not terminal.wait(lambda: PASTE_ON in terminal.received):
                failures.append(f"seed {seed}, answer {number}: no prompt afterwards")
                break
            before, _, rest = bytes(terminal.received).partition(PASTE_OFF)
            answer, _, after = rest.partition(PASTE_ON)
            wrong = problem(answer)
            # An escape character in the editor's output may only begin one of its own sequences.
            if not wrong and b"\x1b" in OWN_SEQUENCE.sub(b"", before + after):
                wrong = f"an unknown sequence in {before + after!r}"
            if wrong: failures.append(f"seed {seed}, answer {number}: {wrong}")
            escaped += answer.count(b"\\x") + answer.count(b"\\u{")
            terminal.wait(lambda: terminal.received.endswith(PROMPT))
        terminal.type("/exit\r")
        if terminal.wait_end(process) != 0: failures.append(f"seed {seed}: exit {process.returncode}")
    finally:
        process.kill()
        process.wait()
        terminal.close()
    return failures, escaped


def without_editor(chat, count, seed):
    """The failures of one chat on a terminal without cursor movement, which gets no escape character at all."""
    terminal = Terminal()
    process = terminal.start(
        [*chat, "-s", str(seed), "--on-full", "drop-oldest", "-c", "300"], {"TERM": "dumb"})
    failures = []
    try:
        terminal.wait(lambda: terminal.received.endswith(b"> "))
        terminal.received.clear()
        for number in range(count):
            start = len(terminal.received)
            terminal.type("x\n")
            # The answer ends with an empty line and the prompt. The model cannot write that: it has no token
            # "> ".
            if not terminal.wait(lambda: terminal.received.endswith(b"\n\r\n> ") and
                                 len(terminal.received) > start + 4):
                failures.append(f"seed {seed}, answer {number}: no prompt afterwards")
                break
        wrong = problem(bytes(terminal.received))
        if wrong: failures.append(f"seed {seed}: {wrong}")
        terminal.type("/exit\n")
        if terminal.wait_end(process) != 0: failures.append(f"seed {seed}: exit {process.returncode}")
    finally:
        process.kill()
        process.wait()
        terminal.close()
    return failures


def against_a_pipe(chat, seed):
    """Compares an answer to a pipe, which is raw, with the same answer to a terminal, which is escaped."""
    command = [*chat, "-s", str(seed), "-p", "x"]
    raw = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    terminal = Terminal()
    try:
        process = terminal.start(command, stdin=subprocess.DEVNULL)
        terminal.wait_end(process)
        expected = shown(raw.stdout.decode()).encode()
        if raw.returncode or process.returncode or raw.stderr:
            return [f"seed {seed}: exit {raw.returncode} and {process.returncode}"]
        if bytes(terminal.received) != expected:
            return [f"seed {seed}: {bytes(terminal.received)!r} instead of {expected!r}"]
        return []
    finally:
        terminal.close()


def run(programs, model, count):
    chat = [str(programs / "chat"), "-m", str(model), *RANDOM]
    cases, failures, escaped, seed = 0, [], 0, 0
    # So that a small number of answers is divided among all kinds of chats.
    longest = max(1, min(MOST_ANSWERS_OF_A_CHAT, count // 4))
    while cases < count:
        seed += 1
        part = min(longest, count - cases)
        if seed % 4 == 0:
            failures += without_editor(chat, part, seed)
        elif seed % 4 == 1:
            part = min(part, max(1, longest // 4))
            for number in range(part): failures += against_a_pipe(chat, seed * 1000 + number)
        else:
            more, found = at_the_prompt(chat, part, seed)
            failures += more
            escaped += found
        cases += part
    print(f"{escaped} harmful characters of the model were shown escaped in the answers at a prompt")
    if count > MOST_ANSWERS_OF_A_CHAT and escaped < count // 4:
        failures.append("the model wrote too few harmful characters to show anything")
    return cases, failures
