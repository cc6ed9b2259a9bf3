"""A service whose configuration is not oslo.config's: its command line names it, and no variable sets anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from devswap import diff, meant, plan, running, swap, uwsgi
from devswap.discovery import units
from devswap.errors import UsageError
from devswap.host import Host
from devswap.pty import Terminal
from devswap.service import Catalogue, Service, load_catalogue, read_project
from devswap.tuning import Changes
from devswap.wish import Wish
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud, no_waiting
from tests.simulated.comparison import differences
from tests.simulated.machine import SimulatedMachine

SERVICE = "heat-engine"
FILE = "/etc/heat/engine/engine.conf"
UNIT = "/etc/systemd/system/heat-engine.service"


class Own(SimulatedCloud):
    """Its heat-engine is what swift's servers are."""

    def host(self, *, user: str = "ada", uid: int = 0) -> Host:
        found = super().host(user=user, uid=uid)
        known = {each.name: each for each in load_catalogue()}
        known[SERVICE] = replace(known[SERVICE], oslo_config=False, on_terminal=("-v",))
        return replace(found, catalogue=lambda: Catalogue(known.values()))


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedCloud]:
    found = Own(tmp_path)
    found.checkout("plain")
    with no_waiting(monkeypatch):
        yield found


def service() -> Service:
    web = 'web = { path = "/", group = "DEFAULT", host = "bind_ip", port = 8080 }\n'
    text = (
        'project = "heat"\ndistribution = "heat"\npackage = "heat"\nconfig = ["/etc/heat/heat.conf"]\n'
        'oslo_config = false\n[service.heat-engine]\ncheck = ["heat"]\nentry_point = "heat-engine"\n'
    )
    (found,) = read_project("heat.toml", text + web)
    return found


def started(machine: SimulatedMachine, arguments: str) -> units.Found:
    line = f"ExecStart={images.VENV}/bin/heat-engine {arguments}\n"
    machine.write_text(UNIT, f"[Service]\nUser=heat\nGroup=heat\nEnvironment=OS_DEFAULT__BIND_PORT=1\n{line}")
    machine.run(["systemctl", "daemon-reload"])
    machine.run(["systemctl", "stop", "--", "heat-engine.service"])
    machine.run(["systemctl", "start", "--", "heat-engine.service"])
    (place,) = units.find([service()], [machine])
    return place


def test_its_file_is_the_first_that_its_command_line_names_and_says_where_it_answers(tmp_path: Path) -> None:
    machine = SimulatedCloud(tmp_path).machine(images.HEAT)
    images.put(machine.files, FILE, "[DEFAULT]\nbind_ip = 10.0.0.7\nbind_port = 8099\n[app:x]\nuse = egg:x#y\n")
    deployment = units.examine(started(machine, f"{FILE} -v"))
    assert deployment.config_files == (FILE,)
    assert deployment.addresses == ("http://10.0.0.7:8099",)


def test_it_may_be_a_folder_of_files_or_none_at_all(tmp_path: Path) -> None:
    machine = SimulatedCloud(tmp_path).machine(images.HEAT)
    images.put(machine.files, "/etc/heat/engine.conf.d/20.conf", "[DEFAULT]\nbind_port = 2\n")
    images.put(machine.files, "/etc/heat/engine.conf.d/10.conf", "[DEFAULT]\nbind_port = 1\n")
    deployment = units.examine(started(machine, "/etc/heat/engine.conf.d"))
    assert deployment.config_files == ("/etc/heat/engine.conf.d/10.conf", "/etc/heat/engine.conf.d/20.conf")
    assert deployment.addresses == ("http://127.0.0.1:2",)
    deployment = units.examine(started(machine, "-v"))
    assert (deployment.config_files, deployment.addresses) == (("/etc/heat/heat.conf",), ("http://127.0.0.1:8080",))


def test_options_of_oslo_config_are_refused_with_what_to_do_instead(cloud: SimulatedCloud) -> None:
    whole, changes = cloud.take(), Changes(settings={"DEFAULT.debug": "true"})
    with pytest.raises(UsageError, match="--set and --debug would change nothing") as caught:
        swap.checkout(cloud.host(), Wish(SERVICE, "plain", None, None, detach=True, changes=changes), cloud.makers)
    assert caught.value.hint == "its file, for development alone: devswap edit heat-engine /etc/heat/heat.conf"
    assert differences(cloud, whole) == []
    swap.checkout(cloud.host(), Wish(SERVICE, "plain", None, None, detach=True), cloud.makers)
    with pytest.raises(UsageError, match="heat-engine has no options"):
        swap.run(cloud.host(), SERVICE, None, detach=True, changes=changes)


def test_it_logs_on_a_terminal_and_is_not_told_to_without_one(cloud: SimulatedCloud) -> None:
    swap.checkout(cloud.host(), Wish(SERVICE, "plain", None, None, detach=True), cloud.makers)
    host = cloud.host()
    (journal,) = host.journals.all()
    terminal = Terminal(0, "/dev/pts/7")
    texts = [running.drop_in_text(host, journal.swap, each) for each in (terminal, None)]
    assert [' "-v"\n' in text for text in texts] == [True, False]
    place = meant.locate_place(host, Wish(SERVICE, "plain", None, None, detach=True))
    own = units.from_json(place, journal.swap.deployment)
    told = uwsgi.read(["/usr/bin/uwsgi", "--module", "heat"], lambda path: None, {})
    found = [plan.command(each, plan.slot(SERVICE, 1)).on_terminal for each in (own, replace(own, uwsgi=told))]
    assert found == [("-v",), ()], "a web server, which may begin as root, is told none of them"


def test_what_it_lacks_is_not_compared(cloud: SimulatedCloud) -> None:
    swap.checkout(cloud.host(), Wish(SERVICE, "plain", None, None, detach=True), cloud.makers)
    (journal,) = cloud.host().journals.all()
    known = cloud.host().catalogue().get(SERVICE)
    found = diff._options(cloud.machine(images.HEAT), journal.swap, known, ["heat"])
    assert found == (None, None, ["heat has no options of oslo.config, so none are compared"])
