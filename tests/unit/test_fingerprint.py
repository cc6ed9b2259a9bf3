"""The fingerprint looks at whatever lies in a configuration folder, and never fails at it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from devswap import fingerprint
from devswap.fingerprint import Watched
from tests.simulated import images, procfs
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


LISTENER = "[Service]\nExecStart=/usr/bin/python3 -m http.server {port} --bind 172.29.236.130\n"


def test_it_waits_for_the_ports_that_were_listened_on_before(machine: SimulatedMachine) -> None:
    """A unit is active before its program listens."""
    images.put(machine.files, "/usr/bin/python3", "")
    machine.write_text("/run/systemd/system/api.service", LISTENER.format(port=8004))
    machine.run(["systemctl", "start", "--", "api.service"])
    watched = Watched(machine.address, "api", "api.service", (), (), None, None)
    before = fingerprint.take(watched, machine.cloud.at)
    assert before["listening ports"] == "172.29.236.130:8004"
    unit = machine.init.unit("api.service")
    there, unit.ports = unit.ports, []
    assert fingerprint.take(watched, machine.cloud.at, like=before)["listening ports"] == "none"

    looks = iter(range(3))
    real = machine.cloud.calls.look

    def look(name: str, answer: object) -> object:
        if name == "file names /proc" and next(looks, None) is None:
            unit.ports = there
        return real(name, answer)  # type: ignore[arg-type]

    machine.cloud.calls.look = look  # type: ignore[method-assign, assignment]
    assert fingerprint.take(watched, machine.cloud.at, like=before, seconds=30) == before


def test_ports_that_are_new_are_not_waited_for_to_go(machine: SimulatedMachine) -> None:
    """Production had none yet when it was looked at."""
    images.put(machine.files, "/usr/bin/python3", "")
    machine.write_text("/run/systemd/system/api.service", LISTENER.format(port=8004))
    machine.run(["systemctl", "start", "--", "api.service"])
    watched = Watched(machine.address, "api", "api.service", (), (), None, None)
    begun = time.monotonic()
    found = fingerprint.take(watched, machine.cloud.at, like={fingerprint.PORTS: "none"}, seconds=30)
    assert found[fingerprint.PORTS] == "172.29.236.130:8004"
    assert time.monotonic() - begun < 10


def test_the_program_of_the_main_process_is_a_fact_whether_or_not_its_file_was_replaced(
    machine: SimulatedMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = facts(machine)
    assert before["unit executable"] == machine.init.units["heat-engine.service"].argv[0]
    real = procfs.link_target
    deleted = f"{before['unit executable']} (deleted)"
    monkeypatch.setattr(
        procfs, "link_target", lambda init, path: deleted if path.endswith("/exe") else real(init, path)
    )
    assert facts(machine) == before
