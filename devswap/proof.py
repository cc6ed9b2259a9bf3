"""What a restore proves: the facts of production after it are those before the swap, but for what others did."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from devswap import development, fingerprint, followers, owed, traffic, transaction
from devswap.errors import DevswapError, MachineGone, NotWhole
from devswap.fingerprint import ASLEEP, HAPROXY, PEER, watched_from_json
from devswap.host import Host
from devswap.journal import Journal
from devswap.steps.database import SyncDatabase
from devswap.steps.mount import BASE
from devswap.steps.sqlite import KeepSqlite
from devswap.steps.step import Cloud, Kept, Step, shell
from devswap.steps.values import PutBackValues

_SERVE_AGAIN_SECONDS = 60.0
_PAUSE = 0.5
# What differs while a unit is on its way: a program renames its process when it has started (setproctitle), and opens
# its ports when it has.
_STATE, _PROGRAM, _COMMAND = "unit state: ", "unit executable: ", "unit command: "
_STARTING = (f"{_STATE}was active", _COMMAND, _PROGRAM, "serving: was yes", "listening ports: was ")
_NEW_PORTS = "listening ports: was none"
# systemd forgets that production had failed when development starts as its unit: it does not run, as it did not before.
_FORGOTTEN = f"{_STATE}was failed, is inactive"
_OTHERS = (
    "file /etc/",
    f"{HAPROXY}file ",
    "packages in ",
    "unit file",
    "unit enablement",
    _PROGRAM,  # of an upgraded Python, say; its arguments are in the command
    "serving: was no",
    _NEW_PORTS,
)
# No step adds a server to a backend, or leaves one in maintenance by an order at run time.
_OTHERS_SERVER = re.compile(rf"{HAPROXY}\S+/\S+: was (absent, |(.*; )ready(; weight \d+), is \2maint\3$)")
# Of these there are as many as there are files; one of another name that a journal lacks is newer than the journal.
_MANY = (HAPROXY, "file ", "unit file ", "packages in ", "database ")


@dataclass(frozen=True)
class Restored:
    """What `restore` proved for one service."""

    service: str
    machine: str
    identical: int
    facts: dict[str, str]
    changed_by_others: list[str]
    """What differs though no step of this swap is to blame."""
    held: list[str]
    """What other swaps have changed too, and still hold."""
    outage: float | None = None
    """Seconds from development's stop until production answered; None where either was not seen."""
    left: tuple[str, ...] = ()
    """What differs by the user's own word."""
    moot: tuple[str, ...] = ()
    """What was not undone, since it went with the machine that it was in."""

    @property
    def told(self) -> str:
        outage = "" if self.outage is None else f"; outage {self.outage:.1f} s"
        return f"{self.identical} facts identical{outage}"


def prove(host: Host, journal: Journal, cloud: Cloud) -> Restored:
    """Compare, and close the journal; what served before has its time to serve again. `cloud` is that of the way back.

    Raises NotWhole with what differs and is devswap's to answer for; the journal stays then.
    """
    swap = journal.swap
    kept, held = cloud.kept, list(transaction.held_by_others(journal, cloud))
    try:
        after = _settled(host, journal, cloud)
        held = list(dict.fromkeys((*held, *transaction.held_by_others(journal, cloud))))  # or taken meanwhile
    except MachineGone as error:
        if error.address != swap.machine:
            raise
        host.say(f"{error.message}: what was changed in it went with it")
        journal.remove()
        return Restored(swap.service, swap.machine, 0, {}, [], held, moot=tuple(cloud.moot))
    after = {name: value for name, value in after.items() if name in swap.fingerprint or name.startswith(_MANY)}
    unseen = held or not all(any(name.startswith("database ") for name in facts) for facts in (swap.fingerprint, after))
    before, after = (_without(facts, "database ") if unseen else facts for facts in (swap.fingerprint, after))
    if _moved_by_others(host, journal) or not any(name.startswith(HAPROXY) for name in after):
        before, after = (_without(facts, HAPROXY) for facts in (before, after))
    for name in owed.held_by_others(cloud, swap.machine):  # who holds a follower starts it, and compares that
        before, after = (_without(facts, followers.fact(name)) for facts in (before, after))
    lines = [line for line in fingerprint.differences(before, after) if line != _FORGOTTEN]
    ours, others = _sorted(lines, _excused(journal, kept), kept)
    if ours:
        raise NotWhole(
            f"{swap.service} is back, but not as it was:\n  " + "\n  ".join(ours),
            hint=f"{_mend(journal, after)}, then devswap restore {journal.called} compares again"
            + _or_leave(journal, ours),
        )
    journal.remove()
    identical = sum(before[name] == after.get(name) for name in before)
    left = tuple(line for line in others if line.startswith(_left(journal, kept)))
    others = [line for line in others if line not in left]
    return Restored(
        swap.service, swap.machine, identical, after, others, held, cloud.outage.seconds, left, tuple(cloud.moot)
    )


def _mend(journal: Journal, after: dict[str, str]) -> str:
    swap = journal.swap
    if swap.fingerprint.get("unit state") == "active" != after.get("unit state"):
        return f"find out why it does not run, and start it: {shell(swap.machine, 'systemctl', 'start', swap.unit)}"
    return "mend it"


def _or_leave(journal: Journal, ours: Sequence[str]) -> str:
    """What to type where all of it may stay as it is, by the user's word."""
    told = {kind: Step.known[kind].facts for kind in journal.swap.touched if kind in Step.known}
    meant = [kind for kind, facts in told.items() if facts and any(line.startswith(facts) for line in ours)]
    if not all(line.startswith(tuple(start for kind in meant for start in told[kind])) for line in ours):
        return ""
    skip = " ".join(f"--skip {kind}" for kind in meant)
    return f"; or leave this as it is: devswap restore {journal.called} {skip}"


def _settled(host: Host, journal: Journal, cloud: Cloud) -> dict[str, str]:
    """The facts when production runs as it did: it may have been started just now, or its machine may be booting."""
    before = journal.swap.fingerprint
    ran, served = before.get("unit state") == "active", before.get("serving") != "no"
    deadline = time.monotonic() + (_SERVE_AGAIN_SECONDS if ran else 0)
    for _ in range(int(_SERVE_AGAIN_SECONDS / _PAUSE)):
        left = max(0.0, deadline - time.monotonic())
        after = _taken(host, journal, cloud, left if served else 0.0)
        lines = fingerprint.differences(before, after)
        if not left or not any(map(_is_on_its_way, lines)) or after.get("unit state") == "failed":
            break
        time.sleep(_PAUSE)
    return after


def _is_on_its_way(line: str) -> bool:
    """Ports that are there now, and were not before, are no reason to wait."""
    return line.startswith(_STARTING) and not line.startswith(_NEW_PORTS)


def _taken(host: Host, journal: Journal, cloud: Cloud, seconds: float) -> dict[str, str]:
    """Without the database where it stays as it is and cannot be asked: the user may leave it for just that."""
    watched, like = watched_from_json(journal.swap.watched), journal.swap.fingerprint
    if any(transaction.held_by_others(journal, cloud)):  # it may be at work on it for minutes
        watched = replace(watched, database=None, others=(), sqlite=None)
    take = partial(
        fingerprint.take,
        machine=host.machine,
        seconds=seconds,
        like=like,
        answered=cloud.outage.end,
        apart=traffic.without_others(host, but=journal),
    )
    try:
        return take(watched)
    except DevswapError as error:
        gone = isinstance(error, MachineGone) and error.address == journal.swap.machine
        if gone or cloud.kept.kinds.isdisjoint((SyncDatabase.kind, PutBackValues.kind, KeepSqlite.kind)):
            raise
        host.say(f"the database is not compared: {error.message}")
        return take(replace(watched, database=None, others=(), sqlite=None))


def _without(facts: dict[str, str], start: str) -> dict[str, str]:
    """A database that another swap holds, or held when this one began, is that swap's to compare; so is traffic."""
    return {name: value for name, value in facts.items() if not name.startswith(start)}


def _moved_by_others(host: Host, journal: Journal) -> bool:
    seen = any(name.startswith(HAPROXY) for name in journal.swap.fingerprint)
    return not seen or bool(traffic.movers(host, watched_from_json(journal.swap.watched), but=journal))


def _excused(journal: Journal, kept: Kept) -> tuple[str, ...]:
    """The beginnings of the facts that no step of the swap has touched, or that stay by the user's word."""
    changed = {SyncDatabase.kind, KeepSqlite.kind} & set(journal.swap.touched)
    untouched = () if changed else SyncDatabase.facts
    # Production that was on its way at the checkout had not named its process: it never looks like that again.
    early = (_COMMAND,) if journal.swap.fingerprint.get("serving") == "no" else ()
    # A web server before it that was refused just then asks it again by now.
    through = f"serving through {journal.swap.watched.get('front')}: was no"
    return (*_OTHERS, *untouched, *early, through, *_of_who_did_not_run(journal), *_left(journal, kept))


def _of_who_did_not_run(journal: Journal) -> Iterator[str]:
    """No step starts such production: the restart of its machine does, or somebody."""
    was = journal.swap.fingerprint.get("unit state")
    if was in ("inactive", "failed"):
        yield from (f"{_STATE}was {was}, is active", f"{_STATE}was {was}, is activating", _COMMAND)


def _left(journal: Journal, kept: Kept) -> tuple[str, ...]:
    """Those of what stays by the user's word."""
    moved = (HAPROXY,) if any(f"{HAPROXY}file {path}" in journal.swap.fingerprint for _, path in kept.files) else ()
    return (*moved, *(start for kind in kept.kinds for start in Step.known[kind].facts))


def _sorted(lines: Sequence[str], excused: tuple[str, ...], kept: Kept) -> tuple[list[str], list[str]]:
    """(what devswap is answerable for, what somebody else changed, or the user chose to keep)."""
    others = [line for line in lines if line.startswith(excused) and not _is_of_ours(line, kept)]
    others += [line for line in lines if line.startswith(PEER) and line.endswith(ASLEEP)]
    others += [line for line in lines if _OTHERS_SERVER.match(line)]
    if any(line.startswith("unit file") for line in others):  # whoever changed the unit has changed what it runs
        others += [line for line in lines if line.startswith(_COMMAND)]
    return [line for line in lines if line not in others], others


def _is_of_ours(line: str, kept: Kept) -> bool:
    """Whether the fact is about a drop-in of ours that nobody has said to keep, or about what runs from our folder."""
    runs = line.startswith((_PROGRAM, _COMMAND)) and f"{BASE}/" in line.partition(", is ")[2]
    return runs or (development.NAME in line and not any(path in line for _, path in kept.files))
