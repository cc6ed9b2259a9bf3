"""What is under way in a machine that is frozen is given up: its caller would wait as long as that lasts."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BufferedReader
from typing import IO, cast

from devswap import process
from devswap.errors import DevswapError
from devswap.machine import Machine

LOOK_SECONDS = 1.0
_SECONDS = 10.0
"""A backup freezes a machine for less."""
_AT_ONCE = select.PIPE_BUF
"""So much goes into a pipe that is ready, without waiting for whoever reads it."""
_CHUNK = 1 << 18


def told(address: str) -> DevswapError:
    """The error for whoever was, or would be, kept waiting."""
    name = address.rpartition(":")[2]
    return DevswapError(f"cannot run anything in {address}: it is frozen", hint=f"lxc-unfreeze -n {name}")


class Watch:
    """Of one command in the machine at `address`, by whoever waits for it."""

    def __init__(self, address: str, is_frozen: Callable[[], bool], *, seconds: float = _SECONDS) -> None:
        self._address = address
        self._is_frozen = is_frozen
        self._seconds = seconds
        self._since: float | None = None

    def look(self) -> None:
        """To be called while nothing happens; raises DevswapError once the machine has been frozen for too long."""
        if not self._is_frozen():
            self._since = None
            return
        self._since = self._since or time.monotonic()
        if time.monotonic() - self._since >= self._seconds:
            raise told(self._address)

    def read(self, stream: IO[bytes]) -> Iterator[bytes]:
        """What comes out of a pipe, to its end."""
        while True:
            while not select.select([stream], [], [], LOOK_SECONDS)[0]:
                self.look()
            chunk = cast(BufferedReader, stream).read1(_CHUNK)  # what there is, without waiting for more
            if not chunk:
                return
            yield chunk

    def fill(self, stream: IO[bytes], pieces: Iterable[bytes]) -> None:
        """All of them into a pipe, and its end; whoever reads may give up before, and says elsewhere why."""
        with suppress(BrokenPipeError), stream:  # to close it, too, is to write what is left
            for piece in pieces:
                self._write(stream, piece)

    def _write(self, stream: IO[bytes], content: bytes) -> None:
        for begin in range(0, len(content), _AT_ONCE):
            while not select.select([], [stream], [], LOOK_SECONDS)[1]:
                self.look()
            stream.write(content[begin : begin + _AT_ONCE])
            stream.flush()


@contextmanager
def streaming(
    machine: Machine, argv: Sequence[str], *, stdout: int = process.DEVNULL
) -> Iterator[tuple[process.Popen[bytes], Watch]]:
    """`argv` at work in the machine, and the watch of its pipes; what is given up is ended as far as it can be.

    It has no deadline: what is much takes its time.
    """
    watch = Watch(machine.address, machine.is_frozen)
    with machine.popen(argv, stdin=process.PIPE, stdout=stdout, stderr=process.PIPE) as tool:
        try:
            yield tool, watch
        except DevswapError:
            tool.kill()
            raise
