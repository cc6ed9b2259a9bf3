"""One devswap at a time works on a swap: from the first look of a checkout to the end of its foreground run.

The claim is a lock on a file, which the kernel drops when its holder dies, however it dies. The file says who holds it
and what for, so that the next one can be told, or end the holder and wait.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from devswap.errors import DevswapError
from devswap.host import Host
from devswap.journal import Owner, make_private

RESTORE = "restore"
_SECONDS = 120.0


@dataclass(frozen=True)
class Holder:
    """Who works on a swap, and with which command."""

    owner: Owner
    doing: str


@contextmanager
def held(host: Host, service: str, machine: str, doing: str, *, take_over: bool) -> Iterator[None]:
    """The claim on a swap, for as long as it is worked on."""

    def busy(found: Holder) -> None:
        owner = found.owner
        where = f"{owner.user} on {owner.terminal or owner.host} (process {owner.pid})"
        if found.doing == RESTORE:
            host.say(f"waiting for the restore of {where}")
            return
        if (owner.uid, owner.host) != (host.owner.uid, host.owner.host) and not take_over:
            raise DevswapError(
                f"{service} is in the hands of {where}: devswap {found.doing}", hint="ask them, or say --take-over"
            )
        host.say(f"ending devswap {found.doing} of {where}")
        end(found)

    with claim(host.journals.claim_path(service, machine), Holder(host.owner, doing), busy=busy):
        yield


@contextmanager
def claim(path: Path, holder: Holder, *, busy: Callable[[Holder], None]) -> Iterator[None]:
    """Hold the claim `path`. `busy` is told who has it: it raises, or makes room, and then the claim is waited for.

    A restore under way is waited for as long as it takes.
    """
    make_private(path.parent)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        _take(descriptor, path, busy)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(asdict(holder)).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def holder(path: Path) -> Holder | None:
    """Who holds the claim `path` now; None where nobody does."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        return None if _try(descriptor) else _read(path)
    finally:
        os.close(descriptor)


def end(found: Holder) -> None:
    """Ask the holder's process to end; it rolls back what it has begun."""
    with suppress(ProcessLookupError):
        os.kill(found.owner.pid, signal.SIGTERM)


def _take(descriptor: int, path: Path, busy: Callable[[Holder], None]) -> None:
    if _try(descriptor):
        return
    found = _read(path)
    if found is not None:
        busy(found)
    deadline = time.monotonic() + _SECONDS
    while not _try(descriptor):
        found = _read(path)
        if time.monotonic() > deadline and not (found and found.doing == RESTORE):
            who = f"process {found.owner.pid} of {found.owner.user}" if found else "another devswap"
            raise DevswapError(
                f"{who} still works on this swap after {_SECONDS:.0f} s",
                hint=f"kill -9 {found.owner.pid}, then try again" if found else "try again",
            )
        time.sleep(0.05)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(path: Path) -> Holder | None:
    """None in the instant between a holder's lock and its first word."""
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        return Holder(Owner(**read["owner"]), read["doing"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
