"""An example of each step, for the tests of them all and of single ones."""

from __future__ import annotations

import importlib
import json
import pkgutil
from dataclasses import replace

import devswap.steps
from devswap import apache, development
from devswap.database_source import Listed, Source
from devswap.hooks import Hook
from devswap.sqlite_files import SqliteFiles
from devswap.steps.apache import LetGo, PointSite, RefreshFront
from devswap.steps.beside import RunBeside
from devswap.steps.database import SyncDatabase
from devswap.steps.file import MakeFile
from devswap.steps.haproxy import ACTIVE, BACKUP, OUT, MoveTraffic
from devswap.steps.hook import RunHook
from devswap.steps.mount import Mount, MountPassing
from devswap.steps.patience import LengthenWait
from devswap.steps.peer import HoldPeer
from devswap.steps.sqlite import KeepSqlite
from devswap.steps.step import Cloud, Step
from devswap.steps.unit import HoldUnit, OwnUnit, RunDevelopment
from devswap.steps.values import PutBackValues
from tests.simulated import images, nova, sqlite, web
from tests.simulated.cloud import SimulatedCloud

for module in pkgutil.iter_modules(devswap.steps.__path__):
    importlib.import_module(f"devswap.steps.{module.name}")

ON = f"lxc:{images.HEAT}"
UNIT = "heat-engine.service"
SLOT = "/run/devswap/heat-engine/1"
COMMAND = development.Command((f"{SLOT}/overlay/bin/python", f"{SLOT}/overlay/bin/heat-engine"), {}, simple=False)
SOURCE = Source(
    on=ON,
    unit=UNIT,
    config_files=("/etc/heat/heat.conf",),
    group="database",
    option="connection",
    client=f"lxc:{images.GALERA}",
    name="heat",
    address=f"{images.DATABASE_HOST}:3306",
)
_NOVA = replace(SOURCE, on=f"lxc:{nova.MACHINE}", unit="nova-conductor.service", config_files=("/etc/nova/nova.conf",))
_CELL0 = Listed("cell_mappings", "uuid", "database_connection", nova.CELL0_UUID, "database", "connection")
RECORDS = (
    replace(_NOVA, name="nova"),
    replace(_NOVA, group="api_database", name="nova_cell0", listed=_CELL0),
)
STORED = SqliteFiles(ON, f"{images.VENV}/bin/python", "heat", "heat", sqlite.FOLDER, (sqlite.PATTERN,))
HOOK = Hook("/etc/devswap/hooks/heat/stopped", "stopped", "machine", seconds=30, uid=0, text="#!/bin/sh\ntrue\n")
TOLD = {
    "service": "heat-engine",
    "user": "heat",
    "group": "heat",
    "production": {"python": f"{images.VENV}/bin/python"},
    "places": {"machine": {"checkout": f"{SLOT}/checkout"}, "host": {}},
}
APACHE = f"lxc:{images.KEYSTONE}"
SITE = f"{web.SITES}/keystone-httpd.conf"
_SITE = apache.read(images.keystone_site())
LET_GO = apache.without(_SITE, _SITE.running("keystone"))
POINTED = apache.pointed(_SITE, _SITE.running("keystone"), f"{SLOT}/overlay", {})


def example(kind: str, simulated: SimulatedCloud) -> Step:
    overlay = simulated.folder / "overlays" / "migrates"
    drop_in = development.drop_in("heat-engine", COMMAND, terminal=None)
    examples: dict[str, Step] = {
        "mount": Mount(ON, str(overlay), "/run/devswap/heat-engine/2/overlay", readonly=True),
        "mount-passing": MountPassing(ON, str(simulated.folder / "made"), f"{SLOT}/made", readonly=False),
        "hold-unit": HoldUnit(ON, service="heat-engine", unit=UNIT, text=drop_in),
        "run-development": RunDevelopment(ON, service="heat-engine", unit=UNIT),
        "sync-database": SyncDatabase(
            on=ON,
            service="heat-engine",
            project="heat",
            source=SOURCE,
            commands=((f"{SLOT}/overlay/bin/python", f"{SLOT}/overlay/bin/heat-manage", "db_sync"),),
            user="heat",
            group="heat",
            environment=(),
            users=((ON, UNIT), (ON, "heat-api.service"), (f"lxc:{images.HEAT_CFN}", "heat-api-cfn.service")),
            digest="",
        ),
        "put-back-values": PutBackValues(ON, sources=RECORDS, table="services", key="id", column="version"),
        "keep-sqlite": KeepSqlite(
            ON, service="heat-engine", stored=STORED, users=((ON, UNIT), (ON, "heat-api.service"))
        ),
        "hold-peer": HoldPeer(ON, service="heat-engine", unit=UNIT, text=development.held("heat-engine")),
        "run-beside": RunBeside(ON, unit="devswap-heat-engine-tests.service"),
        "make-file": MakeFile(ON, path="/etc/sudoers.d/devswap-heat", text="heat ALL = …\n", mode=0o440),
        "run-hook": RunHook(ON, service="heat-engine", hook=HOOK, told=json.dumps(TOLD)),
        "lengthen-wait": LengthenWait(ON, unit="heat-api.service", seconds=3600),
        "own-unit": OwnUnit(
            APACHE, service="keystone", unit="devswap-keystone.service", user="keystone", group="keystone"
        ),
        "let-go": LetGo(APACHE, service="keystone", unit=web.UNIT, path=SITE, text=LET_GO, ports=("5000",)),
        "let-go, by another file": LetGo(
            APACHE,
            service="keystone",
            unit=web.UNIT,
            path=SITE,
            text=LET_GO,
            ports=("5000",),
            others=((web.PORTS, "#devswap: Listen 5000\n"), (f"{web.SITES}/ports.conf", "# none\n")),
        ),
        "point-site": PointSite(APACHE, service="keystone", unit=web.UNIT, path=SITE, text=POINTED, before=LET_GO),
        "refresh-front": RefreshFront(
            ON,
            unit=web.UNIT,
            behind="heat-api.service",
            python=f"{images.VENV}/bin/python",
            user="heat",
            addresses=("http://172.29.236.130:8004",),
            ask="/",
        ),
        "haproxy": traffic(((images.OURS, OUT),)),
        "haproxy, narrowed": traffic(((images.OURS, ACTIVE), (images.THEIRS, BACKUP)), patient=(images.OURS,)),
        "haproxy, alone": traffic(((images.OURS, ACTIVE), (images.THEIRS, OUT))),
    }
    return examples[kind]


def traffic(roles: tuple[tuple[str, str], ...], *, patient: tuple[str, ...] = (), stops: bool = True) -> MoveTraffic:
    sources = ("/etc/haproxy/haproxy.cfg",)
    return MoveTraffic(f"lxc:{images.HAPROXY}", sources, roles, patient, ON, (images.OURS,), stops=stops)


def captured_by(step: Step, cloud: Cloud) -> object:
    """As it comes back from the journal."""
    found: object = json.loads(json.dumps(step.capture(cloud)))
    return found
