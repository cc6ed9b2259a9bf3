"""Who else consumes the queue of a service: HAProxy has nothing to do with those, the broker gives each its share."""

from __future__ import annotations

from collections.abc import Sequence

from devswap import development, systemd, transaction
from devswap.configuration import Configuration
from devswap.deployment import Deployment
from devswap.discovery import units
from devswap.host import Host
from devswap.journal import Journal
from devswap.machine import Machine
from devswap.steps.peer import HoldPeer

Peer = tuple[str, str]
"""The address of a machine, and the unit there."""


def of(host: Host, deployment: Deployment) -> list[Peer]:
    """The same service where it runs with the same broker; none for one without a queue."""
    service, machine = deployment.service, deployment.machine
    if service.queue is None:
        return []
    ours = broker(machine, deployment.unit, deployment.config_files)
    places = [each for each in units.find([service], host.running()) if each.machine.address != machine.address]
    return [
        (each.machine.address, each.unit)
        for each in places
        if each.active and broker(each.machine, each.unit, service.config) == ours is not None
    ]


def broker(machine: Machine, unit: str, files: Sequence[str]) -> str | None:
    """Its URL with everything in it: two clouds on one host have other passwords at least."""
    return Configuration.of(machine, files, systemd.environment(machine, unit)).get("DEFAULT", "transport_url")


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
