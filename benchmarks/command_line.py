"""What a command costs before it does anything, and what looking at many containers costs."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fleet import fleet
from benchmarks.place import Place
from devswap import process
from devswap.sandbox.containers import running_containers

_MANY = 40
_SLOPE_OVER = 20


@dataclass(frozen=True)
class Beside:
    """Two commands that ran in turn: the seconds of each run."""

    ours: tuple[float, ...]
    theirs: tuple[float, ...]

    @property
    def ratio(self) -> float:
        return statistics.median(self.ours) / statistics.median(self.theirs)


@dataclass(frozen=True)
class Listed:
    """`devswap list` beside `lxc-ls -f` on so many running containers."""

    containers: int
    beside: Beside


@dataclass(frozen=True)
class CommandLine:
    help: Beside
    few: Listed
    many: Listed

    @property
    def slope(self) -> float:
        """What `list` takes longer for each further container, in seconds."""
        longer = statistics.median(self.many.beside.ours) - statistics.median(self.few.beside.ours)
        return longer / (self.many.containers - self.few.containers)

    @property
    def their_slope(self) -> float:
        longer = statistics.median(self.many.beside.theirs) - statistics.median(self.few.beside.theirs)
        return longer / (self.many.containers - self.few.containers)

    @property
    def at_target(self) -> Listed:
        """The count nearest to the 40 containers that the target names."""
        return min((self.few, self.many), key=lambda listed: abs(listed.containers - _MANY))


def measure(place: Place, program: Path, state: Path, *, runs: int, say: Callable[[str], None]) -> CommandLine:
    """Both programs in turn, so that a busy moment of the host meets both."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "DEVSWAP_"))}
    environment = kept | {"DEVSWAP_STATE_DIR": str(state)}
    say("devswap --help beside importing typer")
    python = str(program.with_name("python"))
    started = _beside([str(program), "--help"], [python, "-c", "import typer"], environment, runs)
    with fleet(place) as containers:
        listed = []
        for wanted in _counts(len(running_containers())):
            say(f"devswap list beside lxc-ls -f, with {wanted} running containers")
            number = containers.grow_to(wanted)
            time.sleep(2)
            listed.append(Listed(number, _beside([str(program), "list"], ["lxc-ls", "-f"], environment, runs)))
    return CommandLine(started, *listed)


def _counts(running: int) -> tuple[int, int]:
    """Two counts far enough apart for a slope, one of them 40 where the host has not more already."""
    if running <= _MANY - _SLOPE_OVER:
        return _MANY - _SLOPE_OVER, _MANY
    return max(running, _MANY), max(running, _MANY) + _SLOPE_OVER


def _beside(ours: Sequence[str], theirs: Sequence[str], environment: dict[str, str], runs: int) -> Beside:
    for argv in (ours, theirs):
        process.run(argv, env=environment)  # what is read from disk is in memory afterwards
    times = [(_seconds(ours, environment), _seconds(theirs, environment)) for _ in range(runs)]
    return Beside(tuple(our for our, _ in times), tuple(their for _, their in times))


def _seconds(argv: Sequence[str], environment: dict[str, str]) -> float:
    began = time.perf_counter()
    process.run(argv, env=environment)
    return time.perf_counter() - began
