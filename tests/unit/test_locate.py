"""Which place is meant, where a host has more than one cloud."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from devswap import locate
from devswap.errors import DevswapError, UsageError
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.machine import MachineState

OTHER = "aio2_heat_engine_container-0badcafe"


@pytest.fixture
def cloud(tmp_path: Path) -> SimulatedCloud:
    """One cloud that runs, and another one whose heat is stopped."""
    made = SimulatedCloud(tmp_path)
    made.world.machines[OTHER] = MachineState(running=False)
    return made


def test_the_only_place_is_taken(tmp_path: Path) -> None:
    host = SimulatedCloud(tmp_path).host()
    assert locate.one(host, host.catalogue().get("heat-engine"), None).machine.name == images.HEAT


@pytest.mark.parametrize(
    ("file", "by"), [("/etc/init/heat-engine.conf", "upstart"), ("/etc/init.d/heat-engine", "an init script")]
)
def test_what_another_init_starts_is_refused_by_name(tmp_path: Path, file: str, by: str) -> None:
    """As every service of OpenStack-Ansible was until Newton."""
    cloud = SimulatedCloud(tmp_path)
    machine, service = cloud.machine(images.HEAT), cloud.host().catalogue().get("heat-engine")
    machine.files.remove("/etc/systemd/system/heat-engine.service")
    images.put(machine.files, file, "")
    with pytest.raises(DevswapError, match=r"no running machine has the unit heat-engine\.service"):
        locate.one(cloud.host(), service, None)
    machine.files.clear("/run/systemd")
    machine.files.remove("/run/systemd/system")
    with pytest.raises(DevswapError, match=rf"{images.HEAT} over: it is started by {by} \({file}\), and only services"):
        locate.one(cloud.host(), service, None)


def test_the_stopped_container_of_another_cloud_may_be_meant(cloud: SimulatedCloud) -> None:
    host = cloud.host()
    with pytest.raises(UsageError, match=f"{OTHER} of another cloud is stopped") as raised:
        locate.one(host, host.catalogue().get("heat-engine"), None)
    assert raised.value.hint is not None
    assert f"--machine {images.HEAT}" in raised.value.hint


def test_a_person_says_which_cloud(cloud: SimulatedCloud) -> None:
    service = cloud.host().catalogue().get("heat-engine")
    runs = replace(cloud.host(), choose=lambda question, options: 0)
    assert locate.one(runs, service, None).machine.name == images.HEAT
    sleeps = replace(cloud.host(), choose=lambda question, options: 1)
    with pytest.raises(DevswapError, match=f"{OTHER} is stopped"):
        locate.one(sleeps, service, None)


def test_with_a_machine_named_there_is_no_question(cloud: SimulatedCloud) -> None:
    host = cloud.host()
    assert locate.one(host, host.catalogue().get("heat-engine"), images.HEAT).machine.name == images.HEAT


@pytest.mark.parametrize("name", ["aio1-heat-container-2", "aio1_heat_engine_container-36e270c9"])
def test_a_stopped_container_of_the_same_cloud_is_no_question(cloud: SimulatedCloud, name: str) -> None:
    """Also one that is older than the rest, from when their names had underscores."""
    cloud.world.machines[name] = cloud.world.machines.pop(OTHER)
    host = cloud.host()
    assert locate.one(host, host.catalogue().get("heat-engine"), None).machine.name == images.HEAT
