"""What goes wrong at a real cloud: each with its exit code, why, what to type next, and nothing changed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

import devswap
from devswap.sandbox.changes import HARMLESS
from tests import containers
from tests.integration.cloud import Cloud
from tests.integration.people import PROGRAM, Desk

pytestmark = [pytest.mark.sandbox, pytest.mark.usefixtures("whole")]

SPARE = f"spare-{os.getpid()}"


@pytest.fixture
def untouched(cloud: Cloud) -> Iterator[None]:
    """Production is not even restarted."""
    before = cloud.start_of_production()
    yield
    assert cloud.start_of_production() == before


def refused(desk: Desk, *argv: str, code: int, why: str, hint: str, cwd: Path | None = None, **environment: str) -> str:
    """Run a command that must fail, and hold what it says against `why` and `hint` (both regular expressions)."""
    failed = desk.devswap(*argv, code=code, cwd=cwd, environment=environment)
    assert failed.stdout == ""
    (error,) = re.findall(r"^devswap: (.*?)(?=^  (?:try|log): |\Z)", failed.stderr, re.M | re.S)
    assert re.search(why, error), failed.stderr
    assert re.search(f"^  try: .*{hint}", failed.stderr, re.M), failed.stderr
    assert "Traceback" not in failed.stderr
    return failed.stderr


def checkout(cloud: Cloud, ref: str) -> tuple[str, ...]:
    return ("checkout", "heat-engine", ref, "--machine", cloud.heat, "--detach")


@pytest.mark.usefixtures("untouched")
def test_an_unknown_service_is_refused_with_near_names(cloud: Cloud, desk: Desk) -> None:
    argv = ("checkout", "heat-engin", "master", "--machine", cloud.heat)
    refused(desk, *argv, code=2, why="unknown service 'heat-engin'", hint="did you mean heat-engine")
    refused(desk, "plan", "zzz", "master", code=2, why="unknown service 'zzz'", hint="devswap list")


@pytest.mark.usefixtures("untouched")
def test_a_service_that_a_machine_does_not_have_is_refused(cloud: Cloud, desk: Desk) -> None:
    galera = cloud.container("-galera-")
    argv = ("checkout", "heat-engine", "master", "--machine", galera, "--detach")
    said = refused(desk, *argv, code=2, why=f"heat-engine does not run in {galera}", hint="--machine NAME")
    assert cloud.heat in said
    argv = ("checkout", "heat-engine", "master", "--machine", "no-such-machine", "--detach")
    refused(desk, *argv, code=2, why="no-such-machine", hint="--machine NAME")


@pytest.mark.usefixtures("untouched")
def test_an_unknown_ref_is_refused(cloud: Cloud, desk: Desk) -> None:
    refused(desk, *checkout(cloud, "no-such-branch"), code=1, why="no-such-branch", hint="")
    refused(desk, *checkout(cloud, "deadbeefdeadbeef"), code=1, why="deadbeefdeadbeef", hint="")
    refused(desk, *checkout(cloud, "a..b"), code=2, why="a..b", hint="a branch, tag or commit")


@pytest.mark.usefixtures("untouched")
def test_a_change_or_patchset_that_does_not_exist_is_refused(cloud: Cloud, desk: Desk) -> None:
    number = cloud.change(HARMLESS).number
    refused(desk, *checkout(cloud, f"review/{number}/9"), code=1, why="patchset 9|/9", hint="")
    refused(desk, *checkout(cloud, "review/424242"), code=1, why="424242", hint="")


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("url", ["git://127.0.0.1:9/heat", "https://no-such-host.invalid/heat", "file:///nowhere/heat"])
def test_a_remote_that_does_not_answer_is_named(cloud: Cloud, desk: Desk, url: str) -> None:
    said = refused(
        desk, *checkout(cloud, "master"), "--remote", url, code=1, why="cannot (reach|fetch)", hint="--remote URL"
    )
    assert url in said


@pytest.mark.usefixtures("untouched")
def test_a_path_that_is_no_tree_of_the_project_is_refused(cloud: Cloud, desk: Desk) -> None:
    refused(desk, *checkout(cloud, "/no/such/folder"), code=1, why="/no/such/folder", hint="")
    (desk.person.home / "plain").mkdir(exist_ok=True)
    os.chown(desk.person.home / "plain", desk.person.uid, -1)
    refused(desk, *checkout(cloud, str(desk.person.home / "plain")), code=1, why="not in a git work tree", hint="git")


@pytest.mark.usefixtures("untouched")
def test_a_checkout_with_edits_is_never_reset(cloud: Cloud, desk: Desk) -> None:
    number = cloud.change(HARMLESS).number
    desk.devswap("plan", "heat-engine", f"review/{number}", "--machine", cloud.heat)
    tree = desk.person.checkout(f"review~{number}")
    readme = tree / "README.rst"
    before = readme.read_text()
    readme.write_text(before + "my own words\n")
    said = refused(
        desk, *checkout(cloud, f"review/{number}"), code=1, why="edits that are in no commit", hint="git -C .* stash"
    )
    assert "README.rst" in said
    assert readme.read_text() == before + "my own words\n"
    keep = re.search(r"git -C \S+ switch -c \S+ && git -C \S+ commit -am 'my edits'", said)
    assert keep is not None
    desk.person.run("sh", "-c", keep[0])
    desk.devswap("plan", "heat-engine", f"review/{number}", "--machine", cloud.heat)
    assert readme.read_text() == before
    branch = keep[0].split(" switch -c ")[1].split()[0]
    assert "my own words" in desk.person.run("git", "show", f"{branch}:README.rst", cwd=tree)


@pytest.mark.usefixtures("untouched")
def test_nobody_but_root_is_told_to_use_sudo(cloud: Cloud, desk: Desk) -> None:
    # the capability only lets nobody read this very program, wherever it is installed
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    reading = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    argv = [*nobody, *reading, PROGRAM, *checkout(cloud, "master")]
    ended = subprocess.run(argv, capture_output=True, text=True, env=dict(desk.environment()), check=False)
    assert ended.returncode == 1
    assert "needs root" in ended.stderr
    assert "sudo devswap" in ended.stderr


@pytest.mark.usefixtures("untouched")
def test_without_the_lxc_bindings_it_says_what_to_install(desk: Desk) -> None:
    # -S: no site-packages but those named here, so nothing of the distribution's, where the bindings are
    paths = os.pathsep.join([sysconfig.get_path("purelib"), str(Path(devswap.__file__).parent.parent)])
    argv = [sys.executable, "-S", "-m", "devswap.cli", "list"]
    env = {**desk.environment(), "PYTHONPATH": paths}
    ended = subprocess.run(argv, capture_output=True, text=True, env=env, cwd="/", check=False)
    assert ended.returncode == 1, ended.stderr
    assert "the lxc bindings for Python are not installed" in ended.stderr
    assert "apt-get install python3-lxc" in ended.stderr


@pytest.mark.usefixtures("untouched")
def test_a_full_disk_leaves_production_alone(cloud: Cloud, desk: Desk, tmp_path: Path) -> None:
    number = cloud.change(HARMLESS).number
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "none", tmp_path], check=True)
    try:
        said = refused(
            desk, *checkout(cloud, f"review/{number}"), code=1, why="space", hint="", DEVSWAP_STATE_DIR=str(tmp_path)
        )
        assert "unexpected" not in said
    finally:
        subprocess.run(["umount", tmp_path], check=True)


@pytest.mark.usefixtures("untouched")
def test_with_two_clouds_and_no_terminal_it_names_the_option(cloud: Cloud, desk: Desk) -> None:
    unit = "[Service]\nExecStart=/usr/bin/sleep infinity\n"
    machine = containers.start(SPARE)
    try:
        machine.write_text("/etc/systemd/system/heat-engine.service", unit)
        argv = ("checkout", "heat-engine", "master", "--detach")
        said = refused(desk, *argv, code=2, why=r"heat-engine runs in \d+ machines", hint="--machine ")
        assert cloud.heat in said
        assert SPARE in said
    finally:
        containers.remove(SPARE)


def test_restore_with_nothing_swapped_is_done_at_once(desk: Desk) -> None:
    assert desk.devswap("restore").stdout.startswith("nothing is swapped")


@pytest.mark.usefixtures("untouched")
def test_an_unknown_setting_is_refused(desk: Desk) -> None:
    file = desk.person.home / ".config/devswap/config.toml"
    desk.person.run("mkdir", "-p", str(file.parent))
    desk.person.run("sh", "-c", f"echo 'wate = 3' > {file}")
    try:
        refused(desk, "list", code=2, why=f"unknown setting 'wate' in {file}", hint="known: .*wait")
        desk.person.run("sh", "-c", f"echo 'wait = \"soon\"' > {file}")
        assert str(file) in desk.devswap("list", code=2).stderr
        desk.person.run("sh", "-c", f"echo 'wait =' > {file}")
        assert str(file) in desk.devswap("list", code=2).stderr
    finally:
        file.unlink()


@pytest.mark.usefixtures("untouched")
def test_options_that_make_no_sense_are_usage_errors(cloud: Cloud, desk: Desk) -> None:
    for argv in (
        ("checkout",),
        ("checkout", "heat-engine"),
        ("no-such-command",),
        ("status", "--no-such-option"),
        (*checkout(cloud, "master"), "--wait", "soon"),
        (*checkout(cloud, "master"), "--index-policy", "whatever"),
    ):
        assert desk.devswap(*argv, code=2).stdout == ""


def test_logs_show_production_while_nothing_is_swapped(cloud: Cloud, desk: Desk) -> None:
    name = cloud.create_stack().name
    assert name in desk.devswap("logs", "heat-engine", "--machine", cloud.heat).stdout


@pytest.mark.usefixtures("untouched")
def test_nothing_is_beside_what_is_not_swapped(desk: Desk) -> None:
    for argv in (("exec", "heat-engine", "--", "true"), ("shell", "heat-engine"), ("run", "heat-engine")):
        refused(desk, *argv, code=1, why="heat-engine is not swapped", hint="devswap checkout heat-engine REF")
