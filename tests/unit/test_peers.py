"""Others that consume the same queue: said, and stopped with `--only` for as long as development serves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from devswap import swap
from devswap.errors import DevswapError
from devswap.wish import Wish
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud, no_waiting
from tests.simulated.comparison import differences
from tests.simulated.machine import SimulatedMachine

UNIT = "heat-engine.service"


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedCloud]:
    found = SimulatedCloud(tmp_path)
    found.add_peer()
    for name in ("plain", "dies"):
        found.checkout(name, fate="dies" if name == "dies" else "")
    with no_waiting(monkeypatch):
        yield found


@pytest.fixture
def peer(cloud: SimulatedCloud) -> SimulatedMachine:
    return cloud.machine(images.HEAT_PEER)


def checkout(cloud: SimulatedCloud, ref: str = "plain", *, only: bool = True, detach: bool = True) -> None:
    wish = Wish("heat-engine", ref, f"lxc:{images.HEAT}", None, detach, only=only)
    swap.checkout(cloud.host(), wish, cloud.makers)


def restore(cloud: SimulatedCloud) -> None:
    host = cloud.host()
    for journal in host.journals.all():
        swap.restore(host, journal)


def test_who_consumes_the_same_queue_is_said(cloud: SimulatedCloud, peer: SimulatedMachine) -> None:
    checkout(cloud, only=False)
    (said,) = [line for line in cloud.said if "queue" in line]
    assert said == (
        f"1 peer consumes the queue engine too (lxc:{images.HEAT_PEER}): "
        "heat-engine gets its share of the messages; --only stops them"
    )
    assert peer.init.is_active(UNIT)


def test_only_stops_the_peers_and_restore_starts_them(cloud: SimulatedCloud, peer: SimulatedMachine) -> None:
    before = cloud.take()
    checkout(cloud)
    assert not peer.init.is_active(UNIT)
    assert "Assertion failed" in peer.run(["systemctl", "start", "--", UNIT], ok=(1,)).stderr
    restore(cloud)
    assert differences(cloud, before) == []


def test_the_peers_work_whenever_development_does_not(cloud: SimulatedCloud, peer: SimulatedMachine) -> None:
    before = cloud.take()
    with pytest.raises(DevswapError):
        checkout(cloud, "dies")
    assert differences(cloud, before) == []
    checkout(cloud, detach=False)
    assert peer.init.is_active(UNIT)  # the run on the terminal has ended
    swap.run(cloud.host(), "heat-engine", None, detach=True)
    assert not peer.init.is_active(UNIT)
    restore(cloud)
    assert differences(cloud, before) == []


def test_a_peer_that_is_stopped_or_gone_meanwhile_keeps_nothing_from_coming_back(
    cloud: SimulatedCloud, peer: SimulatedMachine
) -> None:
    before = cloud.take()
    checkout(cloud)
    peer.state.running = False
    restore(cloud)
    assert cloud.machine(images.HEAT).init.units[UNIT].argv[0] == f"{images.VENV}/bin/python"
    peer.boot()
    assert differences(cloud, before) == []
    checkout(cloud)
    del cloud.world.machines[images.HEAT_PEER]
    restore(cloud)
    assert cloud.host().journals.all() == []


def test_another_clouds_engine_is_nobodys_peer(cloud: SimulatedCloud, peer: SimulatedMachine) -> None:
    conf = f"{images.VENV}/etc/heat/heat.conf"
    peer.write_text(conf, (peer.read_text(conf) or "").replace("broker@", "other@"))
    checkout(cloud)
    assert peer.init.is_active(UNIT)
    assert not any("queue" in line for line in cloud.said)


def test_a_peer_may_name_the_brokers_servers_in_another_order(cloud: SimulatedCloud, peer: SimulatedMachine) -> None:
    """OpenStack-Ansible of 2015 had three of them, and an order for each container."""
    conf, one = f"{images.VENV}/etc/heat/heat.conf", "heat:broker@172.29.236.111:5671"
    for name, servers in (
        (images.HEAT, f"{one},heat:broker@172.29.236.112:5671"),
        (images.HEAT_PEER, f"heat:broker@172.29.236.112:5671,{one}"),
    ):
        machine = cloud.machine(name)
        machine.write_text(conf, (machine.read_text(conf) or "").replace(one, servers))
    before = cloud.take()
    checkout(cloud)
    assert not peer.init.is_active(UNIT)
    restore(cloud)
    assert differences(cloud, before) == []


def configure(peer: SimulatedMachine, how: str) -> None:
    """Let the peer have its broker from elsewhere than heat.conf."""
    conf, unit = f"{images.VENV}/etc/heat/heat.conf", f"/etc/systemd/system/{UNIT}"
    text, told = peer.read_text(conf) or "", peer.read_text(unit) or ""
    folder = {"conf.d": "/etc/heat/heat.conf.d", "--config-dir": "/srv/heat"}.get(how)
    path = f"{folder}/10.conf" if folder else "/srv/heat.conf"
    peer.write_text(conf, "[DEFAULT]\n")
    peer.write_text(path, text)
    if how != "conf.d":
        peer.write_text(unit, told.replace("/bin/heat-engine", f"/bin/heat-engine {how} {folder or path}"))
    peer.boot()


@pytest.mark.parametrize("how", ["conf.d", "--config-dir", "--config-file"])
def test_a_peer_is_known_wherever_its_broker_is_configured(
    cloud: SimulatedCloud, peer: SimulatedMachine, how: str
) -> None:
    configure(peer, how)
    before = cloud.take()
    checkout(cloud)
    assert not peer.init.is_active(UNIT)
    restore(cloud)
    assert differences(cloud, before) == []


@pytest.mark.parametrize("said", ["", "transport_url =\n"])
def test_a_peer_whose_broker_cannot_be_told_is_named(cloud: SimulatedCloud, peer: SimulatedMachine, said: str) -> None:
    peer.write_text(f"{images.VENV}/etc/heat/heat.conf", f"[DEFAULT]\n{said}")
    checkout(cloud)
    assert peer.init.is_active(UNIT)
    assert (
        f"heat-engine in {images.HEAT_PEER} is taken for one with another broker: no transport_url is set in the "
        f"configuration of heat-engine in {images.HEAT_PEER}"
    ) in cloud.said


def test_a_peer_that_does_not_run_is_left_alone(cloud: SimulatedCloud, peer: SimulatedMachine) -> None:
    peer.run(["systemctl", "stop", "--", UNIT])
    before = cloud.take()
    checkout(cloud)
    restore(cloud)
    assert differences(cloud, before) == []
