"""Ends chats by keys, signals and faults at random moments, and checks the terminal afterwards."""
import os, random, shutil, signal, time

import random_model
from pseudoterminal import PASTE_OFF, PROMPT, Terminal

ENDLESS = ["--raw", "-s", "1", "--temperature", "50", "--top-k", "0", "--top-p", "1", "--min-p", "0",
           "-n", "100000", "-c", "100000"]
# All signals that end a process by default and that a user, the system or a fault may send. The first SIGINT at
# the prompt only shows a hint.
DEADLY = [
    signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGSEGV, signal.SIGABRT, signal.SIGILL,
    signal.SIGTRAP, signal.SIGFPE, signal.SIGBUS, signal.SIGSYS, signal.SIGALRM, signal.SIGUSR1,
    signal.SIGUSR2, signal.SIGVTALRM, signal.SIGPROF, signal.SIGXCPU, signal.SIGPOLL, signal.SIGPWR,
    signal.SIGSTKFLT]
KEYS = {"/exit": ("\x15/exit\r", 0), "Ctrl-D": ("\x15\x04", 0), "Ctrl-C twice": ("\x03\x03\x03", 130)}
KINDS = [*KEYS, "SIGINT", *DEADLY, "truncated model", "stop and go on"]
# A signal comes 0 to 30 ms after the prompt appeared or the answer began.
SPREAD = 0.03


class Shell:
    """A shell with job control: it starts the program in a new process group, gives it the terminal, and takes
    the terminal back when the program stops. The program needs a parent in its session: the terminal cannot stop
    the leader of a session."""

    def __init__(self, terminal, command):
        self.terminal = terminal
        reading, self.orders = os.pipe()
        self.reports, writing = os.pipe()
        self.leader = os.fork()
        if self.leader == 0:
            try:
                self.lead(command, reading, writing)
            finally:
                os._exit(99)
        os.close(reading)
        os.close(writing)

    def lead(self, command, orders, reports):
        import fcntl, termios
        os.setsid()
        side = self.terminal.side
        fcntl.ioctl(side, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        child = os.fork()
        if child == 0:
            os.setpgid(0, 0)
            os.tcsetpgrp(side, os.getpid())
            signal.signal(signal.SIGTTOU, signal.SIG_DFL)
            for descriptor in (0, 1, 2): os.dup2(side, descriptor)
            os.execve(command[0], command, {**os.environ, "TERM": "xterm"})
        os.write(reports, child.to_bytes(4, "big"))
        while True:
            _, status = os.waitpid(child, os.WUNTRACED)
            os.tcsetpgrp(side, os.getpid())
            if not os.WIFSTOPPED(status):
                os.write(reports, b"E")
                os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
            os.write(reports, b"S")
            os.read(orders, 1)
            os.tcsetpgrp(side, child)
            os.kill(child, signal.SIGCONT)

    def report(self, seconds=20):
        """Returns b"S" when the program has stopped, b"E" when it has ended; reads its output meanwhile."""
        os.set_blocking(self.reports, False)
        data = []

        def arrived():
            try:
                data.append(os.read(self.reports, 1))
            except BlockingIOError:
                return False
            return True

        return data[0] if self.terminal.wait(arrived, seconds) else None

    def close(self):
        for descriptor in (self.orders, self.reports): os.close(descriptor)
        try:
            os.kill(self.leader, signal.SIGKILL)
        except ProcessLookupError:
            pass
        os.waitpid(self.leader, 0)


def stopped(command, moment):
    """Stops a chat at a moment and continues it, twice; checks the settings each time, and ends the chat."""
    terminal = Terminal()
    shell = None
    try:
        before = terminal.settings()
        shell = Shell(terminal, command)
        child = int.from_bytes(os.read(shell.reports, 4), "big")
        if not terminal.wait(PROMPT): return "no prompt"
        editing = terminal.settings()
        if editing == before: return "the terminal was not taken"
        if moment >= 0:
            terminal.type("a\r")
            if not terminal.wait(PASTE_OFF): return "no answer"
        for how in ("key", "signal"):
            time.sleep(abs(moment))
            if how == "key": terminal.type("\x1a")
            else: os.kill(child, signal.SIGTSTP)
            report = shell.report()
            if report != b"S": return f"{how}: {report} instead of a stop"
            if terminal.settings() != before: return f"{how}: the settings of a stopped chat remain"
            terminal.received.clear()
            os.write(shell.orders, b"g")
            if moment < 0 and not terminal.wait(PROMPT): return f"{how}: no prompt after going on"
            if moment >= 0 and not terminal.wait(lambda: len(terminal.received) > 50):
                return f"{how}: no answer after going on"
            if terminal.settings() == before: return f"{how}: the terminal was not taken again"
        if moment >= 0:
            terminal.received.clear()
            terminal.type("\x03")
            if not terminal.wait(PROMPT): return "the answer did not stop"
        if terminal.settings() != editing: return "the prompt has other settings than at first"
        terminal.type("/exit\r")
        if shell.report() != b"E": return "no end"
        if terminal.settings() != before: return "the settings of an ended chat remain"
        return None
    finally:
        if shell: shell.close()
        terminal.close()


def answer_the_backtrace(terminal, process):
    """Answers the prompt of the backtrace of Swift, which waits on the terminal for half a minute."""
    terminal.wait(lambda: b"Press space" in terminal.received or process.poll() is not None, 60)
    if process.poll() is None: terminal.type("q")


def ended(command, model, kind, moment, traces):
    """Ends a chat in the way `kind` at a moment; a negative moment is at the prompt."""
    terminal = Terminal()
    before = terminal.settings()
    # Swift prints a backtrace of a crash, which takes a second: once for each signal is enough.
    process = terminal.start(command, {} if traces else {"SWIFT_BACKTRACE": "enable=no"})
    try:
        if not terminal.wait(PROMPT): return "no prompt"
        if terminal.settings() == before: return "the terminal was not taken"
        if moment >= 0:
            terminal.type("a\r")
            if not terminal.wait(PASTE_OFF): return "no answer"
        time.sleep(abs(moment))
        if kind in KEYS:
            text, expected = KEYS[kind]
            if moment >= 0:
                # While an answer is written, only Ctrl-C has an effect at once.
                terminal.received.clear()
                terminal.type("\x03")
                if not terminal.wait(PROMPT): return "the answer did not stop"
            terminal.type(text)
        elif kind == "SIGINT":
            expected = 130
            for _ in range(3):
                if process.poll() is not None: break
                terminal.received.clear()
                process.send_signal(signal.SIGINT)
                terminal.wait(lambda: PROMPT in terminal.received or process.poll() is not None, 5)
        elif kind == "truncated model":
            expected = 4
            os.truncate(model / "model.safetensors", 0)
            if moment < 0: terminal.type("a\r")
        else:
            process.send_signal(kind)
            expected = 143 if kind == signal.SIGTERM else -kind
        if traces: answer_the_backtrace(terminal, process)
        code = terminal.wait_end(process)
        if code is None: return "it did not end"
        if code != expected: return f"exit {code} instead of {expected}"
        return None if terminal.settings() == before else "the settings remain changed"
    finally:
        process.kill()
        process.wait()
        terminal.close()


def run(programs, model, count):
    generator = random.Random(1)
    failures, traced = [], set()
    model = random_model.write(model.with_name("endless"), context=100_000, endless=True)
    for trial in range(count):
        kind = KINDS[trial % len(KINDS)]
        moment = generator.uniform(-SPREAD, SPREAD)
        folder = model
        if kind == "truncated model":
            folder = model.with_name("truncated")
            shutil.copytree(model, folder, dirs_exist_ok=True)
        command = [str(programs / "chat"), "-m", str(folder), *ENDLESS]
        if kind == "stop and go on":
            wrong = stopped(command, moment)
        else:
            wrong = ended(command, folder, kind, moment, kind not in traced)
            traced.add(kind)
        where = f"{abs(moment) * 1000:.1f} ms {'into an answer' if moment >= 0 else 'at the prompt'}"
        name = kind.name if isinstance(kind, signal.Signals) else kind
        if wrong: failures.append(f"{name}, {where}: {wrong}")
    return count, failures
