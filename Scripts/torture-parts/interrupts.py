"""SIGINTs at random moments of a chat: the conversation that it keeps must be what it has evaluated."""
import random, re, signal, time

import random_model
from pseudoterminal import PASTE_OFF, PASTE_ON, PROMPT, Terminal

LETTERS = "abcdefghijklmnopqrstuvwxyz"
# After so many rounds the conversation is cleared. A longer one could fill the context, and turns would be dropped.
ROUNDS_OF_A_CONVERSATION = 8
LONGEST_MESSAGE = 1500
# Keys and values are not rounded to F16: rounding can enlarge a difference from the last bit of F32 to that of F16.
CHAT = ["-c", "32768", "-n", "300", "--temperature", "0", "-t", "1", "--kv-cache", "f32"]
# A name that the processor does not support gives the best set, so it adds no comparison. The slowest comes last.
KERNEL_SETS = ["avx2", "avxvnni", "avx512vnni", "avx512vbmi", "neon", "portable"]
STOPPED = b"stopped; what was written stays"
NOTHING = b"stopped before the answer began"
HINT = b"(Ctrl-C again"


class Chat:
    def __init__(self, command, environment=None, patience=20):
        self.terminal, self.patience = Terminal(), patience
        self.process = self.terminal.start(command, environment)
        self.expect(PROMPT)

    def expect(self, condition):
        if not self.terminal.wait(condition, self.patience):
            raise RuntimeError(f"the chat waits after {bytes(self.terminal.received)[-200:]!r}")

    def command(self, line):
        """Sends a command or message and returns the output up to the next prompt."""
        self.terminal.received.clear()
        self.terminal.type(line + "\r")
        self.expect(lambda: PASTE_OFF in self.terminal.received and
                    PASTE_ON in self.terminal.received.partition(PASTE_OFF)[2] and
                    self.terminal.received.endswith(PROMPT))
        answer = bytes(self.terminal.received).partition(PASTE_OFF)[2].partition(PASTE_ON)[0]
        # The chat shows how much of a prompt it has read, and erases that line.
        return re.sub(rb"\r *\r", b"", re.sub(rb"reading[^\r]*", b"", answer)).strip()

    def interrupted(self, line, delay, after_first):
        """Sends a message and a SIGINT `delay` seconds after that or after the answer began; returns what happened."""
        self.terminal.received.clear()
        self.terminal.type(line + "\r")
        self.expect(PASTE_OFF)
        if after_first: self.expect(lambda: not self.terminal.received.endswith(PASTE_OFF))
        time.sleep(delay)
        self.process.send_signal(signal.SIGINT)
        self.expect(lambda: any(
            text in self.terminal.received for text in (STOPPED, NOTHING, HINT)))
        self.expect(lambda: self.terminal.received.endswith(PROMPT))
        return next(text for text in (STOPPED, NOTHING, HINT) if text in self.terminal.received)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.terminal.close()


def answer_to(command, saved, probe, kernel_set=None):
    """The answer of a new chat that loads the conversation, with the best kernels or those of a set."""
    # The portable set reads 600 tokens a second, and a conversation may have 12,000.
    chat = Chat(command) if kernel_set is None else Chat(command, {"DUET_KERNEL_SET": kernel_set}, 200)
    try:
        chat.command(f"/load {saved}")
        return chat.command(probe)
    finally:
        chat.close()


def common_length(first, second):
    pairs = enumerate(zip(first, second))
    return next((index for index, (a, b) in pairs if a != b), min(len(first), len(second)))


def is_tie(answer, expected, others):
    """Whether rounding alone explains where two answers differ first.

    Tokens that are evaluated in other batches are rounded in another order, and of 300,000 tokens a few are as
    likely as another one except for rounding. Each set of kernels has another order, so with one of them the answer
    differs from `expected` at the same place. After a wrong key or value the answers of all sets would agree with
    `expected`.
    """
    place = common_length(answer, expected)
    return any(common_length(other, expected) == place for other in others if other != expected)


def run(programs, model, count):
    model = random_model.write(model.with_name("endless"), context=32768, endless=True)
    command = [str(programs / "chat"), "-m", str(model), *CHAT]
    saved = model / "conversation.json"
    generator = random.Random(3)

    def message(limit):
        return "".join(generator.choice(LETTERS) for _ in range(generator.randint(1, limit)))

    chat, failures, kinds, answers = Chat(command), [], {STOPPED: 0, NOTHING: 0, HINT: 0}, set()
    ties = 0
    try:
        for trial in range(count):
            if trial % ROUNDS_OF_A_CONVERSATION == 0: chat.command("/clear")
            text = message(LONGEST_MESSAGE)
            # Reading the longest message takes about 20 ms, and the 300 tokens of the answer half of that.
            kinds[chat.interrupted(text, generator.uniform(0, 0.025), trial % 2 == 1)] += 1
            chat.command(f"/save {saved}")
            probe = message(20)
            answer = chat.command(probe)
            expected = answer_to(command, saved, probe)
            answers.add(answer)
            if answer == expected: continue
            others = (answer_to(command, saved, probe, name) for name in KERNEL_SETS)
            if is_tie(answer, expected, others):
                ties += 1
            else:
                failures.append(f"trial {trial}: {answer!r} instead of {expected!r}")
    except RuntimeError as error:
        failures.append(f"trial {trial}: {error}")
    finally:
        chat.close()
    print(f"{kinds[STOPPED]} stopped an answer, {kinds[NOTHING]} came before one began, "
          f"{kinds[HINT]} at the prompt; {len(answers)} different answers, {ties} parted at a tie")
    if ties > max(1, count // 100): failures.append(f"{ties} answers parted at what should be rare")
    if count >= 100 and min(kinds.values()) < count // 50:
        failures.append(f"not all moments were met: {kinds}")
    # If answers did not depend on the conversation, the comparison would test nothing.
    if len(answers) < count // 2: failures.append(f"only {len(answers)} different answers")
    return count, failures
