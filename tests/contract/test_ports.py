"""Which ports a unit listens on, of a simulated and of a real machine."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from devswap import ports, systemd
from devswap.machine import Machine
from tests.simulated import images
from tests.simulated.machine import SimulatedMachine

UNIT = "[Service]\nExecStart=/usr/bin/python3 -m http.server {port} --bind {address}\n"
LISTENERS = {"one": (8765, "127.0.0.1"), "other": (8766, "0.0.0.0"), "any": (0, "127.0.0.1")}


@pytest.fixture
def listeners(machine: Machine) -> Iterator[Machine]:
    """With units that listen: one, another, and one on a port of the kernel's choice."""
    if isinstance(machine, SimulatedMachine):
        images.put(machine.files, "/usr/bin/python3", "")
    for name, (port, address) in LISTENERS.items():
        machine.write_text(f"/run/systemd/system/{name}.service", UNIT.format(port=port, address=address))
    systemd.reload(machine)
    yield machine
    for name in LISTENERS:
        systemd.stop(machine, f"{name}.service")
        machine.remove(f"/run/systemd/system/{name}.service")
    systemd.reload(machine)


def listening(machine: Machine, unit: str, wanted: list[str]) -> list[str]:
    """As soon as it is what is wanted: a unit of this kind is active before its program listens."""
    deadline = time.monotonic() + 20
    while ports.listening(machine, unit) != wanted and time.monotonic() < deadline:
        time.sleep(0.1)
    return ports.listening(machine, unit)


def test_a_units_own_ports_are_told_from_those_of_others(listeners: Machine) -> None:
    for name in LISTENERS:
        systemd.start(listeners, f"{name}.service")
    assert listening(listeners, "one.service", ["127.0.0.1:8765"]) == ["127.0.0.1:8765"]
    assert listening(listeners, "other.service", ["0.0.0.0:8766"]) == ["0.0.0.0:8766"]
    assert ports.listening(listeners, "sleeper.service") == []


def test_a_unit_that_does_not_run_listens_on_nothing(listeners: Machine) -> None:
    systemd.start(listeners, "one.service")
    assert listening(listeners, "one.service", ["127.0.0.1:8765"]) == ["127.0.0.1:8765"]
    systemd.stop(listeners, "one.service")
    assert ports.listening(listeners, "one.service") == []
    assert ports.listening(listeners, "no-such-unit.service") == []


def test_a_port_of_the_kernels_choice_is_not_counted(listeners: Machine) -> None:
    """It is another one after each start."""
    systemd.start(listeners, "any.service")
    time.sleep(0 if isinstance(listeners, SimulatedMachine) else 1)
    assert ports.listening(listeners, "any.service") == []
