"""Pseudo-terminals that belong to a machine: this side in the host, the other a device in the machine."""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from devswap.rootfs import Rootfs

_TIOCGPTN = 0x80045430
_TIOCSPTLCK = 0x40045431
_TIOCGPTPEER = 0x5441


_LARGEST = 0xFFFF


def resize(descriptor: int, rows: int, columns: int) -> None:
    """Give a terminal that size, as far as it can have it: $COLUMNS may say anything."""
    size = [min(max(each, 0), _LARGEST) for each in (rows, columns)]
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))


@dataclass(frozen=True)
class Terminal:
    """`descriptor` is our end; `path` is the device a process in the machine opens."""

    descriptor: int
    path: str

    def resize(self, rows: int, columns: int) -> None:
        resize(self.descriptor, rows, columns)

    def is_at_prompt(self) -> bool:
        """Whether somebody reads keys who wants Ctrl-C for himself: no key sends a signal then (termios(3))."""
        keys: list[bytes] = termios.tcgetattr(self.descriptor)[6]  # this side shows the other's settings
        return keys[termios.VINTR] == b"\0"

    def is_occupied(self) -> bool:
        """Whether somebody has stopped in an editor: their lock is on the device, which must be nobody's prompt's.

        This look keeps others from it for an instant: who waits for the lock has it at once, who does not misses it.
        """
        with self._other_end() as other:
            try:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def recover(self) -> None:
        """Put the terminal right if whoever was at a prompt was killed there: its lock on the device is gone then."""
        if not self.is_at_prompt():
            return
        with self._other_end() as other:
            try:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            settings = termios.tcgetattr(other)
            settings[3] |= termios.ISIG | termios.ICANON | termios.ECHO
            settings[6][termios.VINTR], settings[6][termios.VQUIT] = b"\x03", b"\x1c"
            termios.tcsetattr(other, termios.TCSANOW, settings)

    @contextmanager
    def _other_end(self) -> Iterator[int]:
        other = fcntl.ioctl(self.descriptor, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY)
        try:
            yield other
        finally:
            os.close(other)

    def close(self) -> None:
        """Whoever has the other end as its terminal is hung up."""
        os.close(self.descriptor)


def open_terminal(files: Rootfs) -> Terminal:
    """A new terminal in the machine's own /dev/pts, so that /dev/tty and isatty(3) hold inside it (pts(4))."""
    descriptor = files.open("/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY)
    number = struct.unpack("I", fcntl.ioctl(descriptor, _TIOCGPTN, b"\0" * 4))[0]
    fcntl.ioctl(descriptor, _TIOCSPTLCK, struct.pack("i", 0))
    return Terminal(descriptor, f"/dev/pts/{number}")
