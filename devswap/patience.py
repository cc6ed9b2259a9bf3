"""Who calls a service by RPC and gives up after a while: told, and made to wait longer (`--patient`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from devswap import database_users, development, peers
from devswap.deployment import Deployment
from devswap.discovery import units
from devswap.discovery.units import Found
from devswap.host import Host
from devswap.journal import Journal
from devswap.shared import Shelf
from devswap.steps.patience import LengthenWait
from devswap.steps.step import Step, from_json

SECONDS = 3600
_USUAL = 60
"""oslo.messaging's own default of rpc_response_timeout."""


def steps(host: Host, deployment: Deployment, journal: Journal | None = None) -> tuple[LengthenWait, ...]:
    """What makes the callers of the same cloud wait, as far as `journal` has not done so; what they cost is said."""
    done = list(_steps_of(journal)) if journal else []
    found = [LengthenWait(each.machine.address, unit=each.unit, seconds=SECONDS) for each in _callers(host, deployment)]
    wanted = tuple(step for step in found if step not in done)
    for step, by in _of_others(host, journal):
        if step in wanted:
            host.say(f"{step.unit} in {step.on} waits already, as long as {by} is swapped")
            wanted = tuple(each for each in wanted if each != step)
    if not found:
        host.say(f"nobody is known to call {deployment.service.name} by RPC here: --patient changes nothing")
    if wanted:
        names = ", ".join(f"{step.unit} in {step.on}" for step in wanted)
        host.say(
            f"{names}: restarted, now and at the restore, to wait {SECONDS} s for answers instead of {_USUAL} s; "
            "an outage of a few seconds each"
        )
    return wanted


def _of_others(host: Host, ours: Journal | None) -> Iterator[tuple[Step, str]]:
    """(step, the swap that has done it) of the other swaps."""
    for journal in host.journals.all():
        if ours is None or journal.folder != ours.folder:
            yield from ((step, journal.called) for step in _steps_of(journal))


def _steps_of(journal: Journal) -> Iterator[Step]:
    """Those that make somebody wait, as far as they can be read: its own restore says so where they cannot."""
    for entry in journal.entries:
        if entry.step.get("kind") == LengthenWait.kind:
            with suppress(TypeError):
                yield from_json(entry.step)


def _callers(host: Host, deployment: Deployment) -> list[Found]:
    service = deployment.service
    known = [each for each in host.catalogue() if each.name in service.called_by]
    places = (
        replace(each, active=each.active or _runs_again(host, each)) for each in units.find(known, host.running())
    )
    return [each for each in peers.with_its_broker(host, deployment, places) if _can_wait(host, each)]


def _runs_again(host: Host, place: Found) -> bool:
    """Whether a load under way has stopped it, and starts it: it will call again."""
    shelf, where = Shelf(host.state / "shared"), (place.machine.address, place.unit)
    return any(database_users.are_stopped(shelf.vault(record.name), *where) for record in shelf.readable())


def _can_wait(host: Host, caller: Found) -> bool:
    """One that is swapped itself is not restarted under whoever works with it."""
    name, machine = caller.service.name, caller.machine
    if machine.exists(development.path(caller.unit)):
        setting = f"--set DEFAULT.rpc_response_timeout={SECONDS}"
        host.say(f"{name} in {machine.name} is swapped itself, and waits as before; devswap run {name} {setting}")
        return False
    if caller.site:
        host.say(f"{name} in {machine.name} runs in a web server with others, and waits as before")
        return False
    return True
