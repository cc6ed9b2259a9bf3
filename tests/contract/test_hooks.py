"""What a hook can do in a real machine, and what it cannot."""

from __future__ import annotations

import json
import shlex

import pytest

from devswap import hook_run
from devswap.errors import DevswapError
from devswap.hooks import Hook
from devswap.machine import Machine

pytestmark = pytest.mark.sandbox

TOLD = {
    "service": "heat-engine",
    "ref": "review/1",
    "user": "daemon",
    "group": "daemon",
    "production": {"python": "/usr/bin/python3"},
    "places": {"machine": {"checkout": "/run/devswap/heat-engine/1/checkout"}, "host": {}},
}


def call(
    machine: Machine, script: str, *, interpreter: str = "/bin/sh", seconds: int = 30
) -> tuple[hook_run.Answer, list[str]]:
    """What it declares, and what it says."""
    said: list[str] = []
    text = f"#!{interpreter}\n# devswap: files = /etc/x\n{script}\n"
    hook = Hook("/hooks/it", "prepared", "machine", seconds, 0, text)
    return hook_run.call(hook, machine, TOLD, said.append), [line.removeprefix("/hooks/it: ") for line in said]


def test_it_runs_as_the_services_user_and_is_told_what_it_must_know(container: Machine) -> None:
    script = 'id -un >&2; echo "$DEVSWAP_CHECKOUT" >&2; grep \'"ref"\' >&2'
    assert call(container, script)[1] == ["daemon", "/run/devswap/heat-engine/1/checkout", ' "ref": "review/1",']


def test_a_hook_in_python_reads_its_document(container: Machine) -> None:
    script = "import json, sys\nprint(json.load(sys.stdin)['stage'], file=sys.stderr)"
    assert call(container, script, interpreter="/usr/bin/env python3")[1] == ["prepared"]


@pytest.mark.parametrize("path", ["/etc/x", "/run/x", "/var/x", "/opt/x", "/root/x"])
def test_it_writes_nowhere(container: Machine, path: str) -> None:
    with pytest.raises(
        DevswapError, match=r"failed with [12]: .*(Read-only file system|Permission denied|nonexistent)"
    ):
        call(container, f"echo >{path}")
    assert not container.exists(path)


def test_not_even_as_root_does_it_write_what_stays(container: Machine) -> None:
    as_root = {**TOLD, "user": "root", "group": "root"}
    for path in ("/etc/x", "/run/x", "/opt/x", "/tmp/x", "/var/tmp/x"):
        hook = Hook("/hooks/it", "prepared", "machine", 30, 0, f"#!/bin/sh\necho >{path} || echo refused >&2\n")
        hook_run.call(hook, container, as_root, lambda line: None)
        assert not container.exists(path), path


def test_what_it_declares_comes_back_whole(container: Machine) -> None:
    answer = json.dumps({"files": [{"path": "/etc/x", "text": "§ it's\n" * 1000}]})
    (declared,) = call(container, f"printf %s {shlex.quote(answer)}")[0].files
    assert declared == hook_run.Declared("/etc/x", "§ it's\n" * 1000, 0o644)


def test_nothing_of_it_goes_on_after_its_time(container: Machine) -> None:
    with pytest.raises(DevswapError, match="had not ended after 1 s"):
        call(container, "trap '' TERM; sleep 4711 & sleep 4711; sleep 4711", seconds=1)
    assert "4711" not in container.run(["ps", "-eo", "args"]).stdout
    call(container, "sleep 4711 >/dev/null 2>&1 &")
    assert "4711" not in container.run(["ps", "-eo", "args"]).stdout


def test_one_that_makes_something_writes_its_own_folder_and_nothing_else(container: Machine) -> None:
    made = "/run/devswap/heat-engine/1/made"
    container.run(["install", "-d", "-o", "daemon", made])
    told = {**TOLD, "places": {"machine": {"made": made}, "host": {}}}
    try:
        for makes in (True, False):
            text = '#!/bin/sh\ntouch "$DEVSWAP_MADE/x" && touch "$DEVSWAP_MADE/../y" || echo refused >&2\n'
            said: list[str] = []
            hook_run.call(
                Hook("/hooks/it", "prepared", "machine", 30, 0, text, makes=makes), container, told, said.append
            )
            assert said[-1] == "/hooks/it: refused"
            assert container.names(made) == (["x"] if makes else [])
            container.run(["rm", "-f", f"{made}/x"])
        assert container.names("/run/devswap/heat-engine/1") == ["made"]
    finally:
        container.run(["rm", "-r", "/run/devswap"])
