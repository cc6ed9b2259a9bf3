"""`python -m benchmarks`: measures on the sandbox, prints Markdown tables; scripts/benchmark makes it ready."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from benchmarks import command_line, place, table, takeover, web
from benchmarks.place import Place
from benchmarks.table import Target
from benchmarks.takeover import Bench, Rows
from devswap.errors import DevswapError
from devswap.sandbox.commands import shelf_path

_README = Path(__file__).with_name("README.md")
_BEGIN, _END = "<!-- measured -->", "<!-- /measured -->"
_PARTS = ("harmless", "migration", "web", "commands")
_SAVES = "saves"
"""A part of the first, which is measured by itself only where that is said."""


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/benchmark", description=__doc__)
    parser.add_argument("--program", type=Path, required=True, help="the devswap to measure")
    parser.add_argument("--repeat", type=int, default=3, help="rounds of takeovers")
    parser.add_argument("--runs", type=int, default=15, help="runs of each command")
    parser.add_argument("--only", choices=(*_PARTS, _SAVES), action="append", help="measure this part; may be repeated")
    parser.add_argument("--write", action="store_true", help="put the tables into benchmarks/README.md")
    return parser.parse_args(arguments)


def _measure(options: argparse.Namespace, scratch: Path) -> str:
    here, parts = place.current(), options.only or _PARTS
    sections, reached = [f"{_host()} Medians of {options.repeat} takeovers and {options.runs} runs of commands."], []
    if not _TAKEOVERS.keys().isdisjoint(parts):
        for rows, more in _takeovers(here, options, scratch):
            sections += [f"### {rows.change}", table.takeovers(rows), _SPENT, table.seconds_spent(rows)]
            sections += [table.migrated(rows)] if rows.change == _TAKEOVERS["migration"].title else []
            reached += more
    if "web" in parts:
        edited = web.measure(here, options.program, scratch / "state", rounds=options.repeat, say=_say)
        sections += ["### A service under its web server", table.edits(edited)]
        reached += table.edit_targets(edited)
    if "commands" in parts:
        measured = command_line.measure(here, options.program, scratch / "list", runs=options.runs, say=_say)
        sections += ["### Commands", table.commands(measured)]
        reached += table.command_targets(measured)
    return "\n\n".join([*sections, "### Targets", table.targets(reached)])


@dataclass(frozen=True)
class _Part:
    """One that takes heat-engine over."""

    title: str
    measure: Callable[[Bench, Path, Rows], None]
    targets: Callable[[Rows], list[Target]]


_TAKEOVERS = {
    "harmless": _Part("A change without a migration", takeover.harmless, table.harmless_targets),
    "migration": _Part("A change with a migration", takeover.migration, table.migration_targets),
    _SAVES: _Part("Saves alone", takeover.saves, table.save_targets),
}
_SPENT = "Where the seconds go; the stop, the start and what lies between them are the outage:"


def _takeovers(here: Place, options: argparse.Namespace, scratch: Path) -> Iterator[tuple[Rows, list[Target]]]:
    wanted = [name for name in options.only or _PARTS if name in _TAKEOVERS]
    with takeover.bench(here, scratch, _say) as bench:
        if wanted != [_SAVES]:
            takeover.warm(bench)
        for part in map(_TAKEOVERS.__getitem__, wanted):
            rows = Rows(part.title)
            for number in range(options.repeat):
                _say(f"{rows.change}: round {number + 1} of {options.repeat}")
                part.measure(bench, options.program, rows)
            yield rows, part.targets(rows)


def _host() -> str:
    models = {
        line.partition(": ")[2] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    }
    load = os.getloadavg()[0]
    day = datetime.now(UTC).date().isoformat()
    return f"{day}, {os.cpu_count()} × {', '.join(sorted(models))}, load {load:.1f} at the beginning."


def _write(measured: str) -> None:
    text = _README.read_text()
    head, _, rest = text.partition(_BEGIN)
    _README.write_text(f"{head}{_BEGIN}\n{measured}\n{_END}{rest.partition(_END)[2]}")


def _say(text: str) -> None:
    print(f"{datetime.now().strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


def _scratch() -> Path:
    """A folder beside the sandbox's records; a swap that could not be restored keeps its journal there."""
    folder = shelf_path().parent / "benchmark"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    raise KeyboardInterrupt


def main(arguments: list[str]) -> int:
    """The exit code: targets that are missed are printed, and are no failure."""
    signal.signal(signal.SIGTERM, _interrupt)
    options = _parse(arguments)
    try:
        measured = _measure(options, _scratch())
    except DevswapError as error:
        print(f"{error.message}\n  {error.hint or ''}".rstrip(), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted; production is back", file=sys.stderr)
        return 130
    print(measured)
    if options.write:
        _write(measured)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
