"""A restore compares production with what it was, and tells what devswap is answerable for from what it is not."""

from __future__ import annotations

import json

import pytest

from devswap import proof, swap
from devswap.steps.step import NOTHING_KEPT
from devswap.wish import Wish
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.person import Person

SERVICE = "heat-engine"


def take_over(cloud: SimulatedCloud, ref: str) -> None:
    swap.checkout(cloud.host(), Wish(SERVICE, ref, None, None, detach=True), cloud.makers)


def test_production_that_did_not_serve_has_the_time_to_become_what_it_was(
    cloud: SimulatedCloud, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service names its process itself some time after it was started (setproctitle), and opens its ports then."""
    title, unit = "heat-engine: master process [heat-engine]", f"{SERVICE}.service"
    production = cloud.machine(images.HEAT).init.unit(unit)
    production.title, production.ports = title, [("172.29.236.130", 8004)]
    take_over(cloud, "plain")
    (journal,) = cloud.host().journals.all()
    assert journal.swap.fingerprint["unit command"] == title
    journal.describe(fingerprint={**journal.swap.fingerprint, "serving": "no"})

    def comes_up(seconds: float) -> None:
        started = cloud.machine(images.HEAT).init.unit(unit)
        if started.argv[0].startswith(images.VENV):
            started.title, started.ports = title, [("172.29.236.130", 8004)]

    with monkeypatch.context() as now:
        now.setattr("time.sleep", comes_up)
        person.types("devswap restore heat-engine")
    assert cloud.host().journals.all() == []


def test_production_that_was_on_its_way_at_the_checkout_may_have_become_what_it_was_to_be(
    cloud: SimulatedCloud, person: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    """It had not named its process yet, and never runs without its name again."""
    take_over(cloud, "plain")
    (journal,) = cloud.host().journals.all()
    was = {**journal.swap.fingerprint, "unit command": f"{images.VENV}/bin/python heat-engine --password=geheim"}
    journal.describe(fingerprint=was)
    assert "unit command: was " in person.is_told("restore").message
    journal.describe(fingerprint={**was, "serving": "no"})
    person.types("devswap restore heat-engine")
    said = "".join(capsys.readouterr())
    assert "unit command: was " in said
    assert "geheim" not in said
    assert cloud.host().journals.all() == []


def test_production_that_had_failed_is_back_when_it_does_not_run(cloud: SimulatedCloud, person: Person) -> None:
    """That it had failed is forgotten with development's start, and nothing but another failure would bring it back."""
    machine, unit = cloud.machine(images.HEAT), f"{SERVICE}.service"
    machine.end(unit, "failed", 1)
    take_over(cloud, "migrates")
    person.types("devswap restore heat-engine")
    assert machine.init.unit(unit).active == "inactive"
    assert cloud.host().journals.all() == []


@pytest.mark.parametrize("was", ["failed", "inactive"])
def test_production_that_did_not_run_may_have_been_started_by_the_restart_of_its_machine(
    cloud: SimulatedCloud, person: Person, capsys: pytest.CaptureFixture[str], was: str
) -> None:
    machine, unit = cloud.machine(images.HEAT), f"{SERVICE}.service"
    machine.end(unit, was, 0)
    take_over(cloud, "migrates")
    machine.halt()
    machine.boot()
    person.types("devswap restore heat-engine")
    assert f"changed, and not by devswap: unit state: was {was}, is active\n" in capsys.readouterr().out
    assert machine.init.is_active(unit)
    assert cloud.host().journals.all() == []


def test_a_checkout_that_runs_on_where_production_did_not_run_is_nobody_elses_doing(
    cloud: SimulatedCloud, person: Person
) -> None:
    machine, unit = cloud.machine(images.HEAT), f"{SERVICE}.service"
    machine.end(unit, "inactive", 0)
    take_over(cloud, "plain")
    argv = machine.init.unit(unit).argv
    machine.halt()
    machine.boot()
    machine.init.unit(unit).argv = argv
    assert "unit command: was none, is /run/devswap/" in person.is_told("restore").message
    assert len(cloud.host().journals.all()) == 1


def test_what_runs_a_checkout_is_nobody_elses_doing() -> None:
    for line in ("unit command: was a, is a /run/devswap/a/bin/a", "unit executable: was a, is /run/devswap/a/bin/a"):
        assert proof._sorted([line], proof._OTHERS, NOTHING_KEPT) == ([line], [])
        assert proof._sorted([line], ("unit ",), NOTHING_KEPT) == ([line], [])


def test_ports_that_are_there_now_and_were_not_before_keep_no_restore_waiting() -> None:
    ports = "listening ports: was {}, is 172.29.236.130:8004"
    assert not proof._is_on_its_way(ports.format("none"))
    assert proof._is_on_its_way(ports.format("172.29.236.130:8000"))


def test_a_python_that_was_upgraded_meanwhile_is_no_failure_and_one_of_ours_is() -> None:
    was = "unit executable: was /usr/bin/python3.10"
    ours, others = proof._sorted(
        [f"{was}, is /usr/bin/python3.12", f"{was}, is /run/devswap/heat-engine/1/overlay/bin/python"],
        proof._OTHERS,
        NOTHING_KEPT,
    )
    assert others == [f"{was}, is /usr/bin/python3.12"]
    assert len(ours) == 1


def test_each_fact_that_was_compared_is_listed_for_scripts(
    cloud: SimulatedCloud, person: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    take_over(cloud, "migrates")
    capsys.readouterr()
    person.types("devswap restore --json")
    (restored,) = json.loads(capsys.readouterr().out)["restored"]
    kinds = ("unit state", "unit enablement", "unit command", "unit file ", "mounts", "file ", "database ", "serving")
    assert all(any(fact.startswith(kind) for fact in restored["facts"]) for kind in kinds)
    assert restored["identical"] == len(restored["facts"])
