"""Which databases a nova has is listed in that of its API; its services may be configured with different ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from devswap import database_url
from devswap.database_source import Source
from devswap.errors import DevswapError, NotWhole
from devswap.steps.database import SyncDatabase
from tests.simulated import nova
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.comparison import differences
from tests.simulated.files import File
from tests.simulated.machine import MachineState
from tests.simulated.snapshot import Snapshot
from tests.unit.nova.novas import CONDUCTOR, SCHEDULER, checkout, delist_cell0, restore, serves, steps

OTHER = "aio1-nova-api-container"
OF_CELL0 = nova.CONF.replace("/nova?", "/nova_cell0?")
LIKE = "mysql+pymysql://nova:n%40va@db.example:3307/nova?charset=utf8"


def test_every_cell_is_found_through_the_apis_database(cloud: SimulatedCloud) -> None:
    checkout(cloud, "migrates")
    (sync,) = steps(cloud, SyncDatabase)
    assert isinstance(sync, SyncDatabase)
    assert sync.source.name == "nova"
    assert [part.source.name for part in sync.others] == ["nova_api", "nova_cell0", "nova_cell2"]
    assert [command[-2:] for command in sync.commands] == [("api_db", "sync"), ("db", "sync")]


def revisions(cloud: SimulatedCloud) -> list[str]:
    return [cloud.schema(where).column("alembic_version")[0] for where in nova.ALL]


def migrations(cloud: SimulatedCloud) -> list[str]:
    return [name.partition("nova-manage ")[2] for name in cloud.calls.names if "nova-manage" in name]


def test_a_cell_that_the_usual_command_does_not_reach_is_migrated_by_its_own(cloud: SimulatedCloud) -> None:
    before = cloud.take()
    cloud.calls.begin()
    checkout(cloud, "migrates")
    assert migrations(cloud) == ["api_db sync", "db sync", "db sync --local_cell"]
    assert revisions(cloud) == ["p2", "n2", "n2", "n2"]
    restore(cloud)
    assert differences(cloud, before) == []


def test_another_checkout_finds_every_cell_migrated_and_loads_nothing(cloud: SimulatedCloud) -> None:
    checkout(cloud, "migrates")
    cloud.calls.begin()
    checkout(cloud, "migrates")
    assert migrations(cloud) == []
    assert not any(line.startswith("loading the database") for line in cloud.said)


def test_where_all_are_reached_nothing_more_is_run(cloud: SimulatedCloud) -> None:
    table = cloud.schema(nova.API).table("cell_mappings")
    table.rows[:] = [row for row in table.rows if "nova_cell2" not in row]
    cloud.calls.begin()
    checkout(cloud, "migrates")
    assert migrations(cloud) == ["api_db sync", "db sync"]


def test_a_checkout_that_reads_no_options_from_the_environment_is_told_of(cloud: SimulatedCloud) -> None:
    cloud.deaf = True
    before = cloud.take()
    checkout(cloud, "migrates")
    assert revisions(cloud) == ["p2", "n2", "n2", "n1"]
    assert "nova_cell2 is not migrated: this checkout's command was told of it, and left it" in cloud.said
    restore(cloud)
    assert differences(cloud, before) == []


def test_the_url_of_a_cell_is_in_a_file_of_roots_that_a_restore_takes_away(cloud: SimulatedCloud) -> None:
    """Of a devswap that was killed while the command ran."""
    before, killed = cloud.take(), list[Snapshot]()

    def look(what: str) -> None:
        if what.startswith("within") and "--local_cell" in what:
            killed.append(cloud.take())

    cloud.calls.begin(instant=look)
    checkout(cloud, "migrates")
    cloud.put_back(killed[0])
    machine = cloud.machine(nova.MACHINE)
    (path,) = [name for name in machine.files.names("/run/devswap/nova-conductor") if name.endswith("url")]
    found = machine.files.find(f"/run/devswap/nova-conductor/{path}")
    assert isinstance(found, File)
    assert found.mode == 0o600
    assert b'OS_DATABASE__CONNECTION="mysql+pymysql://cell2:' in found.content
    cloud.devswap_dies()
    restore(cloud)
    assert differences(cloud, before) == []


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


def test_a_cell_that_is_listed_no_more_is_named_before_development_is_stopped(cloud: SimulatedCloud) -> None:
    checkout(cloud, "newer")
    delist_cell0(cloud)
    with pytest.raises(NotWhole, match="cell_mappings of nova_api has it no more") as caught:
        restore(cloud)
    assert str(caught.value.hint).count("--keep-database") == 1
    assert serves(cloud, CONDUCTOR)


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


def test_a_template_takes_its_parts_from_the_configured_url() -> None:
    text = database_url.filled("{scheme}://{username}:{password}@{hostname}:{port}/nova_cell0?{query}", LIKE)
    assert text == LIKE.replace("/nova?", "/nova_cell0?")
    assert database_url.filled("mysql://a:b@c/d", LIKE) == "mysql://a:b@c/d"
    assert database_url.filled("mysql://a:b@c/{path}x", LIKE) == "mysql://a:b@c/novax"


def test_a_url_that_nothing_can_be_taken_from_is_said_without_showing_it() -> None:
    with pytest.raises(DevswapError) as caught:
        database_url.filled("{scheme}://{hostname}:{port}/x", "mysql://nova:SECRET/x@c/nova")
    assert "SECRET" not in str(caught.value)
