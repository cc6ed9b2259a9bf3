"""Who uses a database is stopped while a dump is loaded into it, and runs again afterwards."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from devswap import followers, owed, systemd
from devswap.database_source import Source, read_url
from devswap.database_url import same
from devswap.errors import DevswapError
from devswap.journal import write_durably
from devswap.machine import while_running
from devswap.steps.step import Cloud

_STOPPED = "stopped-for-the-load.json"
# One that fails and is restarted again and again never settles, and is not waited for longer.
_SETTLE_SECONDS = 10.0


def stop(cloud: Cloud, users: Iterable[tuple[str, str]]) -> None:
    """Note them on disk first: a restore that is killed here must start them all the same."""
    running = {(on, unit) for on, unit in users if _is_active(cloud, on, unit)}
    running |= {(on, name) for on, unit in running for name in followers.running(cloud.machine(on), unit)}
    stopped = sorted(running | set(_noted(cloud.vault)))
    write_durably(cloud.vault / _STOPPED, json.dumps(stopped).encode())
    active = [(on, unit) for on, unit in stopped if _is_active(cloud, on, unit)]
    for on, unit in active:
        cloud.say(f"stopping {unit} in {on} while the database is loaded")
        cloud.outage.begin_if_stopped(on, unit)
        systemd.begin_to_stop(cloud.machine(on), unit)
    for on, unit in active:  # a service takes seconds to stop: all of them at once, and then each is waited for
        systemd.stop(cloud.machine(on), unit)


def come_since(
    cloud: Cloud, source: Source, users: Collection[tuple[str, str]], units: Iterable[str]
) -> list[tuple[str, str]]:
    """Of `units` those that use the database of `source`, and that `users` lacks.

    Their machines did not run when these were looked for, or were not there yet.
    """
    wanted, found = set(units), list[tuple[str, str]]()
    try:
        own, machines = read_url(cloud.machine(source.on), source), cloud.running()
    except DevswapError:  # without it, or on a host that cannot list its machines, those that are known are all
        return []
    for machine in machines:
        begun = while_running(machine, lambda where: wanted.intersection(systemd.begun(where))) or set()
        for unit in sorted(begun):
            where = (machine.address, unit)
            with suppress(DevswapError):  # it names no database, or one that is no URL
                if where not in users and same(read_url(machine, replace(source, on=where[0], unit=unit)), own):
                    found.append(where)
    return found


def start(cloud: Cloud) -> None:
    """One that does not start is its own trouble: the service that was swapped must come back all the same."""
    reachable = [(on, unit) for on, unit in _noted(cloud.vault) if _is_reachable(cloud, on)]
    for on, unit in reachable:
        with suppress(DevswapError):  # what is wrong is said by the start that is waited for
            systemd.reset_failed(cloud.machine(on), unit)  # else systemd refuses one that was started too often
            systemd.start(cloud.machine(on), unit, wait_for_job=False)
    for on, unit in reachable:
        try:
            systemd.start(cloud.machine(on), unit)
        except DevswapError as error:
            if not owed.is_held_by_another(cloud, on, unit):
                cloud.say(f"{error.message}; it was stopped while the database was loaded")
                owed.note(cloud.owed, on, unit)
    forget(cloud)


def forget(cloud: Cloud) -> None:
    (cloud.vault / _STOPPED).unlink(missing_ok=True)


def are_stopped(vault: Path, on: str, unit: str) -> bool:
    """Whether a load from the capture in `vault` has stopped the unit and was interrupted: it starts it again."""
    return (on, unit) in _noted(vault)


def _noted(vault: Path) -> list[tuple[str, str]]:
    path = vault / _STOPPED
    return [(on, unit) for on, unit in json.loads(path.read_text())] if path.exists() else []


def _is_reachable(cloud: Cloud, on: str) -> bool:
    """A machine that is gone or stopped meanwhile writes nothing, and starts its units itself when it comes back."""
    try:
        return cloud.machine(on).is_running()
    except DevswapError:
        return False


def _is_active(cloud: Cloud, on: str, unit: str) -> bool:
    return _is_reachable(cloud, on) and systemd.settled(cloud.machine(on), unit, seconds=_SETTLE_SECONDS).is_active
