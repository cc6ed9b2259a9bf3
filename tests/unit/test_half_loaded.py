"""A load that was interrupted: neither development nor production starts on what is half there."""

from __future__ import annotations

from typing import Any

import pytest

from devswap import coming_back, production, swap
from devswap.database import Database
from devswap.errors import DevswapError, NotWhole
from devswap.steps.step import Kept
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.comparison import differences
from tests.simulated.person import Person, commands
from tests.simulated.snapshot import Snapshot
from tests.unit.midst import API, ENGINE, check_out, in_the_midst_of, journal, restore

UNIT = f"{ENGINE}.service"


@pytest.fixture
def half(cloud: SimulatedCloud, whole: Snapshot, monkeypatch: pytest.MonkeyPatch) -> SimulatedCloud:
    """heat-api has migrated, and its restore was interrupted in the midst of the load; heat-engine needed nothing."""
    check_out(cloud.host(), cloud, ENGINE, "plain")
    check_out(cloud.host(), cloud, API, "migrates")
    interrupt_the_restore(cloud, monkeypatch)
    assert not cloud.machine(images.HEAT).init.is_active(UNIT)
    return cloud


def interrupt_the_restore(cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(self: Database, argv: object, packed: object) -> None:
        raise DevswapError("the connection was lost")

    found = cloud.host().journals.find(API, f"lxc:{images.HEAT}")
    assert found is not None
    with monkeypatch.context() as now:
        now.setattr(Database, "_stream_in", lost)
        with pytest.raises(NotWhole, match="the connection was lost"):
            swap.restore(cloud.host(), found)


def test_it_is_not_run_on(half: SimulatedCloud, whole: Snapshot, person: Person) -> None:
    told = person.is_told("run", ENGINE, "--detach", code=1)
    assert "the database heat behind" in told.message
    assert "is half loaded" in told.message
    assert not half.machine(images.HEAT).init.is_active(UNIT)
    (first,) = commands(told.hint)
    person.types(first)
    person.types(f"devswap run {ENGINE} --detach")
    assert half.machine(images.HEAT).init.unit(UNIT).argv[0].startswith("/run/devswap")
    restore(half.host(), half, ENGINE)
    assert differences(half, whole) == []


@pytest.mark.parametrize("order", [(ENGINE, API), (API, ENGINE)])
def test_whichever_is_restored_first_brings_the_load_to_its_end(
    half: SimulatedCloud, whole: Snapshot, order: tuple[str, str]
) -> None:
    restore(half.host(), half, order[0])
    assert not list(half.state.glob("shared/*/load-has-begun"))
    assert half.schema(images.ACCOUNT).table("event").rows
    engine = half.machine(images.HEAT).init.unit(UNIT)
    assert engine.active == "active"
    assert engine.argv[0].startswith("/run/devswap") == (order[0] == API)
    restore(half.host(), half, order[1])
    assert differences(half, whole) == []


def test_production_is_not_started_where_that_fails_again(
    half: SimulatedCloud, whole: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers, half.world.servers = half.world.servers, {}
    with pytest.raises(NotWhole, match="Can't connect"):
        restore(half.host(), half, ENGINE)
    assert not half.machine(images.HEAT).init.is_active(UNIT)
    half.world.servers = servers
    for service in (ENGINE, API):
        restore(half.host(), half, service)
    assert differences(half, whole) == []


def test_it_is_left_where_the_database_is_to_stay_as_it_is(half: SimulatedCloud, whole: Snapshot) -> None:
    swap.restore(half.host(), journal(half, ENGINE), kept=Kept(frozenset({"sync-database"}), frozenset()))
    assert half.machine(images.HEAT).init.is_active(UNIT)
    assert list(half.state.glob("shared/*/load-has-begun"))
    restore(half.host(), half, API)
    assert differences(half, whole) == []


def test_who_has_only_prepared_leaves_it_to_whoever_loads_it(
    cloud: SimulatedCloud, whole: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for nobody's claim, since it has stopped nothing: the load may be under way."""
    check_out(cloud.host(), cloud, API, "migrates")
    left = list[Snapshot]()
    real = production.require_unchanged

    def killed(*arguments: Any) -> None:
        left.append(cloud.take())
        real(*arguments)

    with monkeypatch.context() as now:
        now.setattr(production, "require_unchanged", killed)
        check_out(cloud.host(), cloud, ENGINE, "migrates")
    cloud.put_back(left[0])
    loads = list[str]()

    def other() -> None:
        with pytest.raises(NotWhole, match="unit state: was active, is inactive"):  # the load has stopped it
            coming_back.bring_back(cloud.host(user="ben"), journal(cloud, ENGINE))
        loads.extend(each.name for each in cloud.state.glob("shared/*/load-has-begun"))

    with in_the_midst_of(monkeypatch, Database, "_stream_in", other):
        restore(cloud.host(), cloud, API)
    assert loads == ["load-has-begun"]
    restore(cloud.host(), cloud, ENGINE)
    assert differences(cloud, whole) == []


def test_one_whose_machine_was_stopped_when_the_users_were_looked_for_does_not_run_on_it_either(
    cloud: SimulatedCloud, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = cloud.add_peer()
    whole = cloud.take()
    check_out(cloud.host(), cloud, ENGINE, "plain", machine=images.HEAT_PEER)
    peer.halt()
    check_out(cloud.host(), cloud, API, "migrates")
    peer.boot()
    interrupt_the_restore(cloud, monkeypatch)
    assert not peer.init.is_active(UNIT)
    assert "is half loaded" in person.is_told("run", ENGINE, "--detach", code=1).message
    assert not peer.init.is_active(UNIT)
    for service in (ENGINE, API):
        restore(cloud.host(), cloud, service)
        assert not list(cloud.state.glob("shared/*/load-has-begun"))
        assert peer.init.is_active(UNIT)
    assert differences(cloud, whole) == []


def test_what_there_is_to_type_says_the_machine_where_the_service_is_swapped_in_several(
    cloud: SimulatedCloud, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.add_api()
    check_out(cloud.host(), cloud, API, "plain", machine=images.API_PEER)
    check_out(cloud.host(), cloud, ENGINE, "plain")
    check_out(cloud.host(), cloud, API, "migrates", machine=images.HEAT)
    interrupt_the_restore(cloud, monkeypatch)
    (first,) = commands(person.is_told("run", ENGINE, "--detach", code=1).hint)
    assert first == f"devswap restore {API} --machine lxc:{images.HEAT}"
    person.types(first)
    person.types(f"devswap run {ENGINE} --detach")
