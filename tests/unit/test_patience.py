"""Those who call a swapped service by RPC wait for a person at a prompt, if that is asked for."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from devswap import development, meant, patience, swap, systemd
from devswap.database import Database
from devswap.debugger import caller
from devswap.errors import CommandFailed, NotWhole
from devswap.machine import Machine
from devswap.process import Result
from devswap.steps.patience import LengthenWait
from devswap.wish import Wish
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud, no_waiting
from tests.simulated.comparison import differences
from tests.unit.midst import in_the_midst_of

API, CFN = ("aio1", images.HEAT, "heat-api.service"), ("aio1", images.HEAT_CFN, "heat-api-cfn.service")


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedCloud]:
    found = SimulatedCloud(tmp_path)
    for name in ("plain", "other"):
        found.checkout(name)
    found.checkout("dies", fate="dies")
    with no_waiting(monkeypatch):
        yield found


def patient(ref: str = "plain", service: str = "heat-engine") -> Wish:
    return Wish(service, ref, None, None, detach=True, patient=True)


def waits(cloud: SimulatedCloud, machine: str, unit: str) -> bool:
    text = cloud.machine(machine).read_text(development.patient_path(unit))
    return "OS_DEFAULT__RPC_RESPONSE_TIMEOUT=3600" in (text or "")


def restarted(cloud: SimulatedCloud, unit: str) -> int:
    return sum(name.endswith(f"systemctl start -- {unit}") for name in cloud.calls.names)


def test_callers_are_restarted_to_wait_and_back_and_that_is_said_before(cloud: SimulatedCloud) -> None:
    whole = cloud.take()
    cloud.calls.begin()
    swap.checkout(cloud.host(), patient(), cloud.makers)
    assert waits(cloud, *API[1:])
    assert waits(cloud, *CFN[1:])
    assert (restarted(cloud, API[2]), restarted(cloud, CFN[2])) == (1, 1)
    said = [number for number, line in enumerate(cloud.said) if "an outage of a few seconds each" in line]
    stopped = [number for number, line in enumerate(cloud.said) if line.startswith("stopping ")]
    assert said < stopped
    (journal,) = cloud.host().journals.all()
    swap.restore(cloud.host(), journal)
    assert (restarted(cloud, API[2]), restarted(cloud, CFN[2])) == (2, 2)
    assert differences(cloud, whole) == []


def test_without_the_option_nobody_is_restarted(cloud: SimulatedCloud) -> None:
    cloud.calls.begin()
    swap.checkout(cloud.host(), Wish("heat-engine", "plain", None, None, detach=True), cloud.makers)
    assert restarted(cloud, API[2]) == 0
    assert not waits(cloud, *API[1:])


def test_a_second_checkout_does_not_restart_them_again(cloud: SimulatedCloud) -> None:
    whole = cloud.take()
    swap.checkout(cloud.host(), patient(), cloud.makers)
    cloud.calls.begin()
    swap.checkout(cloud.host(), patient("other"), cloud.makers)
    assert restarted(cloud, API[2]) == 0
    (journal,) = cloud.host().journals.all()
    assert journal.swap.traffic["patient"] == 3600
    swap.restore(cloud.host(), journal)
    assert differences(cloud, whole) == []


def test_nobody_is_restarted_once_something_is_stopped(cloud: SimulatedCloud) -> None:
    swap.checkout(cloud.host(), Wish("heat-engine", "plain", None, None, detach=True), cloud.makers)
    cloud.calls.begin()
    swap.checkout(cloud.host(), patient("other"), cloud.makers)
    last = max(number for number, name in enumerate(cloud.calls.names) if name.endswith(f"start -- {CFN[2]}"))
    gone = min(number for number, name in enumerate(cloud.calls.names) if "stop -- heat-engine.service" in name)
    assert last < gone


def test_a_caller_waits_for_one_swap_at_a_time_and_that_is_said(cloud: SimulatedCloud) -> None:
    cloud.add_peer()
    whole = cloud.take()
    swap.checkout(cloud.host(), replace(patient(), machine=images.HEAT), cloud.makers)
    swap.checkout(cloud.host(), replace(patient(), machine=images.HEAT_PEER), cloud.makers)
    said = f"heat-api.service in lxc:{images.HEAT} waits already, as long as heat-engine --machine lxc:{images.HEAT} is"
    assert any(line.startswith(said) for line in cloud.said), cloud.said
    for journal in cloud.host().journals.all():
        swap.restore(cloud.host(), journal)
    assert differences(cloud, whole) == []


def test_one_that_asks_for_it_at_a_second_checkout_gets_it(cloud: SimulatedCloud) -> None:
    whole = cloud.take()
    swap.checkout(cloud.host(), Wish("heat-engine", "plain", None, None, detach=True), cloud.makers)
    swap.checkout(cloud.host(), patient("other"), cloud.makers)
    assert waits(cloud, *API[1:])
    (journal,) = cloud.host().journals.all()
    swap.restore(cloud.host(), journal)
    assert differences(cloud, whole) == []


def test_a_checkout_that_fails_gives_them_their_own_patience_back(cloud: SimulatedCloud) -> None:
    whole = cloud.take()
    with pytest.raises(Exception, match="does not serve"):
        swap.checkout(cloud.host(), patient("dies"), cloud.makers)
    assert differences(cloud, whole) == []


def test_a_caller_whose_systemd_reads_no_files_is_as_it_was_after_a_checkout_that_fails_for_that(
    cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its /run is full; of the drop-in it has never heard."""
    whole = cloud.take()

    def full(machine: Machine) -> None:
        refused = Result(("systemctl", "daemon-reload"), 1, "", "not enough space available on /run/systemd\n")
        raise CommandFailed("cannot run systemctl", result=refused)

    with monkeypatch.context() as now:
        now.setattr(systemd, "reload", full)
        with pytest.raises(CommandFailed, match="cannot run systemctl"):
            swap.checkout(cloud.host(), patient(), cloud.makers)
    assert cloud.host().journals.all() == []
    assert differences(cloud, whole) == []


def test_a_caller_that_is_swapped_itself_is_not_restarted_and_that_is_said(cloud: SimulatedCloud) -> None:
    swap.checkout(cloud.host(), Wish("heat-api", "plain", None, None, detach=True), cloud.makers)
    cloud.calls.begin()
    swap.checkout(cloud.host(), patient(), cloud.makers)
    assert restarted(cloud, API[2]) == 0
    assert any("devswap run heat-api --set DEFAULT.rpc_response_timeout=3600" in line for line in cloud.said)


@pytest.mark.parametrize("first", ["heat-engine", "heat-api"])
def test_a_caller_that_is_swapped_later_comes_back_whole_in_any_order(cloud: SimulatedCloud, first: str) -> None:
    whole = cloud.take()
    swap.checkout(cloud.host(), patient(), cloud.makers)
    swap.checkout(cloud.host(), Wish("heat-api", "plain", None, None, detach=True), cloud.makers)
    found = {journal.swap.service: journal for journal in cloud.host().journals.all()}
    for service in (first, *(set(found) - {first})):
        assert swap.restore(cloud.host(), found[service]).changed_by_others == []
    assert differences(cloud, whole) == []


def test_one_that_a_load_has_stopped_is_a_caller_all_the_same(
    cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.checkout("migrates", revisions=("a1", "b2"))
    deployment = meant.examined(meant.locate_place(cloud.host(), patient()), None)
    swap.checkout(cloud.host(), Wish("heat-engine", "migrates", None, None, detach=True), cloud.makers)
    (journal,) = cloud.host().journals.all()
    found: list[LengthenWait] = []

    def look() -> None:
        assert not cloud.machine(API[1]).init.is_active(API[2])
        found.extend(patience.steps(cloud.host(), deployment))

    with in_the_midst_of(monkeypatch, Database, "load", look):
        swap.restore(cloud.host(), journal)
    assert {step.unit for step in found} == {API[2], CFN[2]}


def test_a_drop_in_that_somebody_has_edited_stops_the_restore_before_it_begins(cloud: SimulatedCloud) -> None:
    swap.checkout(cloud.host(), patient(), cloud.makers)
    machine, path = cloud.machine(images.HEAT), development.patient_path(API[2])
    machine.write_text(path, (machine.read_text(path) or "") + "Environment=MINE=1\n")
    (journal,) = cloud.host().journals.all()
    with pytest.raises(NotWhole, match="changed by somebody else"):
        swap.restore(cloud.host(), journal)
    assert "MINE=1" in (machine.read_text(path) or "")
    machine.remove(path)
    (journal,) = cloud.host().journals.all()
    swap.restore(cloud.host(), journal)


def test_the_prompt_says_how_long_they_wait_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caller, "patience", 3600)
    method = "def _process_incoming(incoming):\n    return caller.waits(sys._getframe())\n"
    server: dict[str, Any] = {"__name__": "oslo_messaging.rpc.server", "caller": caller, "sys": sys}
    exec(method, server)
    assert "waits 3600 s" in server["_process_incoming"]([object()])
