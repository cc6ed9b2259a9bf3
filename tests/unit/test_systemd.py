"""Settings of a unit are read and lent as systemd means them."""

from __future__ import annotations

from pathlib import Path

import pytest

from devswap import systemd
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.machine import SimulatedMachine

UNIT = "heat-engine.service"
LENT = "/run/devswap/heat-engine/environment-x"


@pytest.fixture
def machine(tmp_path: Path) -> SimulatedMachine:
    found = SimulatedCloud(tmp_path).machine(images.HEAT)
    images.put(found.files, "/etc/default/heat", '# no=setting\nA=\'it is\'\nB="tell \\"nobody\\" of \\$5"\nC=plain\n')
    text = '[Service]\nEnvironment="OWN=of \\$5 and \\\\ \\"signs\\""\nEnvironmentFile=/etc/default/heat\n'
    found.write_text(f"/etc/systemd/system/{UNIT}.d/override.conf", text)
    systemd.reload(found)
    return found


def test_quoted_values_lose_their_quotes_alone(machine: SimulatedMachine) -> None:
    found = systemd.environment(machine, UNIT)
    assert (found["A"], found["B"], found["C"]) == ("it is", 'tell "nobody" of $5', "plain")
    assert found["OWN"] == 'of $5 and \\ "signs"'
    assert "# no" not in found


def test_what_is_lent_is_roots_alone_and_is_taken_back(machine: SimulatedMachine) -> None:
    with systemd.environment_lent(machine, UNIT, LENT) as files:
        assert files == [LENT, "/etc/default/heat"]
        assert machine.read_text(LENT) == 'OWN="of \\$5 and \\\\ \\"signs\\""\n'
    assert not machine.exists(LENT)
