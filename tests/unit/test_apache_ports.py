"""Apache that listens by files beside its site, as OpenStack-Ansible wrote them until Newton."""

from __future__ import annotations

import pytest

from devswap import swap
from devswap.errors import DevswapError
from devswap.wish import Wish
from tests.simulated import images, web
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.comparison import differences
from tests.simulated.machine import SimulatedMachine


def in_ports_conf(cloud: SimulatedCloud) -> SimulatedMachine:
    cloud.with_keystone()
    machine = cloud.machine(images.KEYSTONE)
    images.put_ports_elsewhere(machine.files)
    machine.run(["systemctl", "reload", "--", web.UNIT])
    return machine


def open_ports(machine: SimulatedMachine) -> list[int]:
    return [port for unit in machine.init.units.values() if unit.active == "active" for _, port in unit.ports]


@pytest.mark.parametrize("link", ["", "/etc/apache2"], ids=["plain", "behind a link"])
def test_ports_that_apache_listens_on_by_another_file_are_let_go_of_and_taken_back(
    cloud: SimulatedCloud, link: str
) -> None:
    machine = in_ports_conf(cloud)
    if link:
        images.move_behind_link(machine.files, link, "/srv/apache2")
    before, ports = cloud.take(), web.ports(machine.files)
    assert [port for _, port in ports] == [35357, 5000]
    swap.checkout(cloud.host(), Wish("keystone", "plain", None, None, detach=True), cloud.makers)
    (journal,) = cloud.host().journals.all()
    assert open_ports(machine) == [65321]
    assert journal.swap.watched["probe"]["addresses"] == ["http://127.0.0.1:5000", "http://127.0.0.1:35357"]
    by_hand = (journal.folder / "restore.sh").read_text()
    assert f"umount --lazy {'/srv/apache2' if link else '/etc/apache2'}/ports.conf" in by_hand
    swap.run(cloud.host(), "keystone", None, detach=True)
    swap.restore(cloud.host(), cloud.host().journals.all()[0])
    assert differences(cloud, before) == []
    assert machine.read_text(web.PORTS) == images.PORTS_CONF


def test_under_apache_it_goes_on_listening_by_its_other_files(cloud: SimulatedCloud) -> None:
    machine = in_ports_conf(cloud)
    before = cloud.take()
    swap.checkout(cloud.host(), Wish("keystone", "plain", None, None, detach=True, apache=True), cloud.makers)
    assert machine.files.mounted(web.PORTS) == []
    swap.restore(cloud.host(), cloud.host().journals.all()[0])
    assert differences(cloud, before) == []


def test_a_file_beside_the_site_is_shown_without_the_ports_as_well(cloud: SimulatedCloud) -> None:
    """As ports.conf lies in httpd's folder."""
    machine = in_ports_conf(cloud)
    images.put(machine.files, web.PORTS, "")
    images.put(machine.files, "/srv/ports", images.PORTS_CONF)
    machine.files.link(f"{web.SITES}/ports.conf", "/srv/ports")
    before = cloud.take()
    swap.checkout(cloud.host(), Wish("keystone", "plain", None, None, detach=True), cloud.makers)
    assert open_ports(machine) == [65321]
    assert machine.files.mounted("/srv") == []
    swap.restore(cloud.host(), cloud.host().journals.all()[0])
    assert differences(cloud, before) == []
    assert machine.read_text("/srv/ports") == images.PORTS_CONF


@pytest.mark.parametrize("file", [f"{web.SITES}/other.conf", "/etc/apache2/apache2.conf"])
def test_ports_that_another_site_needs_are_not_let_go_of(cloud: SimulatedCloud, file: str) -> None:
    machine = in_ports_conf(cloud)
    images.put(machine.files, file, "<VirtualHost *:5000>\n    ServerName other\n</VirtualHost>\n")
    machine.run(["systemctl", "reload", "--", web.UNIT])
    before = cloud.take()
    with pytest.raises(
        DevswapError, match=r"apache2\.service listens on port 35357, 5000 by files that are not"
    ) as told:
        swap.checkout(cloud.host(), Wish("keystone", "plain", None, None, detach=True), cloud.makers)
    assert told.value.hint == "under its web server: devswap checkout keystone plain --apache"
    assert differences(cloud, before) == []
    swap.checkout(cloud.host(), Wish("keystone", "plain", None, None, detach=True, apache=True), cloud.makers)
    swap.restore(cloud.host(), cloud.host().journals.all()[0])
    assert differences(cloud, before) == []
