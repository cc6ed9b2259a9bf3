"""restore.sh says what to type, also where several swaps share a database."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from devswap import swap, way_back
from devswap.shared import Shelf
from devswap.wish import Wish
from tests.simulated.cloud import SimulatedCloud, no_waiting

SERVICE = "heat-engine"


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimulatedCloud:
    found = SimulatedCloud(tmp_path)
    found.checkout("migrates", revisions=("a1", "b2"))
    with no_waiting(monkeypatch):
        swap.checkout(found.host(), Wish(SERVICE, "migrates", None, None, detach=True), found.makers)
    return found


def test_it_is_shell_and_loads_the_dump(cloud: SimulatedCloud) -> None:
    (script,) = cloud.state.glob("swaps/*/restore.sh")
    subprocess.run(["/bin/sh", "-n", script], check=True)
    assert [line for line in script.read_text().splitlines() if line.startswith("elif gunzip -t")]


def test_what_others_hold_too_is_there_to_be_uncommented(cloud: SimulatedCloud) -> None:
    (journal,) = cloud.host().journals.all()
    shelf = Shelf(cloud.state / "shared")
    (record,) = shelf.held_by(journal.folder.name)
    shelf.join(record, "heat-api@lxc:other")
    way_back.write(journal, cloud.host().cloud(journal))
    lines = (journal.folder / "restore.sh").read_text().splitlines()
    assert any(line.startswith("# elif gunzip -t") for line in lines)
    assert not any(line.startswith("elif") for line in lines)
    assert any("heat-api@lxc:other" in line for line in lines)
