"""What is started in production's place, and whether the overlay has it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from devswap import plan
from devswap.database_source import Source
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


@pytest.mark.parametrize(
    ("command", "environment", "told"),
    [
        ((), {}, ()),
        (("--config-file=/etc/heat/heat.conf",), {}, ("--config-file", "/etc/heat/heat.conf")),
        ((), {"OS_HEAT_CONFIG_DIR": "/srv/heat"}, ("--config-file", "/srv/heat/heat.conf")),
        ((), {"OS_HEAT_CONFIG_FILES": "api-paste.ini;more.conf"}, ("--config-file", "/etc/heat/more.conf")),
    ],
)
def test_a_migration_reads_what_production_reads(
    deployment: Deployment, command: tuple[str, ...], environment: dict[str, str], told: tuple[str, ...]
) -> None:
    runs = replace(deployment, command=("heat-engine", *command), environment=environment)
    source = Source("lxc:x", "heat-engine.service", (), "database", "connection", "lxc:x", "heat", "10.0.0.1:3306")
    (argv,) = plan.sync_database(runs, PLACE, source, (), "").commands
    assert argv[1:] == (f"{PLACE.overlay}/bin/heat-manage", *told, "db_sync")


def test_a_script_that_the_change_renamed_is_missing(deployment: Deployment) -> None:
    assert plan.missing_scripts(deployment, {"heat-engine": "heat.cmd.engine:main"}, None) == []
    assert plan.missing_scripts(deployment, {"heat-motor": "heat.cmd.engine:main"}, None) == ["heat-engine"]
