"""The cloud of these tests has all that the examples of steps change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from devswap.steps.step import Cloud
from tests.simulated import images, nova, sqlite
from tests.simulated.cloud import SimulatedCloud, no_waiting
from tests.unit.steps.examples import SLOT


@pytest.fixture
def simulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedCloud]:
    """With a checkout mounted, as it is before any step that runs something of it."""
    found = SimulatedCloud(tmp_path)
    found.balance()
    found.with_keystone()
    nova.add(found)
    found.checkout("migrates", revisions=("a1", "b2"))
    machine = found.machine(images.HEAT)
    for name in ("abc", "def"):
        sqlite.make(machine.files, sqlite.path(name))
    machine.mount(tmp_path / "checkouts" / "migrates", f"{SLOT}/checkout", readonly=True)
    machine.mount(tmp_path / "overlays" / "migrates", f"{SLOT}/overlay", readonly=True)
    with no_waiting(monkeypatch):
        yield found


@pytest.fixture
def cloud(simulated: SimulatedCloud) -> Cloud:
    vault = simulated.state / "vault"
    vault.mkdir(parents=True)
    return Cloud(
        machine=simulated.at,
        vault=vault,
        shared=simulated.state / "shared",
        owed=vault / "owed.json",
        saves=simulated.state / "saved",
        say=simulated.said.append,
        now=lambda: "now",
    )
