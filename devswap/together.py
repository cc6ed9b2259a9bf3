"""Runs development of several services on this one terminal: their lines with their names, their prompts in turn.

Each service owns a terminal of its own machine, as in foreground.py. Whoever stops at a prompt has the user's terminal
to itself: it gets the keys and shows what it writes as it is, and the lines of the others wait. Another one that stops
meanwhile waits for that prompt's end.
"""

from __future__ import annotations

import os
import select
import shutil
import sys
import termios
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from devswap.foreground import (
    AGAIN_SECONDS,
    CHUNK,
    INTERRUPT,
    PATIENCE,
    QUIT,
    STEP_SECONDS,
    TICK,
    Ended,
    raw_terminal,
    signals,
    write_all,
)
from devswap.masking import mask
from devswap.process import Popen
from devswap.pty import Terminal

_COLOURS = (36, 33, 35, 32, 34, 31)
_KEPT_LINES = 5000


@dataclass
class Part:
    """One service. `job` ends when its unit does; `force` ends the unit when it does not listen."""

    name: str
    terminal: Terminal
    job: Popen[bytes]
    force: Callable[[], None]
    keep: Callable[[bytes], None]
    """Gets what it writes, but for what it says to somebody at a prompt."""
    prefix: bytes = b""
    unfinished: bytes = b""
    """The beginning of a line, or what a prompt that waits has written."""
    ended: Ended | None = None
    typed: bytes = b""
    waits: bool = field(default=False)
    """At a prompt while another has the terminal, which is said once."""

    def type(self, keys: bytes) -> None:
        """Give it as much of what was typed as its terminal takes now; the rest with the next look."""
        self.typed += keys
        try:
            self.typed = self.typed[os.write(self.terminal.descriptor, self.typed) :]
        except BlockingIOError:
            if INTERRUPT in self.typed:  # the line it does not read is thrown away
                termios.tcflush(self.terminal.descriptor, termios.TCOFLUSH)

    def read(self) -> bytes:
        try:
            return os.read(self.terminal.descriptor, CHUNK)
        except BlockingIOError:
            return b""
        except OSError:  # EIO: nobody has the other end open (pts(4)); it may be opened again
            time.sleep(0.01)
            return b""


class Together:
    """One run of several services on the terminal."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self._focus: Part | None = None
        """Who is at the prompt that has the terminal."""
        self._left_at = 0.0
        self._held: deque[bytes] = deque(maxlen=_KEPT_LINES)
        self._tail = b"\n"
        self._interrupted_at: float | None = None
        self._warned = False
        width, coloured = max(len(part.name) for part in parts), sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        for number, part in enumerate(parts):
            os.set_blocking(part.terminal.descriptor, False)
            text = f"{part.name:{width}} | ".encode()
            colour = _COLOURS[number % len(_COLOURS)]
            part.prefix = b"\033[%dm%s\033[0m" % (colour, text) if coloured else text

    def run(self, tick: Callable[[], None]) -> Mapping[str, Ended]:
        """Carry bytes until all units have ended; `tick` is called a few times a second between them."""
        with raw_terminal(), signals(self._interrupt, self.fit):
            while self._look_who_runs():
                self._carry(TICK)
                self._take_turns()
                self._remind()
                for part in self._running():
                    part.terminal.recover()
                tick()
        return {part.name: part.ended or Ended(by_user=True) for part in self._parts}

    def fit(self) -> None:
        """Give the services' terminals the size of the user's."""
        columns, rows = shutil.get_terminal_size()
        for part in self._parts:
            part.terminal.resize(rows, columns)

    def say(self, text: str) -> None:
        """A line of devswap's own between the services'."""
        self._begin_line()
        lines = mask(text).replace("\n", "\r\n")
        write_all(sys.stderr.fileno(), f"devswap: {lines}\r\n".encode())

    def is_debugged(self) -> bool:
        """Whether anybody of them has stopped: the others may wait for it."""
        return self._focus is not None or any(part.terminal.is_at_prompt() for part in self._running())

    def _running(self) -> list[Part]:
        return [part for part in self._parts if part.ended is None]

    def _look_who_runs(self) -> bool:
        for part in self._running():
            if part.job.poll() is not None:
                self._end(part)
        return bool(self._running())

    def _end(self, part: Part) -> None:
        while read := part.read():
            self._show_lines(part, read)
        if part.unfinished:
            self._show_lines(part, b"\r\n")
        by_user = self._interrupted_at is not None
        part.ended = Ended(by_user)
        if part is self._focus:
            self._leave()
        if not by_user and self._running():
            self.say(f"{part.name} has ended by itself; Ctrl-C ends the others")

    def _carry(self, seconds: float) -> None:
        """Move what is there in both directions."""
        running = {part.terminal.descriptor: part for part in self._running()}
        sources = [*running, *([sys.stdin.fileno()] if sys.stdin.isatty() else [])]
        full = [part.terminal.descriptor for part in running.values() if part.typed]
        try:
            ready, writable, _ = select.select(sources, full, [], seconds)
        except InterruptedError:
            return
        for descriptor in writable:
            running[descriptor].type(b"")
        for source in ready:
            if source in running:
                self._output(running[source])
            else:
                self._keys(os.read(source, CHUNK))

    # --- what they write --------------------------------------------------------------------------------------------

    def _output(self, part: Part) -> None:
        read = part.read()
        if not part.terminal.is_at_prompt():
            self._show_lines(part, read)
        elif self._focus in (None, part):
            self._enter(part)
            self._show(read)
        else:
            part.unfinished += read
            if not part.waits:
                part.waits = True
                self.say(f"{part.name} has stopped too, and waits for this prompt's end")

    def _show_lines(self, part: Part, read: bytes) -> None:
        part.keep(read)
        *lines, part.unfinished = (part.unfinished + read).split(b"\n")
        if part is self._focus:  # between two steps, or when it goes on
            self._begin_line()
            self._show(b"".join(part.prefix + line + b"\n" for line in lines))
            return
        self._held.extend(part.prefix + line + b"\n" for line in lines)
        if self._focus is None:
            self._release()

    def _release(self) -> None:
        """What was written while somebody had the terminal."""
        if self._held:
            self._begin_line()
        while self._held:
            self._show(self._held.popleft())

    def _begin_line(self) -> None:
        if not self._tail.endswith(b"\n"):
            self._show(b"\r\n")

    def _show(self, content: bytes) -> None:
        self._tail = (self._tail + content)[-2:]
        write_all(sys.stdout.fileno(), content)

    # --- whose turn it is -------------------------------------------------------------------------------------------

    def _enter(self, part: Part) -> None:
        if self._focus is not part:
            self._begin_line()
            self._focus, part.waits = part, False
            self.say(f"this is {part.name}")
        self._left_at = 0.0
        self._show(part.unfinished)
        part.unfinished = b""

    def _leave(self) -> None:
        self._focus, self._left_at = None, 0.0
        self._release()

    def _take_turns(self) -> None:
        """The terminal goes to the next prompt once the one before is over, and not just between two steps."""
        focus, now = self._focus, time.monotonic()
        if focus is not None:
            if focus.terminal.is_at_prompt():
                self._left_at = 0.0
                return
            self._left_at = self._left_at or now
            if now - self._left_at < STEP_SECONDS:  # nobody else gets the terminal
                return
            self._leave()
        for part in self._running():
            if part.waits and part.terminal.is_at_prompt():
                self._enter(part)
                return
            part.waits = False

    # --- what the person does ---------------------------------------------------------------------------------------

    def _keys(self, keys: bytes) -> None:
        focus = self._focus
        if focus is not None and focus.terminal.is_at_prompt() and QUIT in keys:
            focus.force()
        elif INTERRUPT in keys and (focus is None or not focus.terminal.is_at_prompt()):
            self._interrupt()
        elif focus is not None:
            focus.type(keys)

    def _interrupt(self) -> None:
        """The first Ctrl-C goes to the services alone; the second one ends those that are left."""
        now = time.monotonic()
        again = self._interrupted_at is not None and now - self._interrupted_at < AGAIN_SECONDS
        self._interrupted_at, self._warned = now, False
        for part in self._running():
            part.typed = b""
            part.type(INTERRUPT)
            if again and not part.terminal.is_at_prompt():
                part.force()

    def _remind(self) -> None:
        late = self._interrupted_at is not None and time.monotonic() - self._interrupted_at > PATIENCE
        left = self._running()
        if late and left and not self._warned and not any(part.terminal.is_at_prompt() for part in left):
            self._warned = True
            names = ", ".join(part.name for part in left)
            self.say(f"{names} has not ended yet; Ctrl-C again ends it for good")
