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
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from devswap.errors import Busy, DevswapError, NotWhole
from devswap.host import Host
from devswap.journal import Owner, make_private

RESTORE = "restore"
_SECONDS = 120.0
_ROOM = 1024
"""Bytes of a claim's file, which never get fewer: where the disk is full, there is room for a name that was before."""
# So long a lock may be that of one who only looks, or of a holder that has not said yet who it is.
_TRIES = 10
_PAUSE = 0.05


class _Late(DevswapError):
    """Whoever was told to end has not: what was to be brought back is not."""


@dataclass(frozen=True)
class Holder:
    """Who works on a swap, and with which command."""

    owner: Owner
    doing: str
    began: str = ""
    """When the owner's process did, in the kernel's own count: its number may be another's by now."""
    since: str = ""
    """When it took the claim, for people."""


@contextmanager
def held(host: Host, service: str, machine: str, doing: str, *, take_over: bool) -> Iterator[None]:
    """The claim on a swap, for as long as it is worked on."""

    def busy(found: Holder) -> None:
        owner, told = found.owner, where(found)
        if found.doing == RESTORE:
            host.say(f"waiting for the restore of {told}")
            return
        if (owner.uid, owner.host) != (host.owner.uid, host.owner.host) and not take_over:
            raise DevswapError(
                f"{service} is in the hands of {told}: devswap {found.doing}{_since(found)}",
                hint="ask them, or say --take-over",
            )
        host.say(f"ending devswap {found.doing} of {told}")
        end(found)

    holder = Holder(host.owner, doing, since=host.now())
    with claim(host.journals.claim_path(service, machine), holder, busy=busy):
        yield


@contextmanager
def held_if_free(host: Host, service: str, machine: str, doing: str) -> Iterator[None]:
    """As `held`, but nothing is ended for it: raises Busy where anybody works on the swap. A restore is waited for."""

    def busy(found: Holder) -> None:
        if found.doing == RESTORE:
            host.say(f"waiting for the restore of {where(found)}")
            return
        ours = (found.owner.uid, found.owner.host) == (host.owner.uid, host.owner.host)
        raise Busy(
            f"devswap {found.doing} of {where(found)} works on {service}, and devswap {doing} ends nothing",
            hint=f"Ctrl-C there, or kill {found.owner.pid}; then try again" if ours else "ask them",
        )

    with claim(host.journals.claim_path(service, machine), Holder(host.owner, doing), busy=busy):
        yield


def where(found: Holder) -> str:
    """For a person: which process of whom."""
    owner = found.owner
    return f"{owner.user} on {owner.terminal or owner.host} (process {owner.pid})"


def _since(found: Holder) -> str:
    return f" since {found.since}" if found.since else ""


@contextmanager
def claim(
    path: Path, holder: Holder, *, busy: Callable[[Holder], None], seconds: float | None = _SECONDS
) -> Iterator[None]:
    """Hold the claim `path`. `busy` is told who has it: it raises, or makes room, and then the claim is waited for.

    A restore under way is waited for as long as it takes, and everybody is without `seconds`.
    """
    make_private(path.parent)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            _take(descriptor, path, busy, seconds)
        except _Late as error:
            if holder.doing == RESTORE:
                raise NotWhole(error.message, hint=error.hint) from error
            raise
        _write(descriptor, json.dumps(asdict(replace(holder, began=_began(holder.owner.pid)))))
        try:
            yield
        finally:  # who meets the next lock on it must not take us for its holder
            _write(descriptor, "")
    finally:
        os.close(descriptor)


def holder(path: Path) -> Holder | None:
    """Who holds the claim `path` now; None where nobody does."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        return None if _try_for_a_while(descriptor, path, fcntl.LOCK_SH) else _read(path)
    finally:
        os.close(descriptor)


def end(found: Holder) -> None:
    """Ask the holder's process to end; it rolls back what it has begun. Another one of its number is left alone."""
    if _lives(found):
        with suppress(ProcessLookupError):
            os.kill(found.owner.pid, signal.SIGTERM)
            os.kill(found.owner.pid, signal.SIGCONT)  # one that was stopped (Ctrl-Z) would hear of it when it goes on


def _lives(found: Holder) -> bool:
    return found.began != "" and found.began == _began(found.owner.pid)


def _began(pid: int) -> str:
    """When the process did, in ticks since the kernel's start (proc(5)); empty where there is none."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return told.rpartition(")")[2].split()[19]  # its name, before that, may hold anything


def _take(descriptor: int, path: Path, busy: Callable[[Holder], None], seconds: float | None) -> None:
    if _try_for_a_while(descriptor, path, fcntl.LOCK_EX):
        return
    began, told = time.monotonic(), None
    while not _try(descriptor, fcntl.LOCK_EX):
        found = _read(path)
        if found is not None and found != told:  # the first, or one that was quicker than we when that let go
            began, told = time.monotonic(), found
            busy(found)
        late = seconds is not None and time.monotonic() > began + seconds
        if late and not (found and found.doing == RESTORE):
            known = found is not None and _lives(found)
            who = f"process {found.owner.pid} of {found.owner.user}" if found and known else "another devswap"
            raise _Late(
                f"{who} still works on this swap after {seconds:.0f} s",
                hint=f"kill -9 {found.owner.pid}, then try again" if found and known else "try again",
            )
        time.sleep(_PAUSE)


def _try_for_a_while(descriptor: int, path: Path, kind: int) -> bool:
    """Whether the lock is ours. Who is named in the file has it for sure only where that very process still lives."""
    for _ in range(_TRIES):
        if _try(descriptor, kind):
            return True
        found = _read(path)
        if found is not None and _lives(found):
            return False
        time.sleep(_PAUSE)
    return _try(descriptor, kind)


def _try(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write(descriptor: int, text: str) -> None:
    """In the place of what is there."""
    with suppress(OSError):  # a full disk: the claim is ours all the same, and a way back must go on
        os.pwrite(descriptor, text.encode().ljust(max(_ROOM, os.fstat(descriptor).st_size)), 0)


def _read(path: Path) -> Holder | None:
    """None in the instant between a holder's lock and its first word."""
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        return Holder(Owner(**read["owner"]), read["doing"], read.get("began", ""), read.get("since", ""))
    except (OSError, ValueError, KeyError, TypeError):
        return None
