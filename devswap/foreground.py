"""Runs development on this terminal: keys go to it, what it prints comes here, and it ends when devswap does.

The service owns a terminal of its own machine (its unit has it as TTYPath), so that /dev/tty, a debugger's prompt and
Ctrl-C work as they would on a real one; this module only carries bytes and sizes between that terminal and the user's.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from devswap.masking import mask
from devswap.process import Popen
from devswap.pty import Terminal

INTERRUPT = b"\x03"
QUIT = b"\x1c"
CHUNK = 65536
TICK = 0.2
PATIENCE = 3.0
AGAIN_SECONDS = 10.0
STEP_SECONDS = 0.5
"""Who steps through code lets go of the prompt for so long before the keys are watched again."""


@dataclass(frozen=True)
class Ended:
    """How the run ended: by the user's Ctrl-C or by itself."""

    by_user: bool


class Foreground:
    """One run on the terminal. `job` ends when the unit does; `force` ends the unit when it does not listen.

    `keep` gets what the service writes, but for what it says to somebody at a prompt. `elsewhere` is one that stops for
    an editor.
    """

    def __init__(
        self,
        terminal: Terminal,
        job: Popen[bytes],
        force: Callable[[], None],
        keep: Callable[[bytes], None],
        *,
        elsewhere: bool = False,
    ) -> None:
        self._terminal = terminal
        self._job = job
        self._force = force
        self._keep = keep
        self._elsewhere = elsewhere
        self._interrupted_at: float | None = None
        self._debugged_at = -STEP_SECONDS
        self._by_user = False
        self._warned = False
        self._tail = b"\n"
        self._typed = b""
        self._wakes: list[int] = []
        # The service may not read what is typed or pasted: a full terminal must not hold up Ctrl-C and its output.
        os.set_blocking(terminal.descriptor, False)

    def run(self, tick: Callable[[], None], *, wake: int | None = None) -> Ended:
        """Carry bytes until the unit ends; `tick` is called a few times a second between them.

        With `wake` it is called at once where something can be read there, and it may start the unit again (`become`),
        so that only Ctrl-C ends the run.
        """
        self._wakes = [] if wake is None else [wake]
        with raw_terminal(), signals(self._hear, self.fit):
            said = False
            while True:
                ended = self._job.poll() is not None
                if ended and (wake is None or self._by_user):
                    break
                if ended and not said:
                    self.say("it has ended; the next save starts it again, Ctrl-C leaves")
                said = ended
                self._carry(TICK)
                self._remind()
                self._terminal.recover()
                self.is_debugged()
                tick()
            while self._carry(0.0):
                pass
        return Ended(self._by_user)

    def become(self, job: Popen[bytes]) -> None:
        """Another start of the unit takes the place of the one before, which has ended."""
        self._job = job

    def wait(self, seconds: float) -> bool:
        """Carry bytes until the unit has ended, `seconds` at most; whether it has."""
        deadline, self._wakes, wakes = time.monotonic() + seconds, [], self._wakes
        while self._job.poll() is None and time.monotonic() < deadline:
            self._carry(0.05)
        self._wakes = wakes
        return self._job.poll() is not None

    @property
    def interrupted(self) -> bool:
        """Whether the person has ended the run."""
        return self._by_user

    def is_debugged(self) -> bool:
        """Whether somebody has stopped it, at a prompt or in an editor, or has just let it go: for one step, maybe."""
        now = time.monotonic()
        if self._terminal.is_at_prompt() or (self._elsewhere and self._terminal.is_occupied()):
            self._debugged_at = now
        return now - self._debugged_at < STEP_SECONDS

    def _carry(self, seconds: float) -> bool:
        """Move what is there in both directions; False when there was nothing."""
        sources = [self._terminal.descriptor, *self._wakes]
        if sys.stdin.isatty():
            sources.append(sys.stdin.fileno())
        full = [self._terminal.descriptor] if self._typed else []
        try:
            ready, writable, _ = select.select(sources, full, [], seconds)
        except InterruptedError:
            return True
        carried = False
        if writable:
            self._type()
        for source in ready:
            if source in self._wakes:
                continue
            carried |= self._output() if source == self._terminal.descriptor else self._keys(source)
        return carried

    def _output(self) -> bool:
        try:
            read = os.read(self._terminal.descriptor, CHUNK)
        except BlockingIOError:
            return False
        except OSError:  # EIO: nobody has the other end open (pts(4)); it may be opened again
            time.sleep(0.01)
            return False
        if read:
            self._tail = (self._tail + read)[-256:]
            if not self._terminal.is_at_prompt():
                self._keep(read)
            write_all(sys.stdout.fileno(), read)
        return bool(read)

    def _keys(self, source: int) -> bool:
        keys = os.read(source, CHUNK)
        if not keys:
            return False
        if self._terminal.is_at_prompt():
            if QUIT in keys:
                self._by_user = True
                self._force()
                return True
        elif INTERRUPT in keys:
            self._typed = b""  # what was typed before it and not read is not meant any more
            keys = keys[keys.rindex(INTERRUPT) :]
            self._interrupt()
        self._typed += keys
        self._type()
        return True

    def _type(self) -> None:
        """Give the service as much of what was typed as its terminal takes now."""
        try:
            self._typed = self._typed[os.write(self._terminal.descriptor, self._typed) :]
        except BlockingIOError:
            if INTERRUPT in self._typed:  # not even that gets through: the line it does not read is thrown away
                termios.tcflush(self._terminal.descriptor, termios.TCOFLUSH)

    def _interrupt(self) -> None:
        """The first Ctrl-C goes to the service alone; the second one ends it, unless it waits at a prompt."""
        now = time.monotonic()
        again = self._interrupted_at is not None and now - self._interrupted_at < AGAIN_SECONDS
        if again and not self._at_prompt():
            self._force()
        self._interrupted_at, self._by_user, self._warned = now, True, False

    def _at_prompt(self) -> bool:
        """A program's own prompt is output that ends in the middle of a line, with a space, as every shell's does."""
        return self._terminal.is_at_prompt() or self._tail.endswith(b" ")

    def _remind(self) -> None:
        late = self._interrupted_at is not None and time.monotonic() - self._interrupted_at > PATIENCE
        if late and not self._warned and not self._at_prompt():
            self._warned = True
            self.say("it has not ended yet; Ctrl-C again ends it for good")

    def say(self, text: str) -> None:
        """A line of devswap's own between the service's."""
        start = "" if self._tail.endswith(b"\n") else "\r\n"
        lines = mask(text).replace("\n", "\r\n")
        write_all(sys.stderr.fileno(), f"{start}devswap: {lines}\r\n".encode())
        self._tail = b"\n"

    def _hear(self) -> None:
        """An interrupt from elsewhere (kill -INT, no terminal) counts as Ctrl-C."""
        self._interrupt()
        self._typed = INTERRUPT
        self._type()

    def fit(self) -> None:
        """Give the service's terminal the size of the user's."""
        columns, rows = shutil.get_terminal_size()
        self._terminal.resize(rows, columns)


@contextmanager
def raw_terminal() -> Iterator[None]:
    """Raw mode on the user's terminal, put back whatever happens: its keys mean something to the other one."""
    if not sys.stdin.isatty():
        yield
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setraw(descriptor)
        yield
    finally:
        with suppress(termios.error):  # the terminal has gone
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


@contextmanager
def signals(interrupt: Callable[[], None], resize: Callable[[], None]) -> Iterator[None]:
    """`resize` is called when the user's terminal has another size, `interrupt` for a SIGINT."""
    before = {signal.SIGWINCH: signal.signal(signal.SIGWINCH, lambda *_: resize())}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, lambda *_: interrupt())
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def write_all(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]
