"""The same tests on the simulated machine and on a real container."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from devswap.machine import Machine
from tests import containers
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.machine import SimulatedMachine

NAME = f"dsct-{os.getpid()}"


@dataclass(frozen=True)
class Subject:
    """One machine under test, with a unit `sleeper` that runs for ever, and how it is restarted."""

    machine: Machine
    reboot: Callable[[], None]


UNIT = "[Service]\nExecStart={command}\n[Install]\nWantedBy=multi-user.target\n"


@pytest.fixture(scope="session")
def container() -> Iterator[Machine]:
    containers.require_lxc()
    try:
        yield containers.start(NAME)
    finally:
        containers.remove(NAME)


@pytest.fixture(params=["simulated", pytest.param("real", marks=pytest.mark.sandbox)])
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Subject]:
    if request.param == "real":
        real: Machine = request.getfixturevalue("container")
        _furnish(real, "/bin/sleep infinity")
        yield Subject(real, lambda: containers.reboot(NAME))
        _clear(real)
        return
    simulated = SimulatedCloud(tmp_path)
    machine = simulated.machine(images.GALERA)
    images.put(machine.files, "/bin/sleep", "")
    _furnish(machine, "/bin/sleep infinity")
    yield Subject(machine, machine.boot)


@pytest.fixture
def machine(subject: Subject) -> Machine:
    return subject.machine


def _furnish(machine: Machine, command: str) -> None:
    machine.write_text("/etc/systemd/system/sleeper.service", UNIT.format(command=command))
    if isinstance(machine, SimulatedMachine):
        images.enable(machine.files, "sleeper")
        machine.run(["systemctl", "daemon-reload"])
        return
    machine.run(["systemctl", "daemon-reload"])
    machine.run(["systemctl", "enable", "sleeper.service"])


def _clear(machine: Machine) -> None:
    machine.run(["systemctl", "stop", "sleeper.service"], ok=range(256))
    for path in ("/run/systemd/system/sleeper.service.d/zz.conf", "/run/systemd/system/sleeper.service.d"):
        machine.remove(path)
    for point in reversed(machine.mounted("/run/dsct")):
        machine.unmount(point)
    machine.run(["systemctl", "daemon-reload"])
    machine.run(["systemctl", "reset-failed"], ok=range(256))
    machine.run(["rm", "-rf", "/run/dsct", "/etc/dsct"])
