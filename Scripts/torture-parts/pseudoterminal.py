"""Programs on a pseudoterminal, for the torture scripts; needs only the standard library."""
import fcntl, os, pty, re, select, signal, struct, subprocess, termios, time

PASTE_ON, PASTE_OFF = b"\x1b[?2004h", b"\x1b[?2004l"
# The last output of a line editor that waits: its prompt, and the movement of the cursor after it.
PROMPT = b"> \r\x1b[2C"
# The sequences that the line editor writes: marks around pasted text, cursor movements, erasing.
OWN_SEQUENCE = re.compile(rb"\x1b\[(?:\?2004[hl]|\d*[ABCDHJK])")
TEXT_DIRECTIONS = {*range(0x202A, 0x202F), *range(0x2066, 0x206A)}


def is_harmful(character):
    """Whether a character may not reach a terminal: controls of one and two bytes, text directions."""
    code = ord(character)
    return (code < 0x20 and character not in "\n\t") or 0x7F <= code <= 0x9F or code in TEXT_DIRECTIONS


class Terminal:
    """A new pseudoterminal. The side of the process stays open, so that the settings are kept."""

    def __init__(self, columns=80, rows=24):
        self.controller, self.side = pty.openpty()
        fcntl.ioctl(self.controller, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.set_blocking(self.controller, False)
        self.received = bytearray()

    def close(self):
        for descriptor in (self.controller, self.side):
            if descriptor >= 0: os.close(descriptor)
        self.controller = self.side = -1

    def settings(self):
        """The result of tcgetattr: flags, speeds and control characters."""
        return termios.tcgetattr(self.side)

    def start(self, command, environment=None, stdin=None, stdout=None, stderr=None):
        """Starts a program as the leader of a session on this terminal."""
        side = self.side

        def take():
            os.setsid()
            fcntl.ioctl(side, termios.TIOCSCTTY, 0)

        return subprocess.Popen(
            command, stdin=side if stdin is None else stdin, stdout=side if stdout is None else stdout,
            stderr=side if stderr is None else stderr, preexec_fn=take,
            env={**os.environ, "TERM": "xterm", **(environment or {})})

    def type(self, text):
        data = text.encode() if isinstance(text, str) else text
        while data:
            try:
                data = data[os.write(self.controller, data):]
            except BlockingIOError:
                self.drain(0.01)

    def drain(self, seconds=0.0):
        """Reads what has arrived; waits at most `seconds` for the first byte."""
        while select.select([self.controller], [], [], seconds)[0]:
            try:
                data = os.read(self.controller, 65536)
            except (BlockingIOError, OSError):
                return
            if not data: return
            self.received += data
            seconds = 0

    def wait(self, condition, seconds=20):
        """Reads until `condition()` is true, or until the text arrives when `condition` is a text."""
        if isinstance(condition, (bytes, bytearray)):
            text = condition
            condition = lambda: text in self.received
        end = time.monotonic() + seconds
        while True:
            self.drain(0.02)
            if condition(): return True
            if time.monotonic() > end: return False

    def wait_end(self, process, seconds=20):
        """Reads until the program ends; returns its exit code, negative for a signal, None if it hangs."""
        self.wait(lambda: process.poll() is not None, seconds)
        if process.poll() is None:
            process.kill()
            process.wait()
            return None
        self.drain()
        return process.returncode
