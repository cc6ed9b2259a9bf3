"""nova's services note their version in records, and production's do not start beside newer ones."""

from __future__ import annotations

import pytest

from devswap.errors import NotWhole
from devswap.steps.database import SyncDatabase
from devswap.steps.step import Kept
from devswap.steps.values import PutBackValues
from tests.simulated import nova
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.comparison import differences
from tests.unit.nova.novas import CONDUCTOR, SCHEDULER, checkout, delist_cell0, restore, serves, steps, versions

LEFT = Kept(kinds=frozenset({SyncDatabase.kind}))
"""restore --keep-database"""
SKIPPED = Kept(kinds=frozenset({PutBackValues.kind}))


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
