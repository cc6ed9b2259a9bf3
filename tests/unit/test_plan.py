"""What is started in production's place, and whether the overlay has it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from devswap import plan
from devswap.deployment import Deployment
from devswap.discovery import units
from devswap.service import load_catalogue
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud

PLACE = plan.slot("heat-engine", 1)


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    machine = SimulatedCloud(tmp_path).machine(images.HEAT)
    (found,) = units.find([load_catalogue().get("heat-engine")], [machine])
    return units.examine(found)


def test_productions_script_is_the_overlays(deployment: Deployment) -> None:
    argv = plan.command(deployment, PLACE).argv
    assert argv == (f"{PLACE.overlay}/bin/python", f"{PLACE.overlay}/bin/heat-engine")


def test_what_becomes_its_user_by_itself_starts_as_that_user(deployment: Deployment) -> None:
    assert deployment.leaves_root is None
    argv = plan.command(replace(deployment, leaves_root="110"), PLACE).argv
    assert argv[:5] == ("/usr/bin/setpriv", f"--reuid={deployment.user}", "--regid=110", "--init-groups", "--")
    assert argv[5] == f"{PLACE.overlay}/bin/python"


def test_a_module_is_run_as_one(deployment: Deployment) -> None:
    run = replace(deployment, command=("-m", "heat.cmd.engine", "--debug"))
    assert plan.command(run, PLACE).argv == (f"{PLACE.overlay}/bin/python", "-m", "heat.cmd.engine", "--debug")
    assert plan.missing_scripts(run, [], None) == []


def test_a_script_that_the_change_renamed_is_missing(deployment: Deployment) -> None:
    assert plan.missing_scripts(deployment, {"heat-engine": "heat.cmd.engine:main"}, None) == []
    assert plan.missing_scripts(deployment, {"heat-motor": "heat.cmd.engine:main"}, None) == ["heat-engine"]
