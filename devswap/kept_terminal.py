"""Terminals that outlive the person's own: started, listed, attached to, left."""

from __future__ import annotations

import json
import os
import select
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devswap import frames, process
from devswap.errors import DevswapError, NotWhole
from devswap.foreground import CHUNK, INTERRUPT, raw_terminal, signals, write_all
from devswap.frames import Reader
from devswap.journal import Owner, make_private
from devswap.terminal_keeper import SOCKET

_LEAVE = b"\x1d"
_SECONDS = 10.0


@dataclass(frozen=True)
class Kept:
    """One that is there."""

    path: Path
    pid: int
    """Of the devswap that runs on it."""
    since: str
    attached: Sequence[Mapping[str, str]]
    """Who: user and terminal."""

    @property
    def people(self) -> str:
        return ", ".join(f"{who['user']} on {who['terminal'] or '?'}" for who in self.attached)


@dataclass(frozen=True)
class Left:
    """How attaching ended. `code` is that of the command, where it has ended."""

    code: int | None


def is_inside(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this devswap runs on one."""
    return SOCKET in environment


def tell_serving(service: str, environment: Mapping[str, str] = os.environ) -> None:
    """Who waits for `service` may go; nothing where this devswap runs on an ordinary terminal."""
    if SOCKET not in environment:
        return
    try:
        with _connected(Path(environment[SOCKET])) as connection:
            frames.send(connection, frames.SERVING, service.encode())
    except OSError:  # a keeper that was killed: the run ends with it anyway
        return


def start(state: Path, argv: Sequence[str]) -> Path:
    """Run devswap with `argv` on a terminal that is kept; the path of its socket, which answers."""
    folder = state / "terminals"
    make_private(folder)
    path = folder / f"{os.getpid()}.sock"
    path.unlink(missing_ok=True)  # of a process with this number long ago
    program = [sys.executable, "-P", "-m"]
    # In a session of its own: a lost ssh connection hangs up the person's terminal only.
    keeper = process.popen(
        [*program, "devswap.terminal_keeper", str(path), *program, "devswap.cli", *argv],
        stdin=process.DEVNULL,
        stdout=process.DEVNULL,
        stderr=process.DEVNULL,
        new_session=True,
    )
    try:
        _wait_for(path)
    except BaseException:  # Ctrl-C above all: what it began, or was about to, is hung up on
        keeper.kill()
        raise
    return path


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + _SECONDS
    while look(path) is None:
        if time.monotonic() > deadline:
            raise DevswapError(f"no terminal began within {_SECONDS:.0f} s", hint="without one: --no-terminal")
        time.sleep(0.05)


def all_of(state: Path) -> Iterator[Kept]:
    """Those there are; the sockets of keepers that were killed are removed."""
    for path in sorted((state / "terminals").glob("*.sock")):
        found = look(path)
        if found is not None:
            yield found
        else:
            path.unlink(missing_ok=True)


def look(path: Path) -> Kept | None:
    """None where nobody answers."""
    try:
        with _connected(path) as connection:
            frames.send(connection, frames.ASK, b"")
            reader = Reader(connection)
            while not reader.ended:
                for _, content in reader.frames():
                    told = json.loads(content)
                    return Kept(path, told["pid"], told["since"], told["attached"])
    except OSError:
        return None
    return None


def attach(path: Path, who: Owner, *, until: Sequence[str] = ()) -> Left:
    """Show it on this terminal and type into it, until the person leaves it (Ctrl-]) or its command ends.

    Also until all services of `until` have answered.
    """
    with _connected(path) as connection:
        connection.settimeout(None)
        frames.send_json(connection, frames.HELLO, {"user": who.user, "terminal": who.terminal})

        def interrupt() -> None:
            frames.send(connection, frames.KEYS, INTERRUPT)

        def fit() -> None:
            columns, rows = shutil.get_terminal_size()
            frames.send_json(connection, frames.SIZE, [rows, columns])

        with raw_terminal(), signals(interrupt, fit):
            fit()
            return _carry(connection, set(until))


def _carry(connection: socket.socket, wanted: set[str]) -> Left:
    reader = Reader(connection)
    sources: list[Any] = [connection, *([sys.stdin.fileno()] if sys.stdin.isatty() else [])]
    while not reader.ended:
        ready, _, _ = select.select(sources, [], [])
        if connection in ready:
            for kind, content in reader.frames():
                if kind == frames.OUTPUT:
                    write_all(sys.stdout.fileno(), content)
                elif kind == frames.ENDED:
                    return Left(_code(json.loads(content)))
                elif kind == frames.TOLD and wanted and wanted <= set(json.loads(content)["serving"]):
                    return Left(None)
        if len(sources) > 1 and sources[1] in ready:
            keys = os.read(sources[1], CHUNK)
            if _LEAVE in keys or not keys:
                return Left(None)
            frames.send(connection, frames.KEYS, keys)
    raise DevswapError("the terminal that was kept has gone", hint="devswap status")


def _code(ended: int) -> int:
    """Raises NotWhole for a devswap that was killed, and has brought nothing back."""
    if ended < 0:
        raise NotWhole(
            f"the devswap on that terminal was killed (signal {-ended})",
            hint="devswap status shows what it has left; devswap restore gives production back",
        )
    return ended


def _connected(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(_SECONDS)
    try:
        connection.connect(str(path))
    except OSError:
        connection.close()
        raise
    return connection
