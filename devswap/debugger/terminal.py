"""The terminal of the foreground run, for the one who stops at a breakpoint: one at a time, and left sane.

A forked worker has lost its standard input, and often the session whose terminal this is: so the terminal is opened by
its name. The keys that send signals send none while somebody is at a prompt: they would reach the process that owns
the terminal, which is the service's parent, and end it.

Who has the terminal holds a lock (flock(2)) on the device; the kernel drops it when its holder dies.
"""

import copy
import errno
import fcntl
import os
import signal
import sys
import termios
import time
from contextlib import contextmanager, suppress
from typing import Any, Callable, Iterator, List

INTERRUPT = b"\x03"
_SIGNALS = {termios.VINTR: INTERRUPT, termios.VQUIT: b"\x1c", termios.VSUSP: b"\x1a"}
_NONE = b"\0"
_POLL = 0.05
_POLITE = 10
"""So many looks in turn must find the terminal free: who steps through code has let go of it for a moment only."""


class Terminal:
    """The terminal at `path`, while this process has it for a prompt."""

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor

    def read(self) -> bytes:
        return os.read(self.descriptor, 4096)

    def write(self, text: str) -> None:
        os.write(self.descriptor, text.replace("\n", "\r\n").encode(errors="replace"))


def exists(path: str) -> bool:
    """Whether there is a terminal for prompts: not in a detached run, nor after its devswap has gone."""
    try:
        os.close(_open(path))
    except OSError:
        return False
    return True


queue = ""
"""A file that whoever waits for the terminal has locked meanwhile; empty where there is none."""


def is_wanted() -> bool:
    """Whether somebody waits for the terminal."""
    with suppress(FileNotFoundError), open(queue) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


@contextmanager
def lent(path: str) -> Iterator[Terminal]:
    """Have its keys while nobody is at a prompt; raises OSError where somebody is."""
    terminal = Terminal(path, _open(path))
    try:
        fcntl.flock(terminal.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with _silent_keys(terminal.descriptor):
            yield terminal
    finally:
        fcntl.flock(terminal.descriptor, fcntl.LOCK_UN)
        os.close(terminal.descriptor)


@contextmanager
def occupied(path: str) -> Iterator[None]:
    """Seen to have stopped, without the terminal's keys: in an editor elsewhere. Several may be so at once."""
    try:
        descriptor = _open(path)
    except OSError:  # a run that has none
        descriptor = -1
    try:
        if descriptor >= 0:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        if descriptor >= 0:
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # a child forked meanwhile has it open as well
            os.close(descriptor)


@contextmanager
def held(path: str, waiting: Callable[[Terminal], None], *, resuming: bool) -> Iterator[Terminal]:
    """Have the terminal; where another has it `waiting` is called once, then it is waited for.

    `resuming` is who has just had it, and steps through code.
    """
    terminal = Terminal(path, _open(path))
    try:
        _lock(terminal, waiting, resuming=resuming)
        with _silent_keys(terminal.descriptor), _standard_streams(terminal.descriptor):
            yield terminal
    finally:
        # not only by closing it: a child forked meanwhile has it open as well
        fcntl.flock(terminal.descriptor, fcntl.LOCK_UN)
        os.close(terminal.descriptor)


def _open(path: str) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY)
    if not os.isatty(descriptor):
        os.close(descriptor)
        raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY), path)
    return descriptor


def _lock(terminal: Terminal, waiting: Callable[[Terminal], None], *, resuming: bool) -> None:
    needed = 1
    free = 0
    if not resuming and not _try(terminal.descriptor):
        waiting(terminal)
        needed = _POLITE
    with _in_queue(needed):
        while True:
            free = free + 1 if _try(terminal.descriptor) else 0
            if free >= needed:
                return
            if free:
                fcntl.flock(terminal.descriptor, fcntl.LOCK_UN)
            time.sleep(_POLL)  # eventlet's, where it has replaced it: other greenthreads go on


@contextmanager
def _in_queue(needed: int) -> Iterator[None]:
    """Seen to wait, by `is_wanted`."""
    if needed == 1 or not queue:
        yield
        return
    with open(queue, "a") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise
        return False
    return True


@contextmanager
def _silent_keys(descriptor: int) -> Iterator[None]:
    """No key sends a signal. Ctrl-C ends a line, so that it can be read at once where lines are read."""
    before = termios.tcgetattr(descriptor)
    with _in_front(descriptor):
        try:
            termios.tcsetattr(descriptor, termios.TCSADRAIN, _changed(before, quiet=True))
            yield
        finally:
            termios.tcsetattr(descriptor, termios.TCSADRAIN, _changed(before, quiet=False))


def _changed(attributes: List[Any], *, quiet: bool) -> List[Any]:
    """For a prompt, or as a service should find it, whatever somebody who was killed at a prompt has left.

    The keys lose their meaning one by one: readline would switch all of them on again.
    """
    changed = copy.deepcopy(attributes)
    changed[3] |= termios.ICANON | termios.ECHO | termios.ISIG
    for number, key in _SIGNALS.items():
        changed[6][number] = _NONE if quiet else key
    changed[6][termios.VEOL] = INTERRUPT if quiet else _NONE
    return changed


@contextmanager
def _in_front(descriptor: int) -> Iterator[None]:
    """A process in the background of the terminal's session is stopped when it reads or changes it (setpgid(2))."""
    masked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTTOU])
    front = None
    try:
        with suppress(OSError):  # another session's terminal: nobody minds
            front = os.tcgetpgrp(descriptor)
        if front is not None and front != os.getpgrp():
            os.tcsetpgrp(descriptor, os.getpgrp())
        yield
    finally:
        if front is not None and front != os.getpgrp():
            with suppress(OSError):  # that group has ended
                os.tcsetpgrp(descriptor, front)
        signal.pthread_sigmask(signal.SIG_SETMASK, masked)


@contextmanager
def _standard_streams(descriptor: int) -> Iterator[None]:
    """Python edits lines on descriptors 0 and 1 only, and only where sys.stdin and sys.stdout are these."""
    saved = {number: _replace(descriptor, number) for number in (0, 1)}
    streams = sys.stdin, sys.stdout
    try:
        source = open(0, closefd=False, errors="replace")  # noqa: SIM115 - it is one, in the next line
        with source, open(1, "w", closefd=False, errors="replace") as target:
            sys.stdin, sys.stdout = source, target
            yield
    finally:
        sys.stdin, sys.stdout = streams
        for number, copy in saved.items():
            _put_back(copy, number)


def _replace(descriptor: int, number: int) -> int:
    """Make `number` lead to the terminal. A copy of what it was, -1 where it was closed."""
    try:
        copy = os.dup(number)
    except OSError:
        copy = -1
    os.dup2(descriptor, number)
    return copy


def _put_back(copy: int, number: int) -> None:
    if copy < 0:
        os.close(number)
        return
    os.dup2(copy, number)
    os.close(copy)
