"""Why a service was found where it was, and why not elsewhere: what `list SERVICE` tells."""

from __future__ import annotations

from dataclasses import dataclass

from devswap.deployment import Deployment
from devswap.discovery import units
from devswap.discovery.units import Found
from devswap.errors import DevswapError
from devswap.host import Host
from devswap.machine import Machine, while_running
from devswap.masking import mask
from devswap.service import Service


@dataclass(frozen=True)
class Place:
    """A machine that has the service."""

    machine: str
    unit: str
    unit_file: str
    state: str
    version: str | None
    swapped: bool
    user: str | None
    """This and what follows is None where production's command cannot be taken over, or not be seen: `why_not`."""
    command: tuple[str, ...] | None
    python: str | None
    virtualenv: str | None
    config_files: tuple[str, ...]
    server: tuple[str, ...]
    """uWSGI's own files, where it runs the service."""
    addresses: tuple[str, ...]
    why_not: str | None


@dataclass(frozen=True)
class Explained:
    """One service: what is known of it everywhere, and what was found here."""

    service: str
    project: str
    distribution: str
    package: str
    origins: tuple[str, ...]
    unsupported: str | None
    looked_for: tuple[str, ...]
    """The names of units: of those that a machine has the one that runs counts, or else the first."""
    places: tuple[Place, ...]
    elsewhere: dict[str, str]
    """Why not, by machine."""
    stopped: tuple[str, ...]
    """Machines that nobody could look into."""


def explain(host: Host, service: Service) -> Explained:
    """Looks at every running machine, and changes nothing."""
    places, elsewhere = [], {}
    for machine in host.running():
        found = while_running(machine, lambda each: next(units.find([service], [each]), None))
        if found is not None:
            places.append(_place(host, found))
        else:
            elsewhere[machine.address] = while_running(machine, lambda each: _why_not(service, each)) or "was stopped"
    return Explained(
        service=service.name,
        project=service.project,
        distribution=service.distribution,
        package=service.package,
        origins=service.origins,
        unsupported=service.unsupported,
        looked_for=tuple(f"{name}.service" for name in service.units),
        places=tuple(places),
        elsewhere=elsewhere,
        stopped=tuple(host.stopped()),
    )


def _why_not(service: Service, machine: Machine) -> str:
    if units.is_its_own(machine, service):
        return "no such unit"
    return f"no {' or '.join(service.known_by)}"


def _place(host: Host, found: Found) -> Place:
    journal = host.journals.find(found.service.name, found.machine.address)
    deployment: Deployment | None = None
    why_not = None
    try:
        # While swapped, the unit shows development's command: then production's is in the journal
        deployment = units.from_json(found, journal.swap.deployment) if journal else units.examine(found)
    except DevswapError as error:
        why_not = error.message
    python = deployment.interpreter if deployment else None
    return Place(
        machine=found.machine.address,
        unit=found.unit,
        unit_file=found.file,
        state="active" if found.active else "inactive",
        version=units.version(found),
        swapped=journal is not None,
        user=deployment.user if deployment else None,
        command=tuple(map(mask, deployment.command)) if deployment else None,
        python=python.path if python else None,
        virtualenv=python.virtualenv if python else None,
        config_files=deployment.config_files if deployment else (),
        server=deployment.uwsgi.files if deployment and deployment.uwsgi else (),
        addresses=deployment.addresses if deployment else (),
        why_not=why_not,
    )
