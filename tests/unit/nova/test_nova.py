"""nova has a database for its API and one for each cell: all are changed by a migration, and all come back."""

from __future__ import annotations

import logging

import pytest

from devswap import databases
from devswap.discovery import units
from devswap.errors import DevswapError, NotWhole
from devswap.steps.database import SyncDatabase
from devswap.steps.step import Kept
from devswap.steps.values import PutBackValues
from tests.simulated import images, nova
from tests.simulated.calls import Fault, Kind
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.comparison import differences
from tests.simulated.mariadb import Table
from tests.unit.nova.novas import CONDUCTOR, checkout, restore, serves, steps, versions


def test_each_is_dumped_before_any_is_migrated(cloud: SimulatedCloud) -> None:
    seen: list[list[str]] = []

    def look(what: str) -> None:
        if "nova-manage" in what:
            seen.append(sorted(path.name for path in cloud.state.glob("shared/*/database*")))

    cloud.calls.begin(instant=look)
    checkout(cloud, "migrates")
    assert seen[0] == ["database-1.sql.gz", "database-2.sql.gz", "database-3.sql.gz", "database.sql.gz"]
    assert [cloud.schema(each).column("alembic_version") for each in nova.ALL] == [["p2"], ["n2"], ["n2"], ["n2"]]


@pytest.mark.parametrize("ref", ["newer", "migrates", "migrates-cells"])
def test_production_is_as_it_was(cloud: SimulatedCloud, ref: str) -> None:
    before = cloud.take()
    checkout(cloud, ref)
    assert versions(cloud)[0] == "1\t74"
    restore(cloud)
    assert differences(cloud, before) == []
    assert serves(cloud, CONDUCTOR)


def test_a_checkout_that_does_not_serve_leaves_production_as_it_was(cloud: SimulatedCloud) -> None:
    before = cloud.take()
    with pytest.raises(DevswapError):
        checkout(cloud, "dies")
    assert differences(cloud, before) == []


def test_a_dump_that_fails_comes_before_any_migration(cloud: SimulatedCloud) -> None:
    before = cloud.take()
    cloud.calls.begin()
    checkout(cloud, "migrates")
    names = cloud.calls.names[: next(n for n, name in enumerate(cloud.calls.names) if "nova-manage" in name)]
    cloud.put_back(before)
    cloud.calls.begin(Fault(max(n for n, name in enumerate(names) if "mariadb-dump" in name), Kind.RAISES))
    with pytest.raises(DevswapError):
        checkout(cloud, "migrates")
    assert not any("nova-manage" in name for name in cloud.calls.names)
    assert differences(cloud, before) == []


def test_rows_stay_where_only_another_schema_was_changed(cloud: SimulatedCloud) -> None:
    checkout(cloud, "migrates-cells")
    for where, table in ((nova.API, "flavors"), (nova.CELL1, "instances")):
        cloud.schema(where).insert(table, "(99)")
    restore(cloud)
    assert "(99)" in cloud.schema(nova.API).table("flavors").rows
    assert "(99)" not in cloud.schema(nova.CELL1).table("instances").rows
    saved = sorted(path.name for path in (cloud.state / "saved").iterdir())
    assert [name.rpartition("0000")[2] for name in saved] == ["-2.sql.gz", "-3.sql.gz", ".sql.gz"]


def test_a_snapshot_holds_all_of_them_although_nothing_is_migrated(cloud: SimulatedCloud) -> None:
    checkout(cloud, "newer", snapshot=True)
    (sync,) = steps(cloud, SyncDatabase)
    assert isinstance(sync, SyncDatabase)
    assert sync.commands == ()
    assert len(list(cloud.state.glob("shared/*/database*.sql.gz"))) == len(nova.ALL)


def test_nobody_starts_between_the_loads(cloud: SimulatedCloud) -> None:
    checkout(cloud, "migrates")
    cloud.calls.begin()
    restore(cloud)
    loads = [number for number, name in enumerate(cloud.calls.names) if "-- MariaDB dump" in name]
    starts = [number for number, name in enumerate(cloud.calls.names) if "systemctl start" in name]
    assert len(loads) == len(nova.ALL)
    assert not [number for number in starts if loads[0] < number < loads[-1]]


def test_what_is_left_as_it_is_is_whole_when_its_load_was_interrupted(cloud: SimulatedCloud) -> None:
    """All of the several: they belong together."""
    checkout(cloud, "migrates")
    swapped = cloud.take()
    cloud.calls.begin()
    restore(cloud)
    loads = [number for number, name in enumerate(cloud.calls.names) if "-- MariaDB dump" in name]
    cloud.put_back(swapped)
    cloud.calls.begin(Fault(loads[1], Kind.HALF, 2))
    with pytest.raises(DevswapError):
        restore(cloud)
    cloud.calls.begin()
    restore(cloud, kept=Kept(kinds=frozenset({SyncDatabase.kind, PutBackValues.kind})))
    assert [cloud.schema(each).column("alembic_version") for each in nova.ALL] == [["p2"], ["n2"], ["n2"], ["n2"]]


def test_all_of_them_come_back_although_the_machine_that_knew_their_passwords_is_gone(cloud: SimulatedCloud) -> None:
    before = {where: cloud.schema(where).dump(rows=True, comments=False) for where in nova.ALL}
    checkout(cloud, "migrates")
    del cloud.world.machines[nova.MACHINE]
    restore(cloud)
    assert {where: cloud.schema(where).dump(rows=True, comments=False) for where in nova.ALL} == before


def test_a_database_that_is_gone_is_named_before_development_is_stopped(cloud: SimulatedCloud) -> None:
    checkout(cloud, "newer")
    cloud.world.servers.clear()
    with pytest.raises(NotWhole, match="Can't connect") as caught:
        restore(cloud)
    assert "devswap restore --keep-database" in str(caught.value.hint)
    assert "install the client" not in str(caught.value.hint)
    assert serves(cloud, CONDUCTOR)


def test_a_checkout_that_is_older_than_a_cell_is_refused(cloud: SimulatedCloud) -> None:
    cloud.schema(nova.API).update("alembic_version", "p9")
    before = cloud.take()
    with pytest.raises(DevswapError, match="it is at p9, which this checkout does not know"):
        checkout(cloud, "migrates")
    assert differences(cloud, before) == []


def test_no_password_is_written_anywhere(cloud: SimulatedCloud, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    cloud.calls.begin()
    checkout(cloud, "migrates")
    written = [path.read_text() for path in cloud.state.rglob("*") if path.suffix in (".json", ".sh")]
    restore(cloud)
    for secret in (nova.PASSWORD, nova.CELL_PASSWORD, "n%40va", "c%40ll"):
        assert not any(secret in text for text in (*written, *cloud.said, caplog.text))
        assert not any(secret in name for name in cloud.calls.names)


def old(cloud: SimulatedCloud, *, api: bool) -> None:
    """nova of 2015: sqlalchemy-migrate, no cells, and a database for the API or none."""
    server = cloud.world.servers[images.DATABASE_HOST]
    for name in ("nova_cell0", "nova_cell2"):
        del server.schemas[name]
    for name in ("nova", "nova_api"):
        tables = server.schemas[name].tables
        del tables["alembic_version"]
        tables["migrate_version"] = Table("`repository_id` varchar(250), `version` int", ["('nova',290)"])
    del server.schemas["nova_api"].tables["cell_mappings"]
    del server.schemas["nova"].tables["services"]
    if not api:
        del server.schemas["nova_api"]
        text = nova.CONF.partition("[api_database]")[0]
        images.put(cloud.machine(nova.MACHINE).files, f"{nova.VENV}/etc/nova/nova.conf", text)


@pytest.mark.parametrize("api", [True, False])
def test_a_nova_without_cells_and_records_of_versions_is_taken_over(cloud: SimulatedCloud, *, api: bool) -> None:
    old(cloud, api=api)
    (place,) = units.find([cloud.host().catalogue().get(CONDUCTOR)], [cloud.machine(nova.MACHINE)])
    sources = databases.sources_of(cloud.host(), units.examine(place))
    assert [source.name for source in sources] == (["nova", "nova_api"] if api else ["nova"])
    nova.old_checkout(cloud, "old", 290)
    nova.old_checkout(cloud, "old-migrates", 291)
    before = cloud.take()
    for ref, number in (("old", 290), ("old-migrates", 291)):
        checkout(cloud, ref)
        for where in (nova.API, nova.CELL1) if api else (nova.CELL1,):
            assert cloud.schema(where).select(("version",), "migrate_version") == [str(number)]
        restore(cloud)
        assert differences(cloud, before) == []
