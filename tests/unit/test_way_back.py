"""restore.sh says what to type, also where several swaps share a database."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from devswap import swap
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
    assert [line for line in script.read_text().splitlines() if line.startswith("  elif gunzip -t")]


def test_what_others_hold_too_waits_for_them_whoever_comes_and_goes(cloud: SimulatedCloud, tmp_path: Path) -> None:
    """The script is not written anew when another swap joins or leaves: it looks when it runs."""
    (journal,) = cloud.host().journals.all()
    script = (journal.folder / "restore.sh").read_text()
    begin = script.index("if [ -e ")
    block = script[begin : script.index("\n\n", begin)]
    (tmp_path / "bin").mkdir()
    for name in ("lxc-attach", "gunzip"):
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\necho ran {name} >> {tmp_path}/log\n")
        (tmp_path / "bin" / name).chmod(0o755)

    def run() -> str:
        (tmp_path / "log").write_text("")
        path = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin"}
        ran = subprocess.run(["/bin/sh", "-c", block], env=path, capture_output=True, text=True, check=False)
        return ran.stdout + (tmp_path / "log").read_text()

    assert "ran lxc-attach" in run()
    shelf = Shelf(cloud.state / "shared")
    (record,) = shelf.held_by(journal.folder.name)
    shelf.join(record, "heat-api@lxc:other")
    told = run()
    assert '"heat-api@lxc:other"' in told
    assert "run this again when they are given back" in told
    assert "ran" not in told.replace("run this again", "")
    (record,) = shelf.held_by(journal.folder.name)
    shelf.leave(record, "heat-api@lxc:other")
    assert "ran lxc-attach" in run()
