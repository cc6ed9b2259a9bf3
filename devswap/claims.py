"""One devswap at a time works on a swap, and one runs it on a terminal.

Each claim is a lock on a file, which the kernel drops when its holder dies, however it dies. The file says who holds it
and what for, so that the next one can be told, or end the holder and wait. Who runs a swap that serves lends the claim
to work on it: another checkout is prepared meanwhile, and ends the run when everything is.

Nobody waits for the claim to work on a swap who has the one to run it: the other way round is what all do.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from devswap.errors import Busy, DevswapError
from devswap.host import Host
from devswap.journal import Owner, make_private

RESTORE = "restore"
_SECONDS = 120.0
# So long a lock may be that of one who only looks, or of a holder that has not said yet who it is.
_TRIES = 10
_PAUSE = 0.05


@dataclass(frozen=True)
class Holder:
    """Who works on a swap, and with which command."""

    owner: Owner
    doing: str
    began: str = ""
    """When the owner's process did, in the kernel's own count: its number may be another's by now."""


class Held:
    """The claim on a swap, which is worked on; `end_run` takes the one to run it as well."""

    def __init__(self, host: Host, service: str, machine: str, doing: str, busy: Callable[[Holder], None]) -> None:
        self._path, self._run_path = (
            host.journals.claim_path(service, machine),
            host.journals.run_path(service, machine),
        )
        self._holder, self._busy = Holder(host.owner, doing), busy
        self._work, self._run = ExitStack(), ExitStack()
        self._runs = self.is_lent = False
        self._work.enter_context(claim(self._path, self._holder, busy=busy))

    def end_run(self) -> None:
        """End what serves on a terminal of another devswap, if anything does; from now on it is ours to run."""
        if not self._runs:
            self._run.enter_context(claim(self._run_path, self._holder, busy=self._busy))
            self._runs = True

    def lend(self) -> None:
        """What we run serves: who prepares something else for it may do so meanwhile."""
        if self._runs:
            self._work.close()
            self.is_lent = True

    @contextmanager
    def shortly(self) -> Iterator[bool]:
        """Have a claim that was lent; false where somebody else works on the swap now."""
        with ExitStack() as taken:
            try:
                taken.enter_context(claim(self._path, self._holder, busy=_pass, seconds=0))
                free = True
            except DevswapError:
                free = False
            yield free

    def has_ended(self) -> None:
        """Our run has: whoever waits for that goes on."""
        self._run.close()
        self._runs = False

    def reclaim(self) -> None:
        """Wait for a claim that was lent, as long as it takes; what we ran must have ended."""
        if self.is_lent:
            self._work.enter_context(claim(self._path, self._holder, busy=_pass, seconds=None))
            self.is_lent = False

    def close(self) -> None:
        self._run.close()
        self._work.close()


def _pass(found: Holder) -> None:
    """Whoever it is goes on."""


@contextmanager
def held(host: Host, service: str, machine: str, doing: str, *, take_over: bool) -> Iterator[Held]:
    """The claim on a swap, for as long as it is worked on."""

    def busy(found: Holder) -> None:
        owner, told = found.owner, where(found)
        if found.doing == RESTORE:
            host.say(f"waiting for the restore of {told}")
            return
        if (owner.uid, owner.host) != (host.owner.uid, host.owner.host) and not take_over:
            raise DevswapError(
                f"{service} is in the hands of {told}: devswap {found.doing}", hint="ask them, or say --take-over"
            )
        host.say(f"ending devswap {found.doing} of {told}")
        end(found)

    found = Held(host, service, machine, doing, busy)
    try:
        yield found
    finally:
        found.close()


@contextmanager
def held_if_free(host: Host, service: str, machine: str, doing: str) -> Iterator[None]:
    """As `held`, but nothing is ended for it: raises Busy where anybody works on the swap. A restore is waited for.

    What serves on a terminal is left to serve, but for a restore, which is not for what somebody runs.
    """

    def busy(found: Holder) -> None:
        if found.doing == RESTORE:
            host.say(f"waiting for the restore of {where(found)}")
            return
        ours = (found.owner.uid, found.owner.host) == (host.owner.uid, host.owner.host)
        raise Busy(
            f"devswap {found.doing} of {where(found)} works on {service}, and devswap {doing} ends nothing",
            hint=f"Ctrl-C there, or kill {found.owner.pid}; then try again" if ours else "ask them",
        )

    wanted = [host.journals.claim_path(service, machine)]
    wanted += [host.journals.run_path(service, machine)] if doing == RESTORE else []
    with ExitStack() as taken:
        for path in wanted:
            taken.enter_context(claim(path, Holder(host.owner, doing), busy=busy))
        yield


def holders(host: Host, service: str, machine: str) -> list[Holder]:
    """Who works on a swap, and who runs it on a terminal."""
    paths = host.journals.claim_path(service, machine), host.journals.run_path(service, machine)
    return [found for found in map(holder, paths) if found is not None]


def where(found: Holder) -> str:
    """For a person: which process of whom."""
    owner = found.owner
    return f"{owner.user} on {owner.terminal or owner.host} (process {owner.pid})"


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
        _take(descriptor, path, busy, seconds)
        told = replace(holder, began=_began(holder.owner.pid))
        with suppress(OSError):  # a full disk: the claim is ours all the same, and a way back must go on
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(asdict(told)).encode(), 0)
        try:
            yield
        finally:  # who meets the next lock on it must not take us for its holder
            with suppress(OSError):
                os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def holder(path: Path) -> Holder | None:
    """Who holds the claim `path` now; None where nobody does."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
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
    found = _read(path)
    if found is not None:
        busy(found)
    began = time.monotonic()
    while not _try(descriptor, fcntl.LOCK_EX):
        found = _read(path)
        late = seconds is not None and time.monotonic() > began + seconds
        if late and not (found and found.doing == RESTORE):
            known = found is not None and _lives(found)
            who = f"process {found.owner.pid} of {found.owner.user}" if found and known else "another devswap"
            raise DevswapError(
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


def _read(path: Path) -> Holder | None:
    """None in the instant between a holder's lock and its first word."""
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        return Holder(Owner(**read["owner"]), read["doing"], read.get("began", ""))
    except (OSError, ValueError, KeyError, TypeError):
        return None
