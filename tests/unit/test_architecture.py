"""The rooms and their doors: imports point down. This test is the diagram."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import devswap

ROOT = Path(devswap.__file__).parent
# From the top down: a module imports none of a floor above its own. What is not named here is below all of these.
FLOORS = (
    "cli",
    "commands",
    "outcome",
    "doctor",
    "recovery",
    "several",
    "several_runs",
    "all_or_none",
    "several_places",
    "swap",
    "unit_tests",
    "takeover",
    "coming_back",
    "preparation",
    "building",
    "prepared",
    "production",
    "meant",
    "foreseen",
    "baseline",
    "rerun",
    "tuning_of_swap",
    "hooks_of_swap",
    "wish",
    "overlay_of_swap",
    "beside",
    "diff",
    "running",
    "status",
    "proof",
    "narrowing",
    "testing",
    "traffic",
    "patience",
    "peers",
    "transaction",
)
BOTTOM = ("errors", "masking", "process", "slot")
INSIDE = {"inside", "inside_metadata"}
"""They are no part of the program: they run inside the machine, by the interpreter there."""
ONE_MODULE_EACH = ("lxc", "subprocess", "psutil", "git", "virtualenv")


def modules() -> dict[str, ast.Module]:
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): ast.parse(path.read_text())
        for path in sorted(ROOT.rglob("*.py"))
    }


MODULES = modules()


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_imports(name: str) -> set[str]:
    """The modules of ours that `name` imports, without the leading devswap."""
    found = {each.removeprefix("devswap.") for each in imported(MODULES[name]) if each.startswith("devswap.")}
    return {each for each in found if each in MODULES or f"{each}.__init__" in MODULES}


def floor(name: str) -> int:
    first = name.split(".")[0]
    return FLOORS.index(first) if first in FLOORS else len(FLOORS)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_point_down(name: str) -> None:
    if name.startswith("sandbox"):
        return  # a house of its own, which uses this one's ground floor
    above = {each for each in own_imports(name) if floor(each) < floor(name)}
    assert not above


@pytest.mark.parametrize("name", sorted(MODULES))
def test_nobody_imports_the_command_line(name: str) -> None:
    if name.split(".")[0] not in ("cli", "commands"):
        assert not {each for each in own_imports(name) if each.split(".")[0] in ("cli", "commands")}


@pytest.mark.parametrize("name", BOTTOM)
def test_the_ground_floor_stands_on_nothing_else(name: str) -> None:
    assert own_imports(name) <= set(BOTTOM)


@pytest.mark.parametrize("package", ONE_MODULE_EACH)
def test_one_module_at_most_imports_what_is_special(package: str) -> None:
    users = {name for name, tree in MODULES.items() if package in {each.split(".")[0] for each in imported(tree)}}
    users -= INSIDE
    assert len(users) <= 1, users


def test_processes_are_started_by_one_module() -> None:
    starters = {name for name, tree in MODULES.items() if "subprocess" in set(imported(tree))} - INSIDE
    assert starters == {"process"}


def test_only_the_command_line_exits() -> None:
    exits = defaultdict(set)
    for name, tree in MODULES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("sys.exit", "exit", "quit"):
                exits[name].add(node.lineno)
    assert set(exits) <= {"cli", "sandbox.__main__", "inside", "watcher"}, dict(exits)


def test_nothing_is_called_a_helper_or_the_like() -> None:
    banned = {"util", "utils", "helper", "helpers", "manager", "common", "misc"}
    assert not {name for name in MODULES if banned & set(name.replace("_", ".").split("."))}


def test_no_shell_and_no_command_as_one_string() -> None:
    for name, tree in MODULES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                assert "shell" not in {word.arg for word in node.keywords}, f"{name}:{node.lineno}"
