"""One devswap at a time works on a database, for as long as that takes: a dump, a migration, a load.

    STATE/databases/KEY/lock    one for each way to tell the database from others; says who has it and for what

The second swap of a project waits for the first one's migration, whichever of them is checked out or restored; a swap
of another project does not notice: the host's lock is let go meanwhile (see host_lock.py). So these come first, and who
holds that lock never waits for one of these.

With the database goes all that others could do to its users: who takes over, restores or looks at a service holds the
claims of its databases, so that no load under way has stopped it just then. The same for those of others that use its
unit (one Apache runs keystone and horizon), or that of a peer: a load stops the unit whomever it is for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from devswap import claims
from devswap.claims import Holder
from devswap.errors import Busy
from devswap.fingerprint import watched_from_json
from devswap.host import Host
from devswap.journal import Journal, make_private
from devswap.shared import Record, Shelf
from devswap.steps.step import from_json

Unit = tuple[str, str]
"""The address of a machine, and a unit there."""


class Claimed(Protocol):
    """A schema of a server, or databases in files."""

    @property
    def names(self) -> frozenset[str]:
        """What tells it from every other: two that are the same have one of these in common."""


# What a journal of another devswap may hold that this one cannot read.
_UNREAD = (KeyError, TypeError, ValueError, AttributeError)


@contextmanager
def held(
    host: Host, journal: Journal, doing: str, more: Iterable[Claimed] = (), units: Iterable[Unit] = ()
) -> Iterator[None]:
    """The claims on all databases of a swap, on `more`, and on those for which `units` are stopped.

    Waited for as long as it takes.
    """
    also, theirs = tuple(more), tuple(units)

    def databases() -> Iterator[Claimed]:
        yield from (*of_swap(host, journal), *also, *for_which_are_stopped(host, theirs))

    with of(host, databases, f"{doing} of {journal.swap.service}"):
        yield


@contextmanager
def held_if_free(host: Host, journal: Journal, doing: str) -> Iterator[None]:
    """As `held`; raises Busy, with what there is to wait for, where somebody works on one of them."""

    def refuse(text: str) -> None:
        raise Busy(text)

    with of(host, lambda: of_swap(host, journal), f"{doing} of {journal.swap.service}", busy=refuse):
        yield


@contextmanager
def of(
    host: Host,
    databases: Callable[[], Iterable[Claimed]],
    doing: str,
    *,
    busy: Callable[[str], None] | None = None,
) -> Iterator[None]:
    """The claims on `databases`, which are asked for again once they are had: a capture may name more by then.

    `busy` is told what is waited for, as a person is unless there is one; it may raise.
    """
    while True:
        with ExitStack() as taken:
            wanted = names(databases())
            for name in sorted(wanted):  # in one order, so that no two wait for each other
                taken.enter_context(_claimed(host, name, doing, busy or host.say))
            if names(databases()) <= wanted:
                yield
                return


def wait_for_others(host: Host, doing: str, *journals: Journal) -> None:
    """Until no other swap's work on the databases of these is under way: what runs of them serves meanwhile.

    Whoever has one of these swaps in hand is not waited for: it is about to be ended.
    """
    for journal in journals:
        _wait_for_others(host, journal, doing)


def _wait_for_others(host: Host, journal: Journal, doing: str) -> None:
    ours = claims.holder(host.journals.claim_path(journal.swap.service, journal.swap.machine))
    for name in sorted(names(of_swap(host, journal))):
        found = claims.holder(path) if _is_there(path := _path(host.state, name)) else None
        if found is not None and (ours is None or found.owner.pid != ours.owner.pid):
            with _claimed(host, name, f"{doing} of {journal.swap.service}", host.say):
                pass


def of_swap(host: Host, journal: Journal) -> Iterator[Claimed]:
    """Those that its fingerprint looks at, that its steps have changed, and that were captured for them.

    And those of other swaps for which units of this one are stopped. What cannot be read is in the way of nothing else:
    whoever undoes it says so.
    """
    yield from watched_by(journal)
    shelf = Shelf(host.state / "shared")
    for entry in journal.entries:
        with suppress(*_UNREAD):
            step = from_json(entry.step)
            yield from getattr(step, "databases", ())
            record = shelf.find(step.shared) if step.shared else None
            yield from captured_by(record) if record is not None else ()
    for record in shelf.held_by(journal.folder.name):
        yield from captured_by(record)
    yield from for_which_are_stopped(host, units_of(journal))


def watched_by(journal: Journal) -> Iterator[Claimed]:
    """Those that its fingerprint looks at: what its service is configured with."""
    with suppress(*_UNREAD):
        watched = watched_from_json(journal.swap.watched)
        yield from (each for each in (watched.database, *watched.others, watched.sqlite) if each is not None)


def for_which_are_stopped(host: Host, units: Iterable[Unit]) -> Iterator[Claimed]:
    """What was captured and is used by one of `units`: none of them may run while its dump is loaded."""
    wanted = set(units)
    for record in Shelf(host.state / "shared").readable():
        with suppress(*_UNREAD):
            users = record.step.get("users", ())
            if not wanted.isdisjoint((on, unit) for on, unit in users):
                yield from captured_by(record)


def captured_by(record: Record) -> Iterator[Claimed]:
    """The databases that it is about, as far as that can be read."""
    with suppress(*_UNREAD):
        yield from getattr(from_json(record.step), "databases", ())


def units_of(journal: Journal) -> Iterator[Unit]:
    """What it starts, stops or reloads: its own unit, the web server before it or around it, peers, callers."""
    swap = journal.swap
    yield swap.machine, swap.unit
    with suppress(*_UNREAD):
        watched = watched_from_json(swap.watched)
        yield from ((watched.on, watched.unit), (watched.on, watched.front), *watched.peers)
    for step in (entry.step for entry in journal.entries):
        with suppress(*_UNREAD):
            yield str(step["on"]), str(step["unit"])


def names(databases: Iterable[Claimed]) -> set[str]:
    """What tells them from all others."""
    return {name for each in databases for name in each.names}


@contextmanager
def _claimed(host: Host, name: str, doing: str, busy: Callable[[str], None]) -> Iterator[None]:
    def told(found: Holder) -> None:
        busy(f"waiting for {claims.where(found)}: its {found.doing} works on the database {name}")

    path = _path(host.state, name)
    if not _is_there(path):
        yield
        return
    with claims.claim(path, Holder(host.owner, doing), busy=told, seconds=None):
        yield


def _is_there(path: Path) -> bool:
    """What cannot be made, since the disk is full, nobody else has made and holds: a way back must go on."""
    with suppress(OSError):
        make_private(path.parent)
        path.touch(mode=0o600)
    return path.exists()


def _path(state: Path, name: str) -> Path:
    return state / "databases" / hashlib.sha256(name.encode()).hexdigest()[:16] / "lock"
