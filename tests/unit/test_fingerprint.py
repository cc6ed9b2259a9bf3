"""The fingerprint looks at whatever lies in a configuration folder, and never fails at it."""

from __future__ import annotations

from pathlib import Path

import pytest

from devswap import fingerprint
from devswap.fingerprint import Watched
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.machine import SimulatedMachine


@pytest.fixture
def machine(tmp_path: Path) -> SimulatedMachine:
    return SimulatedCloud(tmp_path).machine(images.HEAT)


def facts(machine: SimulatedMachine) -> dict[str, str]:
    watched = Watched(machine.address, "heat-engine", "heat-engine.service", ("/etc/heat",), (), None, None)
    return fingerprint.take(watched, machine.cloud.at)


def test_links_are_not_followed_and_loops_do_no_harm(machine: SimulatedMachine) -> None:
    machine.files.link("/etc/heat/loop", "loop")
    machine.files.link("/etc/heat/above", "..")
    machine.files.link("/etc/heat/elsewhere", "/etc/passwd")
    found = facts(machine)
    assert found["file /etc/heat/loop"] == "link to loop"
    assert found["file /etc/heat/above"] == "link to .."
    assert found["file /etc/heat/elsewhere"] == "link to /etc/passwd"
    assert len(found["file /etc/heat/heat.conf"]) == 16


def test_what_is_no_plain_file_is_a_fact_too(machine: SimulatedMachine) -> None:
    machine.files.make_pipe("/etc/heat/pipe")
    assert facts(machine)["file /etc/heat/pipe"] == "no plain file"
