"""Units that were stopped for a dump to be loaded and did not start again: noted until they do.

The service that was swapped comes back first; a restore is not done before these run too.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from devswap import systemd
from devswap.errors import DevswapError, MachineGone
from devswap.journal import write_durably
from devswap.steps.step import Cloud, Step, shell


def note(path: Path, on: str, unit: str) -> None:
    """On disk when this returns: what stopped the unit may be forgotten then."""
    write_durably(path, json.dumps(sorted({*_read(path), (on, unit)})).encode())


def settle(cloud: Cloud) -> list[str]:
    """Try each of them again; what is still wrong, a line each with what to type."""
    wrong, left = [], []
    for on, unit in _read(cloud.owed):
        try:
            machine = cloud.machine(on)
            if machine.is_running():  # one that is stopped starts its units itself when it comes back
                systemd.reset_failed(machine, unit)
                systemd.start(machine, unit, late=cloud.aside)
        except MachineGone:
            continue
        except DevswapError as error:
            if is_held_by_another(cloud, on, unit):
                continue
            left.append((on, unit))
            wrong.append(f"{error.message}; mend it, then: {shell(on, 'systemctl', 'start', unit)}")
    if cloud.owed.exists():
        write_durably(cloud.owed, json.dumps(left).encode())
    return wrong


def is_owed(path: Path, on: str, unit: str) -> bool:
    """Whether the unit is noted there: it does not run as it did."""
    return (on, unit) in _read(path)


def is_held_by_another(cloud: Cloud, on: str, unit: str) -> bool:
    """Whether another swap holds it stopped: then it starts when that one is given back, and is owed by nobody else."""
    if unit not in (held := held_by_others(cloud, on)):
        return False
    cloud.say(f"{unit} in {on} is held by another swap, whose restore starts it")
    return held[unit]


def held_by_others(cloud: Cloud, on: str) -> dict[str, bool]:
    """The units of the machine `on` that other swaps hold stopped, as far as these can be read; whether each ran."""
    found = dict[str, bool]()
    for entry in (entry for entries in cloud.other_swaps() for entry in entries):
        kind = Step.known.get(entry.step.get("kind", ""))
        if kind is not None and kind.holds and entry.step.get("on") == on:
            with suppress(KeyError, TypeError):  # its own restore says so
                found[entry.step["unit"]] = bool(entry.captured["active"])
    return found


def _read(path: Path) -> list[tuple[str, str]]:
    return [(on, unit) for on, unit in json.loads(path.read_text())] if path.exists() else []
