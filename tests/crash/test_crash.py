"""Production comes back whole from a kill at any instant of any command, and from any failure of any call."""

from __future__ import annotations

import json
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devswap import narrowing, rotation, several, swap
from devswap.hooks import STAGES, Hook, read
from devswap.host import Host
from devswap.libraries import Wanted
from devswap.wish import Wish
from tests.crash.exploration import TRIED, Command, Exploration, restore_everything
from tests.simulated import disk, images, nova, web
from tests.simulated.cloud import SimulatedCloud, no_waiting
from tests.simulated.comparison import differences
from tests.simulated.followers import follow, listen
from tests.simulated.snapshot import Snapshot

SERVICE, BALANCED = "heat-engine", "heat-api"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """In memory where there is such a place: thousands of journals are written durably."""
    memory = Path("/dev/shm")
    if not memory.is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory, prefix="devswap-crash-") as name:
        yield Path(name)


@pytest.fixture
def cloud(folder: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[SimulatedCloud]:
    simulated = SimulatedCloud(folder)
    simulated.checkout("plain")
    simulated.checkout("migrates", revisions=("a1", "b2"))
    simulated.checkout("dies", revisions=("a1", "b2"), fate="dies")
    simulated.checkout("mute", fate="mute")
    simulated.checkout("library")
    monkeypatch.setattr(rotation, "ANSWER_SECONDS", 0.0)  # here a server that does not answer at once never will
    torn = request.node.get_closest_marker("torn_writes") is not None
    with no_waiting(monkeypatch), disk.watched(monkeypatch, simulated.state, simulated.calls, torn=torn):
        yield simulated


def checkout(
    cloud: SimulatedCloud,
    ref: str,
    *,
    detach: bool = True,
    service: str = SERVICE,
    libraries: tuple[Wanted, ...] = (),
    machine: str | None = None,
    only: bool = False,
) -> Command:
    def command(host: Host) -> object:
        wish = Wish(service, ref, machine, None, detach, libraries=libraries, only=only)
        return swap.checkout(host, wish, cloud.makers)

    return command


def alone(cloud: SimulatedCloud, *, detach: bool = True) -> Command:
    """A checkout that stops those who consume the same queue."""
    return checkout(cloud, "plain", machine=f"lxc:{images.HEAT}", only=True, detach=detach)


def run_again(*, detach: bool) -> Command:
    return lambda host: swap.run(host, SERVICE, None, detach=detach)


def hooks(failing: str = "") -> list[Hook]:
    """One of each stage; the first declares a file where others have theirs, and one of its own."""
    files = [
        {"path": "/etc/sudoers.d/devswap-heat", "text": "heat ALL = …\n", "mode": "0440"},
        {"path": "/run/devswap/heat-engine/hooks/filters/heat.filters", "text": "[Filters]\n"},
    ]
    does = {stage: "exit 1" if stage == failing else "true" for stage in STAGES}
    does["prepared"] = f"echo {shlex.quote(json.dumps({'files': files}))}"
    text = "#!/bin/sh\n# devswap: run-on = machine\n# devswap: files = /etc/sudoers.d/devswap-*\n{}\n"
    return [read(f"/hooks/heat/{stage}", stage, 0, text.format(does[stage])) for stage in STAGES]


def swapped(cloud: SimulatedCloud, ref: str, service: str = SERVICE) -> Snapshot:
    checkout(cloud, ref, service=service)(cloud.host())
    return cloud.take()


def explore(cloud: SimulatedCloud, start: Snapshot, command: Command, whole: Snapshot, **options: Any) -> None:
    """An error of `command` that is not NotWhole must leave everything as at its start, or production whole."""
    stops_what_runs = options.pop("stops_what_runs", False)

    def left() -> list[str]:
        if stops_what_runs:
            return []
        cloud.time_passes()
        against_start = [line for line in differences(cloud, start) if not line.startswith("left on the disk")]
        return differences(cloud, whole) if against_start or start is whole else []

    exploration = Exploration(cloud, whole, left, **options)
    exploration.command(start, command)
    exploration.restores()
    TRIED.append(exploration.count)
    shown = "\n".join(exploration.problems[:12])
    assert not exploration.problems, f"{len(exploration.problems)} problems\n{shown}"


def test_production_comes_back_from_any_interruption_of_a_first_checkout_with_a_library(cloud: SimulatedCloud) -> None:
    start = cloud.take()
    explore(cloud, start, checkout(cloud, "plain", libraries=(Wanted("oslo.db", "library"),)), start)


def test_production_comes_back_from_any_interruption_of_a_checkout_of_a_service_in_uwsgi(
    cloud: SimulatedCloud,
) -> None:
    start = cloud.take()
    explore(cloud, start, checkout(cloud, "mute", service="heat-api"), start)


@pytest.mark.parametrize("how", ["a unit of its own", "apache"])
def test_production_comes_back_from_any_interruption_of_a_checkout_of_what_apache_runs(
    cloud: SimulatedCloud, how: str
) -> None:
    cloud.with_keystone()
    if how != "apache":  # more is covered then: the folder of sites, and the file by which it listens
        keystone = cloud.machine(images.KEYSTONE)
        images.put_ports_elsewhere(keystone.files)
        keystone.run(["systemctl", "reload", "--", web.UNIT])
    start = cloud.take()
    ref = "mute" if how == "apache" else "plain"
    wish = Wish("keystone", ref, None, None, detach=True, apache=how == "apache")
    explore(cloud, start, lambda host: swap.checkout(host, wish, cloud.makers), start)


def test_production_comes_back_from_any_interruption_of_a_checkout_with_hooks(cloud: SimulatedCloud) -> None:
    cloud.hooks = hooks()
    start = cloud.take()
    explore(cloud, start, checkout(cloud, "migrates"), start)


def test_production_comes_back_from_any_interruption_of_a_second_checkout_with_hooks(cloud: SimulatedCloud) -> None:
    whole = cloud.take()
    cloud.hooks = hooks()
    start = swapped(cloud, "plain")
    cloud.hooks = hooks(failing="migrated")
    explore(cloud, start, checkout(cloud, "plain"), whole)


@pytest.mark.parametrize("ref", ["migrates", "dies"])
def test_production_comes_back_from_any_interruption_of_a_checkout_with_a_migration(
    cloud: SimulatedCloud, ref: str
) -> None:
    cloud.put_front()  # before another of the database's users
    start = cloud.take()
    explore(cloud, start, checkout(cloud, ref), start)


@pytest.mark.torn_writes
def test_production_comes_back_from_a_journal_that_was_half_written(cloud: SimulatedCloud) -> None:
    start = cloud.take()
    explore(cloud, start, checkout(cloud, "migrates"), start)


@pytest.mark.minutes
@pytest.mark.torn_writes
def test_production_comes_back_from_a_restore_whose_journal_was_half_written(cloud: SimulatedCloud) -> None:
    whole = cloud.take()
    explore(cloud, swapped(cloud, "migrates"), lambda host: restore_everything(cloud), whole)


@pytest.fixture
def with_nova(cloud: SimulatedCloud) -> SimulatedCloud:
    """Several databases that one command after the other migrates, and records that newer code raises."""
    nova.add(cloud)
    nova.checkout(cloud, "newer")
    nova.checkout(cloud, "newer, migrates", api=("p1", "p2"), main=("n1", "n2"))
    nova.checkout(cloud, "newer, dies", api=("p1", "p2"), main=("n1", "n2"), fate="dies")
    return cloud


@pytest.mark.parametrize("ref", [pytest.param("newer", marks=pytest.mark.minutes), "newer, dies"])
def test_several_databases_come_back_from_any_interruption_of_a_checkout(with_nova: SimulatedCloud, ref: str) -> None:
    start = with_nova.take()
    explore(with_nova, start, checkout(with_nova, ref, service=nova.CONDUCTOR), start)


@pytest.mark.minutes
def test_records_in_a_database_of_others_come_back_from_any_interruption_of_a_checkout(
    with_nova: SimulatedCloud,
) -> None:
    nova.add_compute(with_nova)
    start = with_nova.take()
    explore(with_nova, start, checkout(with_nova, "newer, dies", service=nova.COMPUTE), start)


@pytest.mark.minutes
def test_several_databases_come_back_from_any_interruption_of_a_second_checkout(with_nova: SimulatedCloud) -> None:
    whole = with_nova.take()
    start = swapped(with_nova, "newer", nova.CONDUCTOR)
    explore(with_nova, start, checkout(with_nova, "newer, dies", service=nova.CONDUCTOR), whole)


@pytest.mark.minutes
def test_several_databases_come_back_from_any_interruption_of_a_restore(with_nova: SimulatedCloud) -> None:
    whole = with_nova.take()
    start = swapped(with_nova, "newer, migrates", nova.CONDUCTOR)
    explore(with_nova, start, lambda host: restore_everything(with_nova), whole)


@pytest.mark.minutes
def test_several_databases_come_back_from_any_interruption_of_a_restore_of_two_services(
    with_nova: SimulatedCloud,
) -> None:
    whole = with_nova.take()
    swapped(with_nova, "newer", nova.CONDUCTOR)
    start = swapped(with_nova, "newer, migrates", nova.SCHEDULER)
    explore(with_nova, start, lambda host: restore_everything(with_nova), whole)


def both(cloud: SimulatedCloud, ref: str) -> Command:
    wish = Wish("", ref, None, None, detach=True)
    return lambda host: several.checkout(host, (BALANCED, SERVICE), wish, cloud.makers)


def test_production_comes_back_from_any_interruption_of_a_checkout_of_two_services(cloud: SimulatedCloud) -> None:
    start = cloud.take()
    explore(cloud, start, both(cloud, "migrates"), start)


def test_callers_come_back_from_any_interruption_of_a_checkout_that_makes_them_wait(cloud: SimulatedCloud) -> None:
    start = cloud.take()
    wish = Wish(SERVICE, "mute", None, None, detach=True, patient=True)
    explore(cloud, start, lambda host: swap.checkout(host, wish, cloud.makers), start)


@pytest.mark.parametrize("ref", ["plain", "migrates"])
def test_what_follows_production_or_starts_it_comes_back_from_any_interruption(cloud: SimulatedCloud, ref: str) -> None:
    machine, unit = cloud.machine(images.HEAT), f"{SERVICE}.service"
    machine.run(["systemctl", "stop", "--", unit])
    listen(machine, "engine.socket", unit)
    machine.run(["systemctl", "start", "--", unit])
    follow(machine, "watch.service", f"BindsTo={unit}")
    follow(machine, "log.service", "PartOf=watch.service")
    start = cloud.take()
    explore(cloud, start, checkout(cloud, ref), start)


@pytest.mark.minutes
def test_production_comes_back_from_any_interruption_of_a_switch_of_two_services(cloud: SimulatedCloud) -> None:
    whole = cloud.take()
    both(cloud, "plain")(cloud.host())
    explore(cloud, cloud.take(), both(cloud, "dies"), whole, stops_what_runs=True)


@pytest.mark.parametrize("reboots", [(images.HEAT,), (images.HEAT, images.HEAT_CFN, images.GALERA)])
def test_production_comes_back_when_machines_restart_after_any_interruption(
    cloud: SimulatedCloud, reboots: tuple[str, ...]
) -> None:
    start = cloud.take()
    explore(cloud, start, checkout(cloud, "migrates"), start, reboots=reboots)


@pytest.mark.parametrize(("first", "second"), [("plain", "migrates"), ("migrates", "plain"), ("plain", "dies")])
def test_production_comes_back_from_any_interruption_of_a_second_checkout(
    cloud: SimulatedCloud, first: str, second: str
) -> None:
    whole = cloud.take()
    explore(cloud, swapped(cloud, first), checkout(cloud, second), whole)


@pytest.mark.parametrize("where", ["background", "foreground"])
def test_production_comes_back_from_any_interruption_of_another_run(cloud: SimulatedCloud, where: str) -> None:
    whole = cloud.take()
    explore(cloud, swapped(cloud, "migrates"), run_again(detach=where == "background"), whole, stops_what_runs=True)


def test_production_comes_back_from_any_interruption_of_a_checkout_in_the_foreground(cloud: SimulatedCloud) -> None:
    start = cloud.take()
    explore(cloud, start, checkout(cloud, "plain", detach=False), start)


def test_traffic_comes_back_from_any_interruption_of_narrowing_it(cloud: SimulatedCloud) -> None:
    cloud.balance()
    start = cloud.take()
    command: Command = lambda host: narrowing.narrow(host, BALANCED, to=images.HEAT, exclusive=False)  # noqa: E731
    explore(cloud, start, command, start)


def test_traffic_comes_back_from_any_interruption_of_widening_it(cloud: SimulatedCloud) -> None:
    cloud.balance(level="operator")
    whole = cloud.take()
    narrowing.narrow(cloud.host(), BALANCED, to=images.HEAT, exclusive=True)
    explore(cloud, cloud.take(), lambda host: restore_everything(cloud), whole)


def test_production_and_its_traffic_come_back_from_any_interruption_of_a_checkout(cloud: SimulatedCloud) -> None:
    cloud.balance()
    start = cloud.take()
    explore(cloud, start, checkout(cloud, "plain", service=BALANCED), start)


def test_production_and_its_traffic_come_back_from_any_interruption_of_a_restore(cloud: SimulatedCloud) -> None:
    cloud.balance()
    whole = cloud.take()
    start = swapped(cloud, "plain", service=BALANCED)
    explore(cloud, start, lambda host: restore_everything(cloud), whole)


def test_production_and_patience_come_back_from_any_interruption_of_a_run_on_a_terminal(cloud: SimulatedCloud) -> None:
    """HAProxy waits an hour for a person, and no longer than the person is there."""
    cloud.balance()
    start = cloud.take()
    explore(cloud, start, checkout(cloud, "plain", service=BALANCED, detach=False), start)


@pytest.mark.parametrize("where", ["background", "terminal"])
def test_production_and_its_peers_come_back_from_any_interruption_of_a_checkout_that_stops_them(
    cloud: SimulatedCloud, where: str
) -> None:
    cloud.add_peer()
    start = cloud.take()
    explore(cloud, start, alone(cloud, detach=where == "background"), start)


def test_production_and_its_peers_come_back_from_any_interruption_of_a_restore(cloud: SimulatedCloud) -> None:
    cloud.add_peer()
    whole = cloud.take()
    alone(cloud)(cloud.host())
    explore(cloud, cloud.take(), lambda host: restore_everything(cloud), whole)


def test_peers_that_restart_or_go_meanwhile_keep_nothing_from_coming_back(cloud: SimulatedCloud) -> None:
    cloud.add_peer()
    start = cloud.take()
    explore(cloud, start, alone(cloud), start, reboots=(images.HEAT_PEER,))


def test_production_comes_back_from_any_interruption_of_its_restore(cloud: SimulatedCloud) -> None:
    whole = cloud.take()
    explore(cloud, swapped(cloud, "migrates"), lambda host: restore_everything(cloud), whole)


def test_databases_in_files_come_back_from_any_interruption_of_a_checkout(cloud: SimulatedCloud) -> None:
    cloud.keep_files()
    start = cloud.take()
    explore(cloud, start, checkout(cloud, "plain"), start)


def test_databases_in_files_come_back_from_any_interruption_of_a_restore(cloud: SimulatedCloud) -> None:
    cloud.keep_files()
    whole = cloud.take()
    start = swapped(cloud, "plain")
    explore(cloud, start, lambda host: restore_everything(cloud), whole)
