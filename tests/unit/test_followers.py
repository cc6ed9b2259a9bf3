"""What systemd stops with a service (Requires=, BindsTo=, PartOf=) runs beside development, and production again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devswap import swap
from devswap.errors import DevswapError, NotWhole
from devswap.wish import Wish
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud, no_waiting
from tests.simulated.comparison import differences
from tests.simulated.followers import follow, listen

ENGINE = "heat-engine"
SOCKET = "heat-engine.socket"
WATCH, LOG, IDLE = "engine-watch.service", "watch-log.service", "engine-idle.service"


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedCloud]:
    """The engine has one who follows it, and that one, too; another one is stopped, as somebody wants it."""
    found = SimulatedCloud(tmp_path)
    found.checkout("plain")
    for unit, followed in (
        (WATCH, "BindsTo=heat-engine.service"),
        (LOG, f"PartOf={WATCH}"),
        (IDLE, "Requires=heat-engine.service"),
    ):
        follow(found.machine(images.HEAT), unit, followed)
    found.machine(images.HEAT).run(["systemctl", "stop", "--", IDLE])
    with no_waiting(monkeypatch):
        yield found


def active(cloud: SimulatedCloud, *units: str, machine: str = images.HEAT) -> list[bool]:
    return [cloud.machine(machine).init.is_active(unit) for unit in units]


def check_out(cloud: SimulatedCloud, service: str = ENGINE, **options: Any) -> None:
    swap.checkout(cloud.host(), Wish(service, "plain", None, None, detach=True, **options), cloud.makers)


def restore(cloud: SimulatedCloud) -> None:
    (journal,) = cloud.host().journals.all()
    swap.restore(cloud.host(), journal)


def test_what_runs_with_production_runs_with_development_and_with_production_again(cloud: SimulatedCloud) -> None:
    whole = cloud.take()
    assert active(cloud, WATCH, LOG, IDLE) == [True, True, False]
    check_out(cloud)
    assert f"systemd stops with it, and devswap starts again: {WATCH}, {LOG}" in cloud.said
    assert active(cloud, WATCH, LOG, IDLE) == [True, True, False]
    swap.run(cloud.host(), ENGINE, None, detach=True)
    assert active(cloud, WATCH, LOG, IDLE) == [True, True, False]
    (journal,) = cloud.host().journals.all()
    assert f"systemctl start heat-engine.service {WATCH} {LOG}" in (journal.folder / "restore.sh").read_text()
    restore(cloud)
    assert differences(cloud, whole) == []


def test_one_that_does_not_start_again_is_owed(cloud: SimulatedCloud) -> None:
    whole = cloud.take()
    check_out(cloud)
    machine = cloud.machine(images.HEAT)
    path = f"/etc/systemd/system/{WATCH}"
    text = machine.read_text(path) or ""
    machine.write_text(path, text + "[Unit]\nAssertPathExists=/nowhere\n")
    machine.run(["systemctl", "daemon-reload"])
    with pytest.raises(NotWhole, match=f"is back, but not all that was stopped for it:\n.*{WATCH}"):
        restore(cloud)
    assert active(cloud, "heat-engine.service", WATCH) == [True, False]
    machine.write_text(path, text)
    machine.run(["systemctl", "daemon-reload"])
    restore(cloud)
    assert differences(cloud, whole) == []


def test_what_follows_a_unit_that_is_stopped_for_a_load_runs_again(cloud: SimulatedCloud) -> None:
    follow(cloud.machine(images.HEAT_CFN), WATCH, "Requires=heat-api-cfn.service")
    whole = cloud.take()
    check_out(cloud, snapshot=True)
    cloud.schema(images.ACCOUNT).execute("ALTER TABLE `alembic_version` ADD COLUMN `note` int")
    restore(cloud)
    assert any(line.startswith("stopping heat-api-cfn.service") for line in cloud.said)
    assert differences(cloud, whole) == []


def test_what_follows_a_caller_that_is_restarted_runs_again(cloud: SimulatedCloud) -> None:
    follow(cloud.machine(images.HEAT_CFN), WATCH, "PartOf=heat-api-cfn.service")
    whole = cloud.take()
    check_out(cloud, patient=True)
    assert active(cloud, WATCH, machine=images.HEAT_CFN) == [True]
    restore(cloud)
    assert differences(cloud, whole) == []


@pytest.mark.parametrize("runs", [True, False])
def test_a_socket_waits_again_as_it_did_whether_what_it_starts_ran_or_not(cloud: SimulatedCloud, *, runs: bool) -> None:
    machine, service = cloud.machine(images.HEAT), f"{ENGINE}.service"
    machine.run(["systemctl", "stop", "--", service])
    listen(machine, SOCKET, service)
    if runs:
        machine.run(["systemctl", "start", "--", service])
    whole = cloud.take()
    check_out(cloud)
    machine.end(SOCKET, "failed", 0)  # as systemd has it after some requests, since nobody may start the service
    (journal,) = cloud.host().journals.all()
    told = f"systemctl start {SOCKET}{f' {service}' if runs else chr(10)}"
    assert told in (journal.folder / "restore.sh").read_text()
    restore(cloud)
    assert differences(cloud, whole) == []


@pytest.mark.parametrize("setting", ["RefuseManualStart", "RefuseManualStop"])
def test_who_may_not_be_stopped_by_hand_is_refused_before_anything_is(cloud: SimulatedCloud, setting: str) -> None:
    refused(cloud, f"{ENGINE}.service", setting, f"it has {setting}=yes")


def test_so_is_one_whose_follower_may_not_be_started_by_hand(cloud: SimulatedCloud) -> None:
    refused(cloud, LOG, "RefuseManualStart", f"{LOG}, which stops with it, has RefuseManualStart=yes")


def refused(cloud: SimulatedCloud, unit: str, setting: str, said: str) -> None:
    machine = cloud.machine(images.HEAT)
    machine.write_text(f"/etc/systemd/system/{unit}.d/refuse.conf", f"[Unit]\n{setting}=yes\n")
    machine.run(["systemctl", "daemon-reload"])
    whole = cloud.take()
    cloud.calls.begin()
    with pytest.raises(DevswapError, match=said) as found:
        check_out(cloud, patient=True)
    assert f"systemctl edit {unit}" in (found.value.hint or "")
    assert not [name for name in cloud.calls.names if "systemctl stop" in name]
    assert differences(cloud, whole) == []


def test_a_follower_that_another_swap_holds_is_that_ones_to_start_and_to_compare(cloud: SimulatedCloud) -> None:
    machine, path = cloud.machine(images.HEAT), "/etc/systemd/system/heat-api.service"
    text = machine.read_text(path) or ""
    machine.write_text(path, f"[Unit]\nRequires={ENGINE}.service\n{text}")
    machine.run(["systemctl", "daemon-reload"])
    whole = cloud.take()
    for service in (ENGINE, "heat-api"):
        check_out(cloud, service)
    found = {journal.swap.service: journal for journal in cloud.host().journals.all()}
    for service in (ENGINE, "heat-api"):
        assert swap.restore(cloud.host(), found[service]).changed_by_others == []
    assert differences(cloud, whole) == []
