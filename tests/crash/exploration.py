"""Tries every interruption of a command, and then of every restore that follows.

A kill is a snapshot: while a command runs, the world and the disk are copied wherever a SIGKILL would leave something
new. A restore from each copy is then run to its end, made to fail at each of its calls, and copied on its way, too; and
so on from what those restores have left, as many times in a row as is asked for. The last one nothing disturbs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from devswap import swap
from devswap.errors import DevswapError, NotWhole
from devswap.host import Host
from tests.everything import EVERYTHING
from tests.simulated.calls import Fault, Kind
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.comparison import differences
from tests.simulated.snapshot import Snapshot

# Unless EVERYTHING is asked for only calls that change something are made to fail, and no restore is.

Command = Callable[[Host], object]


@dataclass
class Count:
    """What was tried."""

    commands: int = 0
    instants: int = 0
    states: int = 0
    restores: int = 0

    def __str__(self) -> str:
        return (
            f"{self.commands} runs of the command with a fault, {self.instants} instants of a kill, "
            f"{self.states} different states, {self.restores} restores, each of which ended whole"
        )


TRIED: list[Count] = []
"""By all explorations of this run."""


@dataclass
class Exploration:
    cloud: SimulatedCloud
    whole: Snapshot
    """Production as it is to come back."""
    after_error: Callable[[], list[str]]
    """What of that which an error other than NotWhole promises does not hold."""
    in_a_row: int = EVERYTHING
    """How many restores are interrupted, one after the other."""
    reboots: tuple[str, ...] = ()
    """The machines that restart after each interruption."""
    count: Count = field(default_factory=Count)
    problems: list[str] = field(default_factory=list)
    _states: dict[int, Snapshot] = field(default_factory=dict)
    _todo: deque[tuple[str, Snapshot, int]] = field(default_factory=deque)
    """What led to a state, and how many of its restores are to be interrupted: never fewer than of the next."""
    _tried: set[tuple[int, str]] = field(default_factory=set)
    _positions: list[tuple[int, int]] = field(default_factory=list)
    """(number of calls so far, digest of the state then) of the restore under way."""
    _left: int = field(init=False)
    """How many restores of what comes up now are to be interrupted."""

    def __post_init__(self) -> None:
        self._left = self.in_a_row

    # --- one command ------------------------------------------------------------------------------------------------

    def command(self, start: Snapshot, command: Command) -> None:
        """Run `command` from `start` to its end, and once more for each way in which each of its calls can fail."""
        calls = self._traced(start, command)
        for number, parts in enumerate(calls):
            for fault in _faults(number, parts, interrupts=True):
                self.cloud.put_back(start)
                self._faulted(command, fault)

    def _traced(self, start: Snapshot, command: Command) -> list[int]:
        self.cloud.put_back(start)
        self.cloud.calls.begin(instant=self._note)
        with suppress(DevswapError):  # a checkout that cannot serve is rolled back by itself
            command(self.cloud.host())
        parts = list(self.cloud.calls.parts)
        self._note("the end")
        return parts

    def _faulted(self, command: Command, fault: Fault) -> None:
        self.count.commands += 1
        self.cloud.calls.begin(fault)
        try:
            command(self.cloud.host())
        except NotWhole:
            pass  # a restore must mend it
        except (DevswapError, KeyboardInterrupt, OSError) as error:
            told = self._told(fault)
            self.cloud.calls.begin()
            self._expect(f"{told}: {error!r}", self.after_error())
        self._note(f"the end of a run in which call {fault.number} {fault.kind.value}")

    def _told(self, fault: Fault) -> str:
        names = self.cloud.calls.names
        name = names[fault.number] if fault.number < len(names) else "?"
        return f"call {fault.number} ({name}) {fault.kind.value}"

    def _note(self, what: str) -> None:
        if what.startswith("before ") and not what.startswith("before 0 "):
            return  # the same as after the change before it
        self.count.instants += 1
        state = self.cloud.take()
        self._positions.append((len(self.cloud.calls.names), state.digest))
        if state.digest not in self._states:
            self._states[state.digest] = state
            self._todo.append((what, state, self._left))

    # --- every restore ----------------------------------------------------------------------------------------------

    def restores(self) -> None:
        """From every state that came up, and from those that come up on the way."""
        while self._todo:
            how, state, interrupted = self._todo.popleft()
            self._left = interrupted - 1
            self.count.states += 1
            self._restore_to_the_end(how, state, interrupted=interrupted > 0)

    def _restore_to_the_end(self, how: str, state: Snapshot, *, interrupted: bool) -> None:
        self._begin(state)
        self._positions = [(0, state.digest)]
        self.cloud.calls.begin(instant=self._note if interrupted else None)
        try:
            self._run_restore(how)
        except DevswapError as error:
            self._expect(f"killed {how}", [f"a restore that nothing disturbs fails: {error}"])
            return
        names, parts = list(self.cloud.calls.names), list(self.cloud.calls.parts)
        self.assert_whole(f"killed {how}")
        for number in self._untried(names, self._positions) if interrupted else ():
            for fault in _faults(number, parts[number], interrupts=False):
                self._restore_with(fault, how, state)

    def _untried(self, names: list[str], positions: list[tuple[int, int]]) -> Iterator[int]:
        """The calls that have not failed yet with everything as it is now: another state's restore came by here."""
        for number, name in enumerate(names):
            digest = [found for count, found in positions if count <= number][-1]
            if (digest, name) not in self._tried:
                self._tried.add((digest, name))
                yield number

    def _restore_with(self, fault: Fault, how: str, state: Snapshot) -> None:
        self._begin(state)
        self.cloud.calls.begin(fault)
        what = f"{how}, then a restore"
        try:
            self._run_restore(what)
        except NotWhole:
            self._note(f"{what} in which {self._told(fault)}")
            return
        except (DevswapError, OSError) as error:
            self._expect(f"{what} in which {self._told(fault)}", [f"not NotWhole but {error!r}"])
            return
        told = self._told(fault)
        self.assert_whole(f"{what} in which {told}")

    def _begin(self, state: Snapshot) -> None:
        self.cloud.put_back(state)
        self.cloud.devswap_dies()
        for name in self.reboots:
            self.cloud.machine(name).boot()

    def _run_restore(self, how: str) -> None:
        self.count.restores += 1
        try:
            restore_everything(self.cloud)
        finally:
            self.cloud.calls.instant = None

    def assert_whole(self, how: str) -> None:
        self.cloud.calls.begin()
        self.cloud.time_passes()
        self._expect(how, differences(self.cloud, self.whole))

    def _expect(self, how: str, left: list[str]) -> None:
        if left:
            self.problems.append("\n    ".join([how, *left]))


def restore_everything(cloud: SimulatedCloud) -> None:
    """As `devswap restore` does it."""
    host = cloud.host()
    for journal in reversed(host.journals.all()):
        swap.restore(host, journal)


def _faults(number: int, parts: int, *, interrupts: bool) -> Iterator[Fault]:
    if not (parts or EVERYTHING):
        return
    yield Fault(number, Kind.RAISES)
    if parts:
        yield Fault(number, Kind.LATE)
        yield from (Fault(number, Kind.HALF, part) for part in range(1, parts))
    if interrupts:
        yield Fault(number, Kind.CTRL_C)
        if parts:
            yield Fault(number, Kind.CTRL_C_LATE)
