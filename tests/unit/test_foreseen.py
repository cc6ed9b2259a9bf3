"""A way back that is known to end half way is not begun: development goes on serving."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from devswap import foreseen, swap
from devswap.configuration import Configuration
from devswap.service import Setting
from devswap.wish import Wish
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud, no_waiting
from tests.simulated.comparison import differences
from tests.simulated.person import Person, commands

SERVICE = "heat-engine"


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedCloud]:
    found = SimulatedCloud(tmp_path)
    found.checkout("migrates", revisions=("a1", "b2"))
    with no_waiting(monkeypatch):
        swap.checkout(found.host(), Wish(SERVICE, "migrates", None, None, detach=True), found.makers)
        yield found


def serving(cloud: SimulatedCloud) -> str:
    return cloud.machine(images.HEAT).init.unit("heat-engine.service").argv[0]


def test_no_room_for_what_is_in_the_database_now(
    cloud: SimulatedCloud, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = cloud.take()
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=0))
        told = person.is_told("restore")
        assert "cannot save the database" in told.message
        assert serving(cloud).startswith("/run/devswap/")
        assert [line for line in differences(cloud, before) if not line.startswith("left on the disk")] == []
        keep, *_ = commands(told.hint)
        person.types(keep)
    assert serving(cloud).startswith(images.VENV)
    assert "b2" in cloud.schema(images.ACCOUNT).table("alembic_version").rows[0]


def test_room_that_is_there_again_is_all_it_needs(
    cloud: SimulatedCloud, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=0))
        person.is_told("restore")
    person.types("devswap restore heat-engine")
    assert "a1" in cloud.schema(images.ACCOUNT).table("alembic_version").rows[0]


def test_a_database_that_cannot_be_asked(cloud: SimulatedCloud, person: Person) -> None:
    servers = dict(cloud.world.servers)
    cloud.world.servers.clear()
    assert "Can't connect" in person.is_told("restore").message
    assert serving(cloud).startswith("/run/devswap/")
    cloud.world.servers.update(servers)
    person.types("devswap restore")
    assert serving(cloud).startswith(images.VENV)


@pytest.mark.parametrize(
    ("backends", "drivers", "holds"),
    [
        ("one", {"one": "fake.A"}, True),
        (" one, two", {"one": "fake.A", "two": "fake.B"}, True),
        ("one,two", {"one": "fake.A", "two": "lvm.A"}, False),
        ("one,two", {"one": "fake.A", "DEFAULT": "fake.B"}, False),
        ("", {"DEFAULT": "fake.A"}, False),
    ],
)
def test_of_groups_that_an_option_lists_each_must_have_what_is_wanted(
    backends: str, drivers: dict[str, str], *, holds: bool
) -> None:
    wanted = Setting("DEFAULT", "backends", ("fake.",), "driver")
    text = f"[DEFAULT]\nbackends = {backends}\n" + "".join(f"[{one}]\ndriver = {drivers[one]}\n" for one in drivers)
    assert foreseen.holds(wanted, Configuration([text], {})) is holds
