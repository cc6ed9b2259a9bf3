"""Units that systemd stops with another (Requires=, BindsTo=, PartOf= of theirs), and does not start with it again."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from devswap import systemd
from devswap.errors import DevswapError
from devswap.machine import Machine
from devswap.owed import is_held_by_another, note
from devswap.steps.step import Cloud

# Of the unit that is stopped, as systemd.unit(5) maps them.
_TOLD_BY = ("RequiredBy", "BoundBy", "ConsistsOf", "PropagatesStopTo")


def of(machine: Machine, unit: str) -> dict[str, str]:
    """Their states by their names, whoever follows them included, in the order in which they can be started."""
    todo, found = [unit], dict[str, str]()
    while todo:
        shown = systemd.show(machine, todo.pop(0), *_TOLD_BY)
        for name in dict.fromkeys(" ".join(shown.values()).split()):
            if name not in (unit, *found):
                found[name] = systemd.state(machine, name).active
                todo.append(name)
    return found


def fact(name: str) -> str:
    """What a fingerprint calls the one of that name."""
    return f"unit {name}, which stops with it"


def running(machine: Machine, unit: str) -> list[str]:
    """Those that stopping `unit` would stop now."""
    return [name for name, state in of(machine, unit).items() if state in ("active", "reloading", "activating")]


def triggers(machine: Machine, unit: str) -> list[str]:
    """The sockets and paths that start `unit`, of those that wait or have done so: they fail where it cannot start."""
    names = systemd.show(machine, unit, "TriggeredBy")["TriggeredBy"].split()
    return [name for name in names if systemd.state(machine, name).is_active]


def arm(cloud: Cloud, on: str, names: Iterable[str]) -> None:
    """Before what they start is started: a socket is refused once that runs."""
    _start(cloud, on, names, why="it had failed, since what it starts was held")


def start_beside(machine: Machine, names: Iterable[str]) -> None:
    """Beside development, without waiting: one that cannot run beside it is no reason to give that up."""
    for name in names:
        with suppress(DevswapError):
            systemd.start(machine, name, wait_for_job=False)


def start_again(cloud: Cloud, on: str, names: Iterable[str]) -> None:
    """Beside production."""
    _start(cloud, on, names, why="it was stopped with what it follows")


def _start(cloud: Cloud, on: str, names: Iterable[str], *, why: str) -> None:
    """One that does not start is its own trouble, and owed until it does; `why` it does not run is said then."""
    machine = cloud.machine(on)
    for name in names:
        if systemd.state(machine, name).is_active or is_held_by_another(cloud, on, name):
            continue
        try:
            systemd.reset_failed(machine, name)
            systemd.start(machine, name, late=cloud.aside)
        except DevswapError as error:
            cloud.say(f"{error.message}; {why}")
            note(cloud.owed, on, name)
