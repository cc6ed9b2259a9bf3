"""Takes heat-engine over in every way, several times in turn, and notes what each took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks import by_hand, swapped
from benchmarks.by_hand import ByHand, Migrated
from benchmarks.observer import Gap, Observer, observing, settle
from benchmarks.place import Place
from benchmarks.swapped import Program
from devswap import systemd
from devswap.sandbox.changes import HARMLESS, MIGRATION, change

Say = Callable[[str], None]

RESTART = "plain `systemctl restart` of production"
PIP = "by hand with pip"
UV = "by hand with uv, warm cache"
FIRST = "devswap, the first time"
NEXT = "devswap, next patchset"
EDITED = "devswap, `run` after an edit of one's own tree"
AGAIN = "devswap, the same ref again after a restore"
SAME = "devswap, the same ref again"
SAVED = "devswap, a save under `run --reload`"
# heat-engine ends at a multiple of 5 s after its start, at the earliest 5 s after it is told to: two stops are
# comparable that begin at the same moment of this loop.
_LOOP = 5.0
_SAVES = 3


@dataclass(frozen=True)
class Spent:
    """The seconds of a takeover in turn; the three in the middle are the outage."""

    prepare: float
    """Until the service is told to stop."""
    still: float
    """From then until its last answer: a service goes on answering for a while."""
    stop: float
    """From the last answer until systemd has seen the service end: the service's own."""
    between: float
    """Nobody runs: what devswap and systemd do while production is stopped."""
    start: float
    """From the start of development's process to its first answer: the service's own."""
    finish: float
    """From the first answer until the command returned."""


@dataclass(frozen=True)
class Timing:
    """One takeover and the way back, in seconds."""

    total: float
    outage: float
    restore: float | None = None
    spent: Spent | None = None
    migrated: Migrated | None = None
    memory: int | None = None
    """Of devswap itself, in KiB."""
    moment: float = 0.0
    """Of the stop, in the loop of the service that was stopped."""
    restart: Timing | None = None
    """A plain restart of production that was begun at the same moment of its loop."""


@dataclass
class Rows:
    """Every way with what was measured of it, in the order in which they were first taken."""

    change: str
    timings: dict[str, list[Timing]] = field(default_factory=dict)

    def add(self, way: str, timing: Timing) -> None:
        self.timings.setdefault(way, []).append(timing)


class Bench:
    """Everything that the ways share: the place, the observer, and where scratch files go."""

    def __init__(self, place: Place, observer: Observer, scratch: Path, say: Say) -> None:
        self.place = place
        self.scratch = scratch
        self.say = say
        self._observer = observer

    def timed(
        self,
        way: str,
        act: Callable[[], object],
        *,
        waits: bool,
        starts: str | None = None,
        moment: float | None = None,
    ) -> Timing:
        """What `act` took. `waits`: it does not wait until the service serves, so the person does.

        `starts` is the unit that serves in the place of the one that production's unit ran before; `moment` is that of
        the service's loop in which it begins.
        """
        self.say(way)
        self._observer.wait_until_serving()
        settle()
        before = self._stamp(self.place.unit, "ExecMainStartTimestampMonotonic")
        if moment is not None:
            time.sleep((before + moment - time.monotonic()) % _LOOP)
        began = time.monotonic()
        act()
        returned = time.monotonic()
        gap = self._observer.gap(began)
        ended = gap.first if waits else returned
        told = self._stamp(self.place.unit, "ActiveExitTimestampMonotonic")
        spent = self._spent(began, told, gap, ended, starts) if starts else None
        return Timing(total=ended - began, outage=gap.seconds, spent=spent, moment=(told - before) % _LOOP)

    def _spent(self, began: float, told: float, gap: Gap, ended: float, starts: str) -> Spent:
        stopped = self._stamp(self.place.unit, "InactiveEnterTimestampMonotonic")
        started = self._stamp(starts, "ExecMainStartTimestampMonotonic")
        # The broker is asked every 10 ms: what has stopped at once seems to have answered last before it was told.
        return Spent(
            prepare=told - began,
            still=max(gap.last - told, 0),
            stop=stopped - max(gap.last, told),
            between=started - stopped,
            start=gap.first - started,
            finish=max(ended - gap.first, 0),
        )

    def _stamp(self, unit: str, name: str) -> float:
        return int(systemd.show(self.place.machine, unit, name)[name]) / 1e6


@contextmanager
def bench(place: Place, scratch: Path, say: Say) -> Iterator[Bench]:
    """uv is brought in and its cache warmed; at the end nothing of it is left in the machine."""
    with observing(place) as observer:
        by_hand.bring_uv(place)
        try:
            yield Bench(place, observer, scratch, say)
        finally:
            by_hand.take_uv_away(place)


def warm(bench: Bench) -> None:
    """Fill uv's cache, untimed."""
    bench.say("filling uv's cache")
    work = ByHand(bench.place, bench.scratch, by_hand.with_uv)
    try:
        work.prepare(change("heat", HARMLESS).ref(1))
    finally:
        work.clean()


def harmless(bench: Bench, program: Path, rows: Rows) -> None:
    """One round of every way with a change that leaves the database alone."""
    wanted = change("heat", HARMLESS)
    first, second = (f"review/{wanted.number}/{patchset}" for patchset in (1, 2))
    taken = {
        PIP: _by_hand(bench, PIP, by_hand.with_pip, wanted.ref(1), migrate=False),
        UV: _by_hand(bench, UV, by_hand.with_uv, wanted.ref(1), migrate=False),
    }
    with swapped.first_day(bench.place, program, bench.scratch / "state") as (devswap, person):
        taken[FIRST] = _there_and_back(bench, FIRST, devswap, first)
        taken[AGAIN] = _checkout(bench, AGAIN, devswap, first)
        switched = {SAME: _checkout(bench, SAME, devswap, first), NEXT: _checkout(bench, NEXT, devswap, second)}
        tree = person.clone(bench.place, wanted.ref(2))
        _checkout(bench, "devswap, one's own tree", devswap, str(tree))
        _edit(tree)
        switched[EDITED] = _run_again(bench, EDITED, devswap)
        (switched[SAVED],) = _saves(bench, devswap, tree, 1)
    _add_beside_restarts(bench, rows, taken)
    for way, timing in switched.items():
        rows.add(way, timing)


def saves(bench: Bench, program: Path, rows: Rows) -> None:
    """One round of saves alone, beside as many restarts of production."""
    machine, unit = bench.place.machine, bench.place.unit
    for _ in range(_SAVES):
        restarted = lambda: machine.run(["systemctl", "restart", unit])  # noqa: E731
        rows.add(RESTART, bench.timed(RESTART, restarted, waits=True, starts=unit))
    with swapped.first_day(bench.place, program, bench.scratch / "state") as (devswap, person):
        tree = person.clone(bench.place, change("heat", HARMLESS).ref(2))
        _checkout(bench, "devswap, one's own tree", devswap, str(tree))
        for timing in _saves(bench, devswap, tree, _SAVES):
            rows.add(SAVED, timing)


def _saves(bench: Bench, devswap: Program, tree: Path, number: int) -> list[Timing]:
    with devswap.terminal("run", "heat-engine", "--reload") as terminal:
        terminal.wait("answers from")
        return [bench.timed(SAVED, lambda: _edit(tree), waits=True, starts=bench.place.unit) for _ in range(number)]


def migration(bench: Bench, program: Path, rows: Rows) -> None:
    """One round with a change that migrates the database, and back."""
    wanted = change("heat", MIGRATION)
    taken = {
        PIP: _by_hand(bench, PIP, by_hand.with_pip, wanted.ref(1), migrate=True),
        UV: _by_hand(bench, UV, by_hand.with_uv, wanted.ref(1), migrate=True),
    }
    with swapped.first_day(bench.place, program, bench.scratch / "state") as (devswap, _):
        for way in (FIRST, AGAIN):
            taken[way] = _there_and_back(bench, way, devswap, f"review/{wanted.number}/1")
    _add_beside_restarts(bench, rows, taken)


def _add_beside_restarts(bench: Bench, rows: Rows, taken: Mapping[str, Timing]) -> None:
    """Each takeover of production with a plain restart that is begun at the same moment of its loop."""
    machine, unit = bench.place.machine, bench.place.unit
    for way, timing in taken.items():
        restart = bench.timed(
            RESTART,
            lambda: machine.run(["systemctl", "restart", unit]),
            waits=True,
            starts=unit,
            moment=timing.moment,
        )
        rows.add(RESTART, restart)
        rows.add(way, replace(timing, restart=restart))


def _by_hand(bench: Bench, way: str, install: Callable[[Place], None], ref: str, *, migrate: bool) -> Timing:
    work = ByHand(bench.place, bench.scratch, install)
    migrated: list[Migrated | None] = []

    def swap() -> None:
        work.prepare(ref)
        migrated.append(work.take_over(migrate=migrate))

    try:
        there = bench.timed(way, swap, waits=True, starts=by_hand.UNIT)
        back = bench.timed(f"{way}: back", work.give_back, waits=True)
    finally:
        work.clean()
    return replace(there, restore=back.total, migrated=migrated[0])


def _there_and_back(bench: Bench, way: str, devswap: Program, ref: str) -> Timing:
    there = _checkout(bench, way, devswap, ref)
    back = bench.timed(f"{way}: back", lambda: devswap.run("restore"), waits=False)
    return replace(there, restore=back.total)


def _checkout(bench: Bench, way: str, devswap: Program, ref: str) -> Timing:
    where = bench.place.machine.name
    return _by_devswap(bench, way, devswap, "checkout", "heat-engine", ref, "--machine", where, "--detach")


def _run_again(bench: Bench, way: str, devswap: Program) -> Timing:
    return _by_devswap(bench, way, devswap, "run", "heat-engine", "--detach")


def _by_devswap(bench: Bench, way: str, devswap: Program, *words: str) -> Timing:
    memory: list[int] = []
    timing = bench.timed(way, lambda: memory.append(devswap.run(*words)), waits=False, starts=bench.place.unit)
    return replace(timing, memory=memory[0])


def _edit(tree: Path) -> None:
    with (tree / "heat/engine/service.py").open("a") as file:
        file.write("\n# an edit\n")
