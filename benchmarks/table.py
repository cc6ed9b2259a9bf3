"""What was measured as Markdown: medians with the smallest and the largest, and the targets beside what was reached."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from benchmarks.command_line import Beside, CommandLine, Listed
from benchmarks.takeover import AGAIN, EDITED, FIRST, NEXT, PIP, RESTART, SAME, SAVED, UV, Rows, Spent, Timing
from benchmarks.web import Edited

_T = TypeVar("_T")


@dataclass(frozen=True)
class Target:
    """A bound, with what was reached in the same unit."""

    what: str
    wanted: float
    reached: float
    unit: str = "×"

    @property
    def met(self) -> bool:
        return self.reached <= self.wanted


def takeovers(rows: Rows) -> str:
    header = ("way", "total", "outage", "÷ restart", "outage without the stop", "÷ restart", "way back")
    lines = [
        (
            way,
            _spread(timing.total for timing in timings),
            _spread(timing.outage for timing in timings),
            f"{_in_restarts(rows, way, _outage):.2f}",
            _spread(map(_without_stop, timings)),
            f"{_in_restarts(rows, way, _without_stop):.2f}",
            _spread(timing.restore for timing in timings if timing.restore is not None),
        )
        for way, timings in rows.timings.items()
    ]
    return _table(header, lines)


def seconds_spent(rows: Rows) -> str:
    header = (
        "way",
        "preparing",
        "told to stop, answers still",
        "the service's stop",
        "nobody runs",
        "the service's start",
        "noticing",
    )
    lines = []
    for way, timings in rows.timings.items():
        spent = [timing.spent for timing in timings if timing.spent is not None]
        if spent:
            lines.append((way, *(f"{_median(spent, part):.2f} s" for part in _PARTS)))
    every = [timing.spent for timings in rows.timings.values() for timing in timings if timing.spent]
    stops = [spent.still + spent.stop for spent in every]
    chance = f"The service's own stop took {min(stops):.1f} to {max(stops):.1f} s, whoever stopped it."
    return f"{_table(header, lines)}\n\n{chance}"


_PARTS: tuple[Callable[[Spent], float], ...] = (
    lambda spent: spent.prepare,
    lambda spent: spent.still,
    lambda spent: spent.stop,
    lambda spent: spent.between,
    lambda spent: spent.start,
    lambda spent: spent.finish,
)


def migrated(rows: Rows) -> str:
    """What the database alone takes by hand."""
    found = [timing.migrated for way in (PIP, UV) for timing in rows.timings[way] if timing.migrated]
    dump, sync = _median(found, lambda each: each.dump), _median(found, lambda each: each.sync)
    return f"By hand the dump took {dump:.2f} s and the db sync {sync:.2f} s of the outage."


def commands(measured: CommandLine) -> str:
    lines = [("`devswap --help` beside `python -c 'import typer'`", *_compared(measured.help))]
    lines += [
        (f"`devswap list` beside `lxc-ls -f`, {listed.containers} containers", *_compared(listed.beside))
        for listed in (measured.few, measured.many)
    ]
    growth = (
        f"For each further container `list` takes {measured.slope * 1000:.2f} ms more, "
        f"`lxc-ls -f` {measured.their_slope * 1000:.2f} ms."
    )
    return f"{_table(('commands', 'devswap', 'beside it', 'ratio'), lines)}\n\n{growth}"


def _compared(beside: Beside) -> tuple[str, str, str]:
    return _spread(beside.ours, digits=3), _spread(beside.theirs, digits=3), f"{beside.ratio:.2f}"


def targets(measured: Sequence[Target]) -> str:
    lines = [
        (
            target.what,
            f"≤ {target.wanted:.2f} {target.unit}",
            f"{target.reached:.2f} {target.unit}",
            "yes" if target.met else "**no**",
        )
        for target in measured
    ]
    return _table(("target", "wanted", "reached", "met"), lines)


def harmless_targets(rows: Rows) -> list[Target]:
    total = {way: _median(timings, lambda timing: timing.total) for way, timings in rows.timings.items()}
    restart, alike = total[RESTART], _with_equal_stops(rows)
    ours = (FIRST, AGAIN, SAME, NEXT, EDITED)
    outage = {way: _in_restarts(rows, way, _outage) for way in ours}
    memory = max(timing.memory or 0 for way in ours for timing in rows.timings[way]) / 1024
    return [
        Target("outage of the first takeover, in restarts of production", 1.5, outage[FIRST]),
        Target("the same, more ambitious", 1.15, outage[FIRST]),
        Target("the same without the service's stop", 1.15, _in_restarts(rows, FIRST, _without_stop)),
        Target("the longest outage of any way of devswap, in restarts", 1.15, max(outage.values())),
        Target("total of the first takeover, in totals by hand with pip", 0.25, total[FIRST] / total[PIP]),
        Target("the same with equal stops of the service", 0.25, alike[FIRST] / alike[PIP]),
        Target("total of the first takeover, in totals by hand with uv", 1.0, total[FIRST] / total[UV]),
        Target("the same with equal stops of the service", 1.0, alike[FIRST] / alike[UV]),
        Target("total of the next patchset: a restart and 4 s", restart + 4, total[NEXT], "s"),
        Target("total of the same ref again: a restart and 1 s", restart + 1, total[SAME], "s"),
        Target("the same after a restore, more than a restart", 1, _more_than_restarts(rows, AGAIN), "s"),
        Target("total of `run` after an edit: a restart and 0.5 s", restart + 0.5, total[EDITED], "s"),
        *save_targets(rows),
        Target("devswap's own memory, at most", 80, memory, "MiB"),
    ]


def save_targets(rows: Rows) -> list[Target]:
    start = _median(rows.timings[RESTART], lambda timing: timing.spent.start if timing.spent else 0)
    what = "a save under `--reload`, without the service's stop: its start and 0.3 s"
    return [Target(what, start + 0.3, _median(rows.timings[SAVED], _saved), "s")]


def migration_targets(rows: Rows) -> list[Target]:
    found = [timing.migrated for way in (PIP, UV) for timing in rows.timings[way] if timing.migrated]
    more = _median(found, lambda each: each.dump + each.sync)
    reached = [each.outage / (each.restart.outage + more) for each in rows.timings[FIRST] if each.restart]
    return [Target("outage with a migration, in restart + dump + db sync", 1.15, statistics.median(reached))]


def edits(measured: Sequence[Edited]) -> str:
    """Runs after an edit under the web server."""
    header = ("under `--apache`: `run` after an edit", "first answer", "the application's start", "besides", "total")
    parts = ([each.answered for each in measured], [each.start for each in measured])
    more = ([each.besides for each in measured], [each.total for each in measured])
    return _table(header, [("heat-api, uWSGI", *map(_spread, (*parts, *more)))])


def edit_targets(measured: Sequence[Edited]) -> list[Target]:
    reached = _median(measured, lambda each: each.besides)
    return [Target("`run` after an edit under `--apache`, besides the application's start", 1.0, reached, "s")]


def _outage(timing: Timing) -> float:
    return timing.outage


def _in_restarts(rows: Rows, way: str, value: Callable[[Timing], float]) -> float:
    """Each beside the restart at the same moment of the service's loop; those without one, beside all restarts."""
    timings = rows.timings[way]
    pairs = [value(timing) / value(timing.restart) for timing in timings if timing.restart is not None]
    if pairs:
        return statistics.median(pairs)
    return _median(timings, value) / _median(rows.timings[RESTART], value)


def _with_equal_stops(rows: Rows) -> dict[str, float]:
    """Totals as they would be if production had always taken as long to stop as it does in the middle of all cases."""
    spent = {
        way: [(timing.total, timing.spent.still + timing.spent.stop) for timing in rows.timings[way] if timing.spent]
        for way in (RESTART, PIP, UV, FIRST)
    }
    usual = statistics.median(stop for found in spent.values() for _, stop in found)
    return {way: statistics.median(total - stop + usual for total, stop in found) for way, found in spent.items()}


def _more_than_restarts(rows: Rows, way: str) -> float:
    pairs = [timing.total - timing.restart.total for timing in rows.timings[way] if timing.restart is not None]
    return statistics.median(pairs)


def _without_stop(timing: Timing) -> float:
    """A graceful stop takes as long as chance has it; what comes after it is what ways differ in."""
    assert timing.spent is not None
    return timing.spent.between + timing.spent.start


def _saved(timing: Timing) -> float:
    """From the save until it serves: it is noticed before the service stops."""
    assert timing.spent is not None
    return timing.spent.prepare + timing.spent.between + timing.spent.start


def command_targets(measured: CommandLine) -> list[Target]:
    listed: Listed = measured.at_target
    return [
        Target("`devswap --help`, in imports of typer", 2.0, measured.help.ratio),
        Target(f"`devswap list` with {listed.containers} containers, in `lxc-ls -f`", 2.5, listed.beside.ratio),
        Target("`devswap list`, for each further container", 3.0, measured.slope * 1000, "ms"),
    ]


def _median(of: Sequence[_T], value: Callable[[_T], float]) -> float:
    return statistics.median(value(each) for each in of)


def _spread(values: Iterable[float], digits: int = 1) -> str:
    found = sorted(values)
    if not found:
        return "–"
    median = f"{statistics.median(found):.{digits}f} s"
    return median if len(found) == 1 else f"{median} ({found[0]:.{digits}f}–{found[-1]:.{digits}f})"


def _table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rule = ["---", *("---:" for _ in header[1:])]
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, rule, *lines))
