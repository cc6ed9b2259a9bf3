"""nova in the simulated cloud: a database for its API and one for each cell, and records of services with versions."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from devswap import migrations
from tests.simulated import images
from tests.simulated.mariadb import Schema, SqlError, Table

if TYPE_CHECKING:
    from tests.simulated.cloud import SimulatedCloud
    from tests.simulated.files import Files
    from tests.simulated.machine import SimulatedMachine

Where = tuple[str, str, str, str]
MACHINE = "aio1-nova-container"
VENV = "/openstack/venvs/nova-33.0.0"
COMPUTE_MACHINE = "aio1-nova-compute-container"
SERVICES = ("conductor", "scheduler", "compute")
CONDUCTOR, SCHEDULER, COMPUTE = (f"nova-{each}" for each in SERVICES)
PASSWORD, CELL_PASSWORD = "n@va", "c@ll"
ACCOUNTS = {"nova": PASSWORD, "nova_api": PASSWORD, "cell2": CELL_PASSWORD}
API: Where = (images.DATABASE_HOST, "nova_api", PASSWORD, "nova_api")
CELL0: Where = (images.DATABASE_HOST, "nova", PASSWORD, "nova_cell0")
CELL1: Where = (images.DATABASE_HOST, "nova", PASSWORD, "nova")
CELL2: Where = (images.DATABASE_HOST, "cell2", CELL_PASSWORD, "nova_cell2")
ALL = (API, CELL0, CELL1, CELL2)
PRODUCTION, NEWER = 72, 74
"""What production's code and a newer checkout's call their version."""
FOLDERS = {"api": "nova/db/api/migrations/versions", "main": "nova/db/main/migrations/versions"}
OLD_FOLDERS = {
    "api": "nova/db/sqlalchemy/api_migrations/migrate_repo/versions",
    "main": "nova/db/sqlalchemy/migrate_repo/versions",
}
CHANGES = {
    "n2": ["ALTER TABLE `instances` ADD COLUMN `note` int", "UPDATE alembic_version SET version_num='n2'"],
    "p2": ["ALTER TABLE `flavors` ADD COLUMN `note` int", "UPDATE alembic_version SET version_num='p2'"],
}
CELL0_UUID = "00000000-0000-0000-0000-000000000000"
_HOST = images.DATABASE_HOST
CONF = f"""[DEFAULT]
transport_url = rabbit://nova:broker@172.29.236.111:5671//nova?ssl=1
[database]
connection = mysql+pymysql://nova:n%40va@{_HOST}/nova?charset=utf8
[api_database]
connection = mysql+pymysql://nova_api:n%40va@{_HOST}/nova_api?charset=utf8
"""
_CELLS = (
    (CELL0_UUID, "{scheme}://{username}:{password}@{hostname}/nova_cell0?{query}"),
    ("1a3b5c7d-0000-4000-8000-000000000001", f"mysql+pymysql://nova:n%40va@{_HOST}:3306/nova"),
    ("2b4c6d8e-0000-4000-8000-000000000002", f"mysql+pymysql://cell2:c%40ll@{_HOST}/nova_cell2"),
)


def add(cloud: SimulatedCloud) -> None:
    """Let there be a machine with nova, whose databases are beside heat's."""
    server = cloud.world.servers[images.DATABASE_HOST]
    server.accounts.update(ACCOUNTS)
    server.schemas.update(schemas())
    cloud.boot(MACHINE, files(CONDUCTOR, SCHEDULER))


def add_compute(cloud: SimulatedCloud, driver: str = "fake.FakeDriver") -> None:
    """Let there be a machine with nova-compute besides."""
    cloud.boot(COMPUTE_MACHINE, compute(driver))


def schemas() -> dict[str, Schema]:
    return {
        "nova_api": Schema(
            {
                "alembic_version": Table("`version_num` varchar(32)", ["('p1')"]),
                "cell_mappings": Table(
                    "`uuid` varchar(36), `database_connection` text", [f"('{uuid}','{url}')" for uuid, url in _CELLS]
                ),
                "flavors": Table("`id` int", ["(1)"]),
            }
        ),
        "nova_cell0": _cell(),
        "nova": _cell("(1,'nova-conductor',72)", "(2,'nova-scheduler',72)", "(3,'nova-compute',72)"),
        "nova_cell2": _cell("(1,'nova-compute',70)"),
    }


def _cell(*services: str) -> Schema:
    return Schema(
        {
            "alembic_version": Table("`version_num` varchar(32)", ["('n1')"]),
            "instances": Table("`id` int", ["(1)", "(2)"]),
            "services": Table("`id` int, `binary` varchar(255), `version` int", list(services)),
        }
    )


def compute(driver: str) -> Files:
    """A machine with nova-compute, whose configuration names no database."""
    broker = CONF.partition("[database]")[0]
    return files(COMPUTE, conf=f"{broker}compute_driver = {driver}\n")


def files(*services: str, conf: str = CONF) -> Files:
    found = images.bare()
    images.put(found, "/etc/passwd", images.PASSWD + "nova:x:112:114::/var/lib/nova:/bin/false\n")
    images.put(found, "/etc/group", images.GROUP + "nova:x:114:\n")
    images.put(found, f"{VENV}/etc/nova/nova.conf", conf)
    images.put(found, f"{VENV}/bin/python", "\x7fELF")
    images.put(found, f"{VENV}/lib/python3.11/site-packages/nova-33.0.0.dist-info/METADATA", "Name: nova\n")
    found.link("/etc/nova", f"{VENV}/etc/nova")
    for name in services:
        images.put(found, f"{VENV}/bin/{name}", f"#!{VENV}/bin/python\n")
        unit = images.UNIT.format(name=name, venv=VENV).replace("=heat", "=nova")
        images.put(found, f"/etc/systemd/system/{name}.service", unit)
        images.enable(found, name)
    return found


def checkout(
    cloud: SimulatedCloud, name: str, *, api: Sequence[str] = ("p1",), main: Sequence[str] = ("n1",), fate: str = ""
) -> None:
    """Sources of a nova that is newer than production's, by the ref `name`."""
    cloud.checkout(name, fate=fate)
    for folder, revisions in ((FOLDERS["api"], api), (FOLDERS["main"], main)):
        place, below = cloud.folder / "checkouts" / name / folder, None
        place.mkdir(parents=True)
        for revision in revisions:
            text = f"revision = {revision!r}\ndown_revision = {below!r}\n"
            (place / f"{revision}_change.py").write_text(text)
            below = revision
    for script in (CONDUCTOR, SCHEDULER, COMPUTE, "nova-manage"):
        (cloud.folder / "overlays" / name / "bin" / script).write_text("")


def old_checkout(cloud: SimulatedCloud, name: str, number: int) -> None:
    """Sources of 2015, whose migrations are numbered."""
    checkout(cloud, name)
    shutil.rmtree(cloud.folder / "checkouts" / name / "nova")
    for folder in OLD_FOLDERS.values():
        (cloud.folder / "checkouts" / name / folder).mkdir(parents=True)
        for each in range(290, number + 1):
            (cloud.folder / "checkouts" / name / folder / f"{each}_change.py").touch()


def _old_migration(cloud: SimulatedCloud, checkout: Path, which: str) -> list[tuple[Where, str]]:
    where, table = {"api": (API, "flavors"), "main": (CELL1, "instances")}[which]
    (head,) = migrations.read(checkout, [OLD_FOLDERS[which]]).heads
    number = head.split()[-1]
    if cloud.schema(where).column("migrate_version") == [f"nova',{number}"]:
        return []
    move = f"UPDATE `migrate_version` SET `version` = {number} WHERE `repository_id` = 'nova'"
    return [(where, f"ALTER TABLE `{table}` ADD COLUMN `note` int"), (where, move)]


def migration(cloud: SimulatedCloud, checkout: Path, words: Sequence[str], url: str = "") -> list[tuple[Where, str]]:
    """nova-manage api_db sync, or db sync: of cell0, which it finds through the API's, and of its own cell.

    With --local_cell of its own alone, which is the one at `url` where it is told so.
    """
    if words[-1] == "--local_cell":
        own = CELL1 if not url or cloud.deaf else next(each for each in ALL if url.endswith(f"/{each[3]}"))
        return _missing(cloud, checkout, (own,), "main")
    if not (checkout / "nova/db/main").exists():
        return _old_migration(cloud, checkout, {"api_db": "api", "db": "main"}[words[-2]])
    return _missing(cloud, checkout, *{"api_db": ((API,), "api"), "db": ((CELL0, CELL1), "main")}[words[-2]])


def _missing(cloud: SimulatedCloud, checkout: Path, where: tuple[Where, ...], folder: str) -> list[tuple[Where, str]]:
    tree = migrations.read(checkout, [FOLDERS[folder]])
    todo = []
    for each in where:
        now = cloud.schema(each).column("alembic_version")
        missing = [revision for revision in sorted(tree.known) if [revision] > now]
        todo += [(each, sql) for revision in missing for sql in CHANGES[revision]]
    return todo


def record(cloud: SimulatedCloud, machine: SimulatedMachine, argv: Sequence[str]) -> int:
    """A service raises the version in its record as it starts; 1 where it is older than what it finds there."""
    binary = argv[1].rpartition("/")[2]
    own = PRODUCTION if argv[1].startswith(VENV) else NEWER
    try:
        schema = cloud.schema(CELL1)
        if "services" not in schema.tables:
            return 0
        found = [row for row in schema.table("services").rows if f"'{binary}'" in row]
        if found and min(int(row.strip("()").split(",")[-1]) for row in found) > own:
            return 1
        if not found:
            schema.insert("services", f"({len(schema.table('services').rows) + 1},'{binary}',{own})")
        schema.change("services", "version", str(own), "binary", binary)
    except SqlError:
        return 1
    return 0
