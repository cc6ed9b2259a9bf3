"""What an overlay's key depends on: all that decides on its content, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from devswap.deployment import Interpreter
from devswap.overlay_request import Request, look, read
from devswap.package_index import IndexPolicy
from tests.packages import make_project
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.machine import SimulatedMachine

SITE = f"{images.VENV}/lib/python3.11/site-packages"


@pytest.fixture
def machine(tmp_path: Path) -> SimulatedMachine:
    return SimulatedCloud(tmp_path / "cloud").machine(images.HEAT)


@pytest.fixture
def wanted(tmp_path: Path) -> Request:
    interpreter = Interpreter(f"{images.VENV}/bin/python", "3.11", (SITE,), images.VENV)
    source = make_project(tmp_path / "checkout", requires=["a>=1"])
    return Request(interpreter, "heat", "heat", "openstack-heat", "heat", source, "2.0")


def test_production_requirements_constraints_and_indexes_make_another_overlay(
    machine: SimulatedMachine, wanted: Request
) -> None:
    keys = [look(machine, wanted).key]
    keys.append(look(machine, replace(wanted, constraints="a===1.0\n")).key)
    keys.append(look(machine, replace(wanted, policy=IndexPolicy.PRIVATE)).key)
    keys.append(look(machine, replace(wanted, private_links=("http://repo/wheels/",))).key)
    images.put(machine.files, f"{SITE}/added-1.0.dist-info/METADATA", "Name: added\n")
    keys.append(look(machine, wanted).key)
    pyproject = wanted.source / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace("a>=1", "a>=2"))
    keys.append(look(machine, wanted).key)
    assert len(set(keys)) == len(keys)


def test_code_makes_none_and_a_version_only_a_copy(machine: SimulatedMachine, wanted: Request) -> None:
    first = look(machine, wanted)
    (wanted.source / "demo/engine.py").write_text("edited = True\n")
    assert look(machine, wanted) == first
    next_one = look(machine, replace(wanted, version="2.0.1.dev1"))
    assert (next_one.kin, next_one.key != first.key) == (first.kin, True)


def test_no_link_of_a_checkout_has_root_read_what_is_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of-the-host")
    (tmp_path / "checkout").mkdir()
    (tmp_path / "checkout/requirements.txt").write_text("a>=1\n")
    for name, target in (
        ("absolute.txt", tmp_path / "secret"),
        ("up.txt", "../secret"),
        ("own.txt", "requirements.txt"),
    ):
        (tmp_path / "checkout" / name).symlink_to(target)
    found = {name: read(tmp_path / "checkout" / name) for name in ("absolute.txt", "up.txt", "own.txt", "none.txt")}
    assert found == {"absolute.txt": "", "up.txt": "", "own.txt": "a>=1\n", "none.txt": ""}
