"""Where the measurements take place: the sandbox's heat-engine and what surrounds it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Network

from devswap.configuration import Configuration
from devswap.discovery import machines
from devswap.errors import DevswapError
from devswap.machine import Machine
from devswap.sandbox.base import venv_path
from devswap.sandbox.commands import shelf_path
from devswap.sandbox.eras import era_named
from devswap.sandbox.record import Record, Shelf

CONFIG = "/etc/heat/heat.conf"


@dataclass(frozen=True)
class Place:
    """One production heat-engine, and the servers that the work by hand needs."""

    record: Record
    machine: Machine
    database: Machine
    unit: str
    user: str
    venv: str
    """Production's virtualenv."""
    git: str
    """The base that a project's name is appended to."""
    heat_api: str
    """Its address."""
    queue: str
    transport_url: str
    wheels: str
    """The page with the cloud's own wheels, as production's pip is told."""

    @property
    def python(self) -> str:
        return f"{self.venv}/bin/python"

    @property
    def subnet(self) -> IPv4Network:
        return IPv4Network(self.record.network)


def current() -> Place:
    """The sandbox of the current era; raises DevswapError where there is none."""
    era = era_named("current")
    record = Shelf(shelf_path()).read(era)
    if record is None:
        raise DevswapError("there is no sandbox to measure on", hint="devswap sandbox up")
    heat = era.member("heat_api")
    machine = machines.at(f"lxc:{record.name(heat)}")
    url = Configuration.of(machine, [CONFIG], {}).get("DEFAULT", "transport_url")
    wheels = re.search(r"^find-links = (\S+)", machine.read_text("/etc/pip.conf") or "", re.MULTILINE)
    if url is None or wheels is None:
        raise DevswapError(f"{machine.name} is not furnished as the sandbox furnishes it", hint="devswap sandbox up")
    return Place(
        record=record,
        machine=machine,
        database=machines.at(f"lxc:{record.name(era.member('galera'))}"),
        unit="heat-engine.service",
        user="heat",
        venv=venv_path(era, "heat"),
        git=f"git://{record.address(era.member('git'))}/openstack",
        heat_api=record.address(heat),
        queue=f"engine.{record.hostname(heat)}",
        transport_url=url,
        wheels=wheels[1],
    )
