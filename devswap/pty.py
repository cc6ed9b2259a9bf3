"""Pseudo-terminals that belong to a machine: this side in the host, the other a device in the machine."""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from dataclasses import dataclass

from devswap.rootfs import Rootfs

_TIOCGPTN = 0x80045430
_TIOCSPTLCK = 0x40045431


@dataclass(frozen=True)
class Terminal:
    """`descriptor` is our end; `path` is the device a process in the machine opens."""

    descriptor: int
    path: str

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def close(self) -> None:
        """Whoever has the other end as its terminal is hung up."""
        os.close(self.descriptor)


def open_terminal(files: Rootfs) -> Terminal:
    """A new terminal in the machine's own /dev/pts, so that /dev/tty and isatty(3) hold inside it (pts(4))."""
    descriptor = files.open("/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY)
    number = struct.unpack("I", fcntl.ioctl(descriptor, _TIOCGPTN, b"\0" * 4))[0]
    fcntl.ioctl(descriptor, _TIOCSPTLCK, struct.pack("i", 0))
    return Terminal(descriptor, f"/dev/pts/{number}")
