"""nova has a database for its API and one for each cell, and records of services that newer code raises."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from devswap import database_url, databases, swap
from devswap.database_source import Source
from devswap.discovery import units
from devswap.errors import DevswapError, NotWhole
from devswap.steps.database import SyncDatabase
from devswap.steps.step import NOTHING_KEPT, Kept, Step, from_json
from devswap.steps.values import PutBackValues
from devswap.wish import Wish
from tests.simulated import images, nova
from tests.simulated.calls import Fault, Kind
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.comparison import differences
from tests.simulated.machine import MachineState
from tests.simulated.mariadb import Table

CONDUCTOR, SCHEDULER = nova.CONDUCTOR, nova.SCHEDULER


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimulatedCloud:
    found = SimulatedCloud(tmp_path)
    found.with_nova()
    nova.checkout(found, "newer")
    nova.checkout(found, "migrates", api=("p1", "p2"), main=("n1", "n2"))
    nova.checkout(found, "migrates-cells", main=("n1", "n2"))
    nova.checkout(found, "dies", api=("p1", "p2"), main=("n1", "n2"), fate="dies")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    return found


def checkout(cloud: SimulatedCloud, ref: str, service: str = CONDUCTOR, *, snapshot: bool = False) -> None:
    swap.checkout(cloud.host(), Wish(service, ref, None, None, detach=True, snapshot=snapshot), cloud.makers)


def restore(cloud: SimulatedCloud, service: str = CONDUCTOR, *, kept: Kept = NOTHING_KEPT) -> None:
    (journal,) = [each for each in cloud.host().journals.all() if each.swap.service == service]
    swap.restore(cloud.host(), journal, kept=kept)


def steps(cloud: SimulatedCloud, kind: type[Step]) -> list[Step]:
    (journal,) = cloud.host().journals.all()
    return [found for found in (from_json(entry.step) for entry in journal.entries) if isinstance(found, kind)]


def versions(cloud: SimulatedCloud) -> list[str]:
    return cloud.schema(nova.CELL1).select(("id", "version"), "services")


def serves(cloud: SimulatedCloud, service: str) -> bool:
    return cloud.machine(nova.MACHINE).init.is_active(f"{service}.service")


def test_every_cell_is_found_through_the_apis_database(cloud: SimulatedCloud) -> None:
    checkout(cloud, "migrates")
    (sync,) = steps(cloud, SyncDatabase)
    assert isinstance(sync, SyncDatabase)
    assert sync.source.name == "nova"
    assert [part.source.name for part in sync.others] == ["nova_api", "nova_cell0", "nova_cell2"]
    assert [command[-2:] for command in sync.commands] == [("api_db", "sync"), ("db", "sync")]


def test_each_is_dumped_before_any_is_migrated(cloud: SimulatedCloud) -> None:
    seen: list[list[str]] = []

    def look(what: str) -> None:
        if "nova-manage" in what:
            seen.append(sorted(path.name for path in cloud.state.glob("shared/*/database*")))

    cloud.calls.begin(instant=look)
    checkout(cloud, "migrates")
    assert seen[0] == ["database-1.sql.gz", "database-2.sql.gz", "database-3.sql.gz", "database.sql.gz"]
    assert [cloud.schema(each).column("alembic_version") for each in nova.ALL] == [["p2"], ["n2"], ["n2"], ["n1"]]


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
    assert [name.rpartition("0000")[2] for name in saved] == ["-2.sql.gz", ".sql.gz"]


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
    assert len(loads) == 3
    assert not [number for number in starts if loads[0] < number < loads[-1]]


def test_records_are_put_back_although_nothing_was_migrated(cloud: SimulatedCloud) -> None:
    checkout(cloud, "newer")
    assert steps(cloud, SyncDatabase) == []
    (found,) = steps(cloud, PutBackValues)
    assert isinstance(found, PutBackValues)
    assert [source.name for source in found.sources] == ["nova", "nova_cell0", "nova_cell2"]
    restore(cloud)
    assert versions(cloud) == ["1\t72", "2\t72", "3\t72"]


def test_records_are_asked_for_while_production_serves(cloud: SimulatedCloud) -> None:
    cloud.calls.begin()
    checkout(cloud, "newer")
    names = cloud.calls.names
    stop = next(number for number, name in enumerate(names) if name.endswith("stop -- nova-conductor.service"))
    start = next(number for number, name in enumerate(names) if number > stop and "systemctl start" in name)
    assert not [name for name in names[stop:start] if "mariadb" in name]


def test_production_starts_although_another_swap_still_raises_its_own(cloud: SimulatedCloud) -> None:
    before = cloud.take()
    checkout(cloud, "newer", CONDUCTOR)
    checkout(cloud, "newer", SCHEDULER)
    restore(cloud, CONDUCTOR)
    assert serves(cloud, CONDUCTOR)
    restore(cloud, SCHEDULER)
    assert serves(cloud, SCHEDULER)
    assert differences(cloud, before) == []


def test_by_hand_records_are_put_back_for_each_that_leaves(cloud: SimulatedCloud) -> None:
    checkout(cloud, "newer", CONDUCTOR)
    checkout(cloud, "migrates", SCHEDULER)
    for path in cloud.state.glob("swaps/*/restore.sh"):
        lines = [line.strip() for line in path.read_text().splitlines() if "UPDATE" in line]
        assert len(set(lines)) == 2  # there is no record in cell0
        assert not any(line.startswith("#") for line in lines)


def test_by_hand_records_are_put_back_before_anybody_starts(cloud: SimulatedCloud) -> None:
    """Who was stopped for the load runs production's code, and would find what the dump has of a newer one."""
    checkout(cloud, "newer", CONDUCTOR)
    checkout(cloud, "migrates", SCHEDULER)
    (script,) = cloud.state.glob("swaps/nova-scheduler*/restore.sh")
    lines = script.read_text().splitlines()
    (start,) = [number for number, line in enumerate(lines) if "then sh " in line and "start-again.sh" in line]
    loads = [number for number, line in enumerate(lines) if "gunzip -c" in line]
    assert ["UPDATE" in line for line in lines[max(loads) + 1 : start]].count(True) == 2


def delist_cell0(cloud: SimulatedCloud) -> None:
    """It comes before another one."""
    table = cloud.schema(nova.API).table("cell_mappings")
    table.rows[:] = [row for row in table.rows if nova.CELL0_UUID not in row]


def add_cell(cloud: SimulatedCloud) -> None:
    where = (nova.CELL2[0], nova.CELL2[1], nova.CELL2[2], "nova_cell3")
    cloud.world.servers[where[0]].schemas["nova_cell3"] = nova.schemas()["nova_cell2"]
    url = f"mysql+pymysql://cell2:c%40ll@{where[0]}/nova_cell3"
    cloud.schema(nova.API).insert("cell_mappings", f"('3c000000-0000-4000-8000-000000000003','{url}')")


@pytest.mark.parametrize(
    ("change", "ref", "said"),
    [
        (add_cell, "newer", "nova_cell3 was not there yet"),
        (delist_cell0, "newer", "nova_cell0 is not listed any more"),
        (delist_cell0, "migrates", "nova_cell0 is not listed any more"),
    ],
)
def test_cells_that_changed_between_two_checkouts_are_named(
    cloud: SimulatedCloud, change: Callable[[SimulatedCloud], None], ref: str, said: str
) -> None:
    checkout(cloud, ref, CONDUCTOR)
    change(cloud)
    checkout(cloud, ref, SCHEDULER)
    assert any(line.startswith(said) for line in cloud.said)
    assert len(list(cloud.state.glob("swaps/*/restore.sh"))) == 2
    if change is add_cell:
        for service in (CONDUCTOR, SCHEDULER):
            restore(cloud, service)
            assert serves(cloud, service)


def test_a_cell_that_was_made_since_another_has_migrated_is_refused(cloud: SimulatedCloud) -> None:
    """It is in no dump, and the dump of the API's database does not list it."""
    checkout(cloud, "migrates", CONDUCTOR)
    add_cell(cloud)
    with pytest.raises(DevswapError, match="cannot bring nova_cell3 back later"):
        checkout(cloud, "migrates", SCHEDULER)
    assert serves(cloud, SCHEDULER)
    restore(cloud)
    assert serves(cloud, CONDUCTOR)


@pytest.mark.parametrize("first", [CONDUCTOR, SCHEDULER])
def test_a_dump_that_was_taken_beside_a_newer_service_does_not_keep_production_from_starting(
    cloud: SimulatedCloud, first: str
) -> None:
    before = cloud.take()
    checkout(cloud, "newer", CONDUCTOR)
    checkout(cloud, "migrates", SCHEDULER)
    restore(cloud, first)
    restore(cloud, SCHEDULER if first == CONDUCTOR else CONDUCTOR)
    assert serves(cloud, CONDUCTOR)
    assert serves(cloud, SCHEDULER)
    assert differences(cloud, before) == []


def test_a_record_that_is_new_since_then_is_no_newer_than_the_others(cloud: SimulatedCloud) -> None:
    checkout(cloud, "newer")
    cloud.schema(nova.CELL2).insert("services", "(2,'nova-conductor',74)")
    restore(cloud)
    assert cloud.schema(nova.CELL2).select(("id", "version"), "services") == ["1\t70", "2\t70"]


def test_a_record_that_is_new_since_then_is_not_as_low_as_a_leftover(cloud: SimulatedCloud) -> None:
    """nova refuses to start beside a nova-compute that is too old, too."""
    cloud.schema(nova.CELL1).insert("services", "(4,'nova-consoleauth',0)")
    checkout(cloud, "newer")
    (script,) = cloud.state.glob("swaps/*/restore.sh")
    assert "LEAST(`version`, 72)" in script.read_text()
    cloud.schema(nova.CELL1).insert("services", "(5,'nova-compute',74)")
    cloud.schema(nova.CELL1).insert("services", "(6,'nova-compute',71)")
    restore(cloud)
    assert versions(cloud) == ["1\t72", "2\t72", "3\t72", "4\t0", "5\t72", "6\t71"]


def test_records_are_put_back_where_the_migrated_database_is_left_as_it_is(cloud: SimulatedCloud) -> None:
    checkout(cloud, "migrates")
    restore(cloud, kept=Kept(kinds=frozenset({SyncDatabase.kind, PutBackValues.kind})))
    assert cloud.schema(nova.CELL1).column("alembic_version") == ["n2"]
    assert versions(cloud)[0] == "1\t72"
    assert serves(cloud, CONDUCTOR)


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
    assert [cloud.schema(each).column("alembic_version") for each in nova.ALL] == [["p2"], ["n2"], ["n2"], ["n1"]]


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


LEFT = Kept(kinds=frozenset({SyncDatabase.kind}))
"""restore --keep-database"""
SKIPPED = Kept(kinds=frozenset({PutBackValues.kind}))


@pytest.mark.parametrize("second", [(), (SCHEDULER,)])
def test_records_wait_where_the_database_is_left_and_cannot_be_reached(
    cloud: SimulatedCloud, second: tuple[str, ...]
) -> None:
    before = cloud.take()
    for service in (CONDUCTOR, *second):
        checkout(cloud, "newer", service)
    servers = dict(cloud.world.servers)
    cloud.world.servers.clear()
    with pytest.raises(NotWhole):
        restore(cloud, kept=LEFT)
    cloud.world.servers.update(servers)
    assert versions(cloud)[0] == "1\t74"
    for service in (CONDUCTOR, *second):
        cloud.machine(nova.MACHINE).run(["systemctl", "reset-failed", "--", f"{service}.service"], ok=range(256))
        restore(cloud, service)
    assert serves(cloud, CONDUCTOR)
    assert differences(cloud, before) == []


def test_a_cell_that_is_listed_no_more_is_named_before_development_is_stopped(cloud: SimulatedCloud) -> None:
    checkout(cloud, "newer")
    delist_cell0(cloud)
    with pytest.raises(NotWhole, match="cell_mappings of nova_api has it no more") as caught:
        restore(cloud)
    assert str(caught.value.hint).count("--keep-database") == 1
    assert serves(cloud, CONDUCTOR)


def test_production_starts_although_one_of_them_cannot_be_put_back(cloud: SimulatedCloud) -> None:
    checkout(cloud, "newer")
    delist_cell0(cloud)
    cloud.schema(nova.CELL2).insert("services", "(2,'nova-conductor',74)")
    with pytest.raises(NotWhole, match="has it no more") as caught:
        restore(cloud, kept=LEFT)
    assert "--skip put-back-values" in str(caught.value.hint)
    assert versions(cloud)[0] == "1\t72"
    assert cloud.schema(nova.CELL2).select(("id", "version"), "services") == ["1\t70", "2\t70"]
    assert serves(cloud, CONDUCTOR)


def test_what_is_left_for_good_is_written_down(cloud: SimulatedCloud) -> None:
    checkout(cloud, "newer")
    delist_cell0(cloud)
    restore(cloud, kept=SKIPPED)
    assert cloud.host().journals.all() == []
    (script,) = (cloud.state / "saved").glob("services.version-*.sh")
    assert any(str(script) in line for line in cloud.said)
    assert "LEAST(`version`, 72)" in script.read_text()


def test_the_database_is_asked_for_although_another_swap_holds_it_too(cloud: SimulatedCloud) -> None:
    """Records are put back for each that leaves."""
    for service in (CONDUCTOR, SCHEDULER):
        checkout(cloud, "newer", service)
    cloud.world.servers.clear()
    with pytest.raises(NotWhole, match="Can't connect"):
        restore(cloud)
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


# --- services of one nova that are configured with different databases ----------------------------------------------

OTHER = "aio1-nova-api-container"
OF_CELL0 = nova.CONF.replace("/nova?", "/nova_cell0?")


def split(cloud: SimulatedCloud, conf: str) -> None:
    """nova-scheduler has a machine of its own, and is configured by `conf`."""
    for name, files in ((nova.MACHINE, nova.files(CONDUCTOR)), (OTHER, nova.files(SCHEDULER, conf=conf))):
        cloud.world.machines[name] = MachineState(files)
        cloud.machine(name).boot()


@pytest.mark.parametrize("refs", [("newer", "newer"), ("migrates", "migrates"), ("migrates", "newer")])
def test_one_that_reaches_what_is_changed_already_in_another_way_is_refused(
    cloud: SimulatedCloud, refs: tuple[str, str]
) -> None:
    """It would take for production's what the first has changed."""
    split(cloud, OF_CELL0)
    before = cloud.take()
    checkout(cloud, refs[0], CONDUCTOR)
    swapped = cloud.take()
    with pytest.raises(DevswapError, match="has changed it already, and is configured with nova at") as caught:
        checkout(cloud, refs[1], SCHEDULER)
    assert "devswap restore nova-conductor, then" in str(caught.value.hint)
    assert [line for line in differences(cloud, swapped) if not line.startswith("left on the disk")] == []
    restore(cloud)
    assert differences(cloud, before) == []
    checkout(cloud, refs[1], SCHEDULER)


def test_whoever_uses_one_of_them_is_stopped_while_it_is_loaded(cloud: SimulatedCloud) -> None:
    split(cloud, OF_CELL0)
    checkout(cloud, "migrates")
    (sync,) = steps(cloud, SyncDatabase)
    assert isinstance(sync, SyncDatabase)
    assert (f"lxc:{OTHER}", f"{SCHEDULER}.service") in sync.users


def test_a_loopback_address_is_each_machines_own() -> None:
    one = Source("lxc:one", "a.service", (), "database", "connection", "lxc:one", "nova", "127.0.0.1:3306", "one")
    assert not one.is_same_as(replace(one, client="lxc:two", server="two"))
    assert one.is_same_as(replace(one, server=""))
    assert not replace(one, server="").is_same_as(replace(one, address="db:3306", server=""))


# --- nova-compute, which leaves its record to others ---------------------------------------------------------------


def test_the_record_of_one_without_a_database_is_put_back_as_well(cloud: SimulatedCloud) -> None:
    cloud.with_compute()
    before = cloud.take()
    checkout(cloud, "newer", nova.COMPUTE)
    (found,) = steps(cloud, PutBackValues)
    assert isinstance(found, PutBackValues)
    assert {source.on for source in found.sources} == {f"lxc:{nova.MACHINE}"}
    assert versions(cloud) == ["1\t72", "2\t72", "3\t74"]
    restore(cloud, nova.COMPUTE)
    assert differences(cloud, before) == []
    assert cloud.machine(nova.COMPUTE_MACHINE).init.is_active("nova-compute.service")


def test_it_shares_what_is_put_back_with_those_that_have_one(cloud: SimulatedCloud) -> None:
    cloud.with_compute()
    before = cloud.take()
    checkout(cloud, "newer", nova.COMPUTE)
    checkout(cloud, "migrates", CONDUCTOR)
    restore(cloud, nova.COMPUTE)
    restore(cloud, CONDUCTOR)
    assert differences(cloud, before) == []


def test_it_is_refused_where_nobody_names_its_database(cloud: SimulatedCloud) -> None:
    cloud.with_compute()
    other = cloud.machine(nova.COMPUTE_MACHINE)
    images.put(
        other.files,
        f"{nova.VENV}/etc/nova/nova.conf",
        "[DEFAULT]\ntransport_url = rabbit://other\ncompute_driver = fake.FakeDriver\n",
    )
    before = cloud.take()
    with pytest.raises(DevswapError, match="no unit of nova on this host names its database"):
        checkout(cloud, "newer", nova.COMPUTE)
    assert differences(cloud, before) == []


def test_one_that_needs_root_is_refused(cloud: SimulatedCloud) -> None:
    cloud.with_compute("libvirt.LibvirtDriver")
    before = cloud.take()
    with pytest.raises(DevswapError, match="cannot take nova-compute over yet: nobody has tried yet"):
        checkout(cloud, "newer", nova.COMPUTE)
    assert differences(cloud, before) == []


# --- before there were cells ----------------------------------------------------------------------------------------


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


# --- URLs -----------------------------------------------------------------------------------------------------------

LIKE = "mysql+pymysql://nova:n%40va@db.example:3307/nova?charset=utf8"


def test_a_template_takes_its_parts_from_the_configured_url() -> None:
    text = database_url.filled("{scheme}://{username}:{password}@{hostname}:{port}/nova_cell0?{query}", LIKE)
    assert text == LIKE.replace("/nova?", "/nova_cell0?")
    assert database_url.filled("mysql://a:b@c/d", LIKE) == "mysql://a:b@c/d"
    assert database_url.filled("mysql://a:b@c/{path}x", LIKE) == "mysql://a:b@c/novax"


def test_a_url_that_nothing_can_be_taken_from_is_said_without_showing_it() -> None:
    with pytest.raises(DevswapError) as caught:
        database_url.filled("{scheme}://{hostname}:{port}/x", "mysql://nova:SECRET/x@c/nova")
    assert "SECRET" not in str(caught.value)
