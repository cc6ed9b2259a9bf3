"""Who else consumes the queue of a service: HAProxy has nothing to do with those, the broker gives each its share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from devswap import broker, development, transaction, unit_environment
from devswap.configuration import Configuration
from devswap.deployment import Deployment
from devswap.discovery import units
from devswap.discovery.units import Found
from devswap.host import Host
from devswap.journal import Journal
from devswap.machine import Machine, while_running
from devswap.steps.peer import HoldPeer

Peer = tuple[str, str]
"""The address of a machine, and the unit there."""


def of(host: Host, deployment: Deployment) -> list[Peer]:
    """The same service where it runs with the same broker; none for one without a queue."""
    found = with_its_broker(host, deployment, places) if (places := elsewhere(host, deployment)) else []
    return [(each.machine.address, each.unit) for each in found]


def elsewhere(host: Host, deployment: Deployment) -> list[Found]:
    """The same service on other machines, whether it runs or not; none for one without a queue."""
    service, here = deployment.service, deployment.machine.address
    if service.queue is None:
        return []
    return [each for each in units.find([service], host.running()) if each.machine.address != here]


def with_its_broker(host: Host, deployment: Deployment, places: Iterable[Found]) -> list[Found]:
    """Those of `places` that run with the deployment's broker; of whom that cannot be told, it is said."""
    here, unit = deployment.machine, deployment.unit
    ours = broker.of(Configuration.of(here, deployment.config_files, unit_environment.of(here, unit)))
    found = []
    for each in (each for each in places if each.active):
        name = each.service.name
        asked = while_running(each.machine, partial(_of_found, each))
        if asked is None:  # it was stopped meanwhile, and consumes nothing
            continue
        theirs = broker.of(asked)
        if ours is None or theirs is None:
            whose = f"{name} in {each.machine.name}" if ours else f"{deployment.service.name}"
            host.say(
                f"{name} in {each.machine.name} is taken for one with another broker: no transport_url is set in "
                f"the configuration of {whose}"
            )
        elif ours == theirs:
            found.append(each)
    return found


def _of_found(place: Found, machine: Machine) -> Configuration:
    service = place.service
    files = units.config_files(machine, place.unit, service.config, service.entry_point or service.name)
    return Configuration.of(machine, files, unit_environment.of(machine, place.unit))


def told(service: str, topic: str, found: Sequence[Peer], *, only: bool) -> str:
    """What a person must know: that development sees but its share, or who is stopped for it."""
    names = ", ".join(address for address, _ in found)
    what = f"{len(found)} {'peer consumes' if len(found) == 1 else 'peers consume'} the queue {topic} too ({names})"
    if only:
        return f"{what}: stopped once {service} serves"
    return f"{what}: {service} gets its share of the messages; --only stops them"


def hold(host: Host, journal: Journal) -> None:
    """Development serves: all messages come to it. The caller holds the lock for changes, here and in `let_go`."""
    service = journal.swap.service
    steps = [
        HoldPeer(address, service=service, unit=unit, text=development.held(service))
        for address, unit in journal.swap.traffic.get("only", [])
    ]
    transaction.apply(steps, journal, host.cloud(journal))


def is_held(step: object) -> bool:
    return isinstance(step, HoldPeer)
