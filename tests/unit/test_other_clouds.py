"""Another cloud on the same host, which is just starting: a checkout of ours passes it over, soon and in few words."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from devswap import meant, swap
from devswap.errors import CommandFailed, DevswapError
from devswap.process import Result
from devswap.steps.database import SyncDatabase
from devswap.steps.step import from_json
from devswap.wish import Wish
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.comparison import differences
from tests.simulated.files import Files
from tests.simulated.machine import SimulatedMachine

THEIRS = ("aio2-heat-container", "aio2-heat-cfn-container")


@pytest.fixture
def cloud(cloud: SimulatedCloud) -> SimulatedCloud:
    """With the machines of another one, whose database has another server."""
    for name in THEIRS:
        cloud.boot(name, theirs())
    return cloud


def theirs() -> Files:
    files = images.machines()[images.HEAT]
    conf = f"{images.VENV}/etc/heat/heat.conf"
    text = (files.read(conf) or b"").decode().replace(images.DATABASE_HOST, "172.29.240.101").replace("broker", "other")
    files.write(conf, text.encode())
    return files


def checkout(cloud: SimulatedCloud) -> list[str]:
    """The lines that are about the others."""
    wish = Wish("heat-engine", "migrates", f"lxc:{images.HEAT}", None, detach=True)
    swap.checkout(cloud.host(), wish, cloud.makers)
    return [line for line in cloud.said if "aio2" in line]


def users(cloud: SimulatedCloud) -> set[str]:
    (journal,) = cloud.host().journals.all()
    steps = [from_json(entry.step) for entry in journal.entries]
    (sync,) = [step for step in steps if isinstance(step, SyncDatabase)]
    return {on.removeprefix("lxc:") for on, _ in sync.users}


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], int]:
    """How often a program was started in any machine; the clients that cannot connect among them."""
    calls: list[str] = []
    real = SimulatedMachine.run

    def run(self: SimulatedMachine, argv: Sequence[str], **how: Any) -> Result:
        calls.append(f"{self.name} {' '.join(argv)}")
        return real(self, argv, **how)

    monkeypatch.setattr(SimulatedMachine, "run", run)
    return lambda word: sum(word in call for call in calls)


def test_a_database_server_that_is_not_there_is_waited_for_once(
    cloud: SimulatedCloud, counted: Callable[[str], int]
) -> None:
    start = cloud.take()
    lines = checkout(cloud)
    (told,) = lines
    assert told.startswith("taken for no user of the database: ")
    assert all(name in told for name in THEIRS)
    assert counted("--host=172.29.240.101") == 1
    assert users(cloud) == {images.HEAT, images.HEAT_CFN}
    (journal,) = cloud.host().journals.all()
    swap.restore(cloud.host(), journal)
    assert differences(cloud, start) == []


def deaf(monkeypatch: pytest.MonkeyPatch, *names: str) -> list[str]:
    """Their systemd answers nobody; what it was asked."""
    asked: list[str] = []
    real = SimulatedMachine.run

    def run(self: SimulatedMachine, argv: Sequence[str], **how: Any) -> Result:
        if self.name in names and argv[0] == "systemctl":
            asked.append(" ".join(argv))
            said = Result(tuple(argv), 1, "", "Failed to connect to bus: Connection refused\n")
            raise CommandFailed("systemctl failed with 1: Failed to connect to bus: Connection refused", result=said)
        return real(self, argv, **how)

    monkeypatch.setattr(SimulatedMachine, "run", run)
    return asked


def test_machines_whose_systemd_does_not_answer_are_asked_once_each(
    cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = deaf(monkeypatch, *THEIRS)
    assert len(checkout(cloud)) <= 1
    assert len(asked) <= len(THEIRS) * 5  # the looks at a peer of ours, and one for the database
    assert users(cloud) == {images.HEAT, images.HEAT_CFN}


def test_what_uses_our_database_is_known_by_its_files_while_its_machine_starts(
    cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    deaf(monkeypatch, images.HEAT_CFN)
    checkout(cloud)
    assert images.HEAT_CFN in users(cloud)


def test_machines_that_cannot_be_looked_at_are_waited_for_once(
    cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    naps: list[float] = []
    real = SimulatedMachine.names

    def names(self: SimulatedMachine, path: str) -> list[str]:
        if self.name in THEIRS:
            raise PermissionError(13, "Permission denied", path)
        return real(self, path)

    monkeypatch.setattr(SimulatedMachine, "names", names)
    monkeypatch.setattr(time, "sleep", naps.append)
    (told,) = checkout(cloud)
    assert told.startswith("passed over, since they cannot be looked at while they start or stop: ")
    assert all(name in told for name in THEIRS)
    assert len([nap for nap in naps if nap == 0.5]) <= 2 * 4 * len(THEIRS)  # to find the service, and to prepare it


def test_where_the_service_is_not_found_it_is_said_what_was_passed_over(
    cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    def names(self: SimulatedMachine, path: str) -> list[str]:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(SimulatedMachine, "names", names)
    with pytest.raises(DevswapError, match="no running machine has"):
        meant.locate_place(cloud.host(), Wish("heat-engine", "plain", None, None, detach=True))
    (told,) = [line for line in cloud.said if "passed over" in line]
    assert images.HEAT in told
