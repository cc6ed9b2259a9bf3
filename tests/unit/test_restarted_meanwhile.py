"""A machine that restarts while development runs on a terminal: from then on the unit is production's."""

from __future__ import annotations

import signal

import pytest

from devswap import swap
from devswap.errors import NotWhole
from devswap.wish import Wish
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.machine import SimulatedMachine

SERVICE, UNIT = "heat-engine", "heat-engine.service"


def restarts(cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch, *, then_saved: bool = False) -> None:
    """The first time that devswap looks; then Ctrl-C comes, or a file is saved."""
    looks: list[str] = []

    def person_acts(machine: SimulatedMachine, unit: str) -> bool:
        looks.append(unit)
        if len(looks) > 1:
            return not then_saved
        machine.boot()
        if then_saved:
            (cloud.folder / "checkouts/plain/saved.py").write_text("saved = True\n")
        else:
            signal.raise_signal(signal.SIGINT)
        return False

    monkeypatch.setattr(cloud, "person_acts", person_acts)


def production(cloud: SimulatedCloud) -> list[str]:
    unit = cloud.machine(images.HEAT).init.unit(UNIT)
    return unit.argv if unit.active == "active" else []


def run(cloud: SimulatedCloud, *, reload: bool) -> None:
    swap.checkout(cloud.host(), Wish(SERVICE, "plain", None, None, detach=False, reload=reload), cloud.makers)


@pytest.mark.parametrize("reload", [False, True])
def test_it_runs_on_after_ctrl_c(cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch, *, reload: bool) -> None:
    before = production(cloud)
    restarts(cloud, monkeypatch)
    run(cloud, reload=reload)
    assert production(cloud) == before
    assert before


def test_it_runs_on_after_a_save(cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    before = production(cloud)
    restarts(cloud, monkeypatch, then_saved=True)
    with pytest.raises(NotWhole, match=r"heat-engine is production's again: lxc:.* was restarted"):
        run(cloud, reload=True)
    assert production(cloud) == before
    assert before
