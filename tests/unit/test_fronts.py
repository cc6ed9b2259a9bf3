"""Web servers before a project's other applications: after a load of the database they ask those again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from devswap import swap
from devswap.steps.apache import RefreshFront
from devswap.steps.database import SyncDatabase
from devswap.steps.step import from_json
from devswap.wish import Wish
from tests.simulated import images, web
from tests.simulated.cloud import SimulatedCloud, no_waiting
from tests.simulated.comparison import differences

CFN = f"lxc:{images.HEAT_CFN}"


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedCloud]:
    found = SimulatedCloud(tmp_path)
    for name, revisions in (("plain", ("a1",)), ("migrates", ("a1", "b2"))):
        found.checkout(name, revisions=revisions)
    found.put_front()
    with no_waiting(monkeypatch):
        yield found


def checkout(cloud: SimulatedCloud, ref: str) -> None:
    swap.checkout(cloud.host(), Wish("heat-engine", ref, None, None, detach=True), cloud.makers)


def fronts(cloud: SimulatedCloud) -> list[RefreshFront]:
    (journal,) = cloud.host().journals.all()
    steps = [from_json(entry.step) for entry in journal.entries]
    return [step for step in steps if isinstance(step, RefreshFront)]


def restore(cloud: SimulatedCloud) -> list[str]:
    """The calls in the machine with the web server, those that only look left out."""
    cloud.calls.begin()
    host = cloud.host()
    for journal in host.journals.all():
        swap.restore(host, journal)
    calls = [name.split(": ", 1)[-1] for name in cloud.calls.names if images.HEAT_CFN in name]
    return [call for call in calls if call.startswith("systemctl") and "show" not in call]


def test_it_is_reloaded_once_the_application_that_was_stopped_runs_again(cloud: SimulatedCloud) -> None:
    before = cloud.take()
    checkout(cloud, "migrates")
    assert [(step.on, step.behind, step.unit) for step in fronts(cloud)] == [(CFN, "heat-api-cfn.service", web.UNIT)]
    calls = restore(cloud)
    assert "reload" in calls[-1]
    assert web.UNIT in calls[-1]
    assert any("start" in call and "heat-api-cfn" in call for call in calls[:-1])
    assert differences(cloud, before) == []


def test_without_a_migration_nobody_is_stopped_and_nothing_reloaded(cloud: SimulatedCloud) -> None:
    checkout(cloud, "plain")
    assert fronts(cloud) == []
    assert restore(cloud) == []


def test_one_that_had_been_refused_at_the_checkout_may_ask_again(cloud: SimulatedCloud) -> None:
    """It does not for a minute, and then does."""
    (cloud.folder / "overlays/plain/bin/heat-api-cfn").write_text("")
    host, fact = cloud.host(), f"serving through {web.UNIT}"
    swap.checkout(host, Wish("heat-api-cfn", "plain", None, None, detach=True), cloud.makers)
    (journal,) = host.journals.all()
    assert journal.swap.fingerprint[fact] == "yes"
    journal.describe(fingerprint={**journal.swap.fingerprint, fact: "no"})
    assert swap.restore(host, journal).changed_by_others == [f"{fact}: was no, is yes"]


def test_it_goes_with_the_migration_that_it_was_there_for(cloud: SimulatedCloud) -> None:
    before = cloud.take()
    checkout(cloud, "plain")
    checkout(cloud, "migrates")
    assert len(fronts(cloud)) == 1
    checkout(cloud, "plain")
    assert fronts(cloud) == []
    restore(cloud)
    assert differences(cloud, before) == []


def test_a_machine_that_is_stopped_meanwhile_is_passed_over(cloud: SimulatedCloud) -> None:
    checkout(cloud, "migrates")
    cloud.machine(images.HEAT_CFN).state.running = False
    restore(cloud)
    assert cloud.host().journals.all() == []


@pytest.mark.parametrize("elsewhere", ["heat.conf.d", "--config-file"])
def test_a_unit_whose_database_is_configured_elsewhere_uses_it_all_the_same(
    cloud: SimulatedCloud, elsewhere: str
) -> None:
    """It is stopped while a dump is loaded, and what stands before it asks it again."""
    machine, unit = cloud.machine(images.HEAT_CFN), "/etc/systemd/system/heat-api-cfn.service"
    conf, told = machine.read_text("/etc/heat/heat.conf") or "", machine.read_text(unit) or ""
    machine.write_text(f"{images.VENV}/etc/heat/heat.conf", "[DEFAULT]\n")
    path = "/srv/heat.conf" if elsewhere == "--config-file" else "/etc/heat/heat.conf.d/10.conf"
    machine.write_text(path, conf)
    if elsewhere == "--config-file":
        machine.write_text(unit, told.replace("/bin/heat-api-cfn", f"/bin/heat-api-cfn --config-file {path}"))
    machine.boot()
    checkout(cloud, "migrates")
    (journal,) = cloud.host().journals.all()
    steps = [from_json(entry.step) for entry in journal.entries]
    (sync,) = [step for step in steps if isinstance(step, SyncDatabase)]
    assert (CFN, "heat-api-cfn.service") in sync.users
    assert not any("taken for no user" in line for line in cloud.said)
