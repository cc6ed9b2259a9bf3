"""A second engine on the same queue: development gets its share of the messages, or all of them with --only."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest

from devswap.sandbox.changes import HARMLESS
from devswap.sandbox.containers import container_root
from tests import containers
from tests.integration.cloud import ENGINE, Cloud, wait_until
from tests.integration.people import Desk

pytestmark = [pytest.mark.sandbox, pytest.mark.usefixtures("whole")]

_NAMES = {"current": "feedbeef", "2015": "feedbee5"}  # a network interface of the host is called so
_STACKS = 3  # with two engines in turn, at least one would be production's


@pytest.fixture(scope="module")
def second(cloud: Cloud) -> Iterator[Cloud]:
    """The cloud as seen from a copy of the engine's container, with a name and an address of its own."""
    own, new, address = cloud.heat[-8:], _NAMES[cloud.era], cloud.containers[cloud.heat]
    name = f"{cloud.heat[:-8]}{new}"
    theirs = f"{address.rpartition('.')[0]}.250"
    containers.remove(name)
    origin, copy = container_root() / cloud.heat, container_root() / name
    (copy / "rootfs").mkdir(parents=True)
    config = (origin / "config").read_text().replace(own, new).replace(f"{address}/", f"{theirs}/")
    (copy / "config").write_text(config)
    subprocess.run(["cp", "-a", str(origin / "upper"), str(copy / "upper")], check=True)
    (copy / "upper/etc/hostname").write_text(f"{name}\n")
    for unit in ("heat-api", "heat-api-cfn"):  # nobody balances them, and their address is the first one's
        (copy / f"upper/etc/systemd/system/{unit}.service").unlink(missing_ok=True)
    others = {each: at for each, at in cloud.containers.items() if each != cloud.heat}
    seen = replace(cloud, containers={name: theirs, **others})
    try:
        subprocess.run(["lxc-start", "--name", name, "--daemon"], check=True)
        wait_until(lambda: seen.run(["true"], ok=False).code == 0, f"{name} runs")
        wait_until(lambda: seen.consumers() > 0, f"the engine in {name} consumes its queue")
        yield seen
    finally:
        containers.remove(name)
        shutil.rmtree(copy, ignore_errors=True)


@pytest.mark.eras("2015")
def test_a_peer_gets_its_share(cloud: Cloud, second: Cloud, desk: Desk) -> None:
    taken = desk.take(HARMLESS)
    assert f"1 peer consumes the queue engine too (lxc:{second.heat}): heat-engine gets its share" in taken.stderr
    assert second.consumers() > 0
    assert "facts identical" in desk.restore("--machine", cloud.heat).stdout


@pytest.mark.eras("current")
def test_with_only_every_message_comes_to_development_and_the_peer_comes_back(
    cloud: Cloud, second: Cloud, desk: Desk
) -> None:
    before, mark = second.look(), cloud.change(HARMLESS).patchsets[-1].shows
    taken = desk.take(HARMLESS, "--only")
    assert f"(lxc:{second.heat}): stopped once heat-engine serves" in taken.stderr
    assert second.show("ActiveState")["ActiveState"] == "inactive"
    second.run(["systemctl", "start", ENGINE], ok=False)  # as a playbook would
    assert second.show("ActiveState")["ActiveState"] != "active"
    assert all(cloud.create_stack().word.startswith(mark) for _ in range(_STACKS))
    assert "facts identical" in desk.restore("--machine", cloud.heat).stdout
    wait_until(lambda: second.consumers() > 0, "the peer consumes its queue again")
    after = second.look()
    assert {name: text for name, text in after.items() if before[name] != text} == {}
