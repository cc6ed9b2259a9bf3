"""A change under review, as its developer has it: what Gerrit says of it, and a checkout that is theirs to work in."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from devswap.sandbox.changes import HARMLESS
from tests.integration import cloud as clouds
from tests.integration.cloud import Cloud, wait_until
from tests.integration.people import Desk, Person
from tests.unit.gerrit import Gerrit

pytestmark = pytest.mark.sandbox

RANDOM = "heat/engine/resources/openstack/heat/random_string.py"
HOOKS = ("commit-msg", "post-checkout", "post-commit", "post-rewrite", "pre-push")
HOOK = '#!/bin/sh\necho "$(basename "$0") of $(id -un)" >>"$HOME/hooks"\n'


@pytest.fixture(scope="module")
def rest() -> Iterator[Gerrit]:
    with Gerrit() as served:
        yield served


@pytest.fixture(scope="module")
def reviewed(cloud: Cloud, people: tuple[Person, Person], rest: Gerrit) -> Iterator[Desk]:
    """The desk of somebody who has taken heat-engine over with a change that Gerrit tells of."""
    desk, before, number = Desk(cloud, people[0]), cloud.look(), cloud.change(HARMLESS).number
    rest.add(number, "openstack/heat", patchset=2)
    line = ("checkout", "heat-engine", f"review/{number}", "--machine", cloud.heat, "--detach")
    taken = desk.devswap(*line, environment={"DEVSWAP_GERRIT_URL": rest.url})
    assert f"change {number} by Ada for master, new: Change {number}" in taken.stderr
    yield desk
    desk.restore("--machine", cloud.heat)
    assert clouds.differences(before, cloud.look()) == []


@pytest.fixture(scope="session")
def git_review() -> Iterator[list[str]]:
    """The program, for everybody on this host."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--target", folder, "git-review"]
        subprocess.run(install, check=True)
        start = "from git_review import cmd; cmd.main()"
        yield ["env", f"PYTHONPATH={folder}", "/usr/bin/python3", "-c", start]


def an_hour_passes() -> None:
    """What was asked before is forgotten."""
    state = Path(os.environ.get("DEVSWAP_STATE_DIR", "/var/lib/devswap"))
    for note in state.glob("newest/*.json"):
        note.unlink()


def test_status_and_run_tell_what_gerrit_says_and_never_wait_for_it(cloud: Cloud, reviewed: Desk, rest: Gerrit) -> None:
    number = cloud.change(HARMLESS).number
    told = f"change {number}, patchset 2 by Ada for master, new"
    assert f"{told}\n" in reviewed.devswap("status").stdout
    asked = len(rest.asked)
    rest.changes.clear()
    rest.add(number, "openstack/heat", patchset=3)
    rest.ready.clear()
    an_hour_passes()
    assert f"{told}\n" in reviewed.devswap("status").stdout, "it is there before Gerrit answers"
    wait_until(lambda: len(rest.asked) == asked + 1, "Gerrit is asked")
    rest.ready.set()
    wait_until(lambda: f"{told}; a newer patchset exists: 3" in reviewed.devswap("status").stdout, "its answer is told")
    ran = reviewed.devswap("run", "heat-engine", "--machine", cloud.heat, "--detach")
    assert f"a newer patchset of change {number} exists: 3, this is 2" in ran.stderr
    assert len(rest.asked) == asked + 1, "it is asked once an hour"


def test_a_checkout_is_its_users_to_edit_amend_rebase_and_send_to_review(
    cloud: Cloud, reviewed: Desk, git_review: list[str]
) -> None:
    person, change = reviewed.person, cloud.change(HARMLESS)
    tree = person.checkout(f"review~{change.number}")

    def git(*argv: str) -> str:
        return person.run("git", *argv, cwd=tree)

    assert {path.lstat().st_uid for path in [tree, *tree.rglob("*")]} == {person.uid}
    assert git("status", "--porcelain") == ""
    fetched = git("rev-parse", "HEAD")
    for hook in HOOKS:
        path = f".git/hooks/{hook}"
        person.run("sh", "-c", 'mkdir -p "$(dirname "$1")"; echo "$2" >"$1"; chmod +x "$1"', "sh", path, HOOK, cwd=tree)
    reviewed.edit(tree / RANDOM, f"MARK = '{change.patchsets[-1].shows}'", "MARK = 'amended-'")
    git("commit", "--quiet", "--all", "--amend", "--no-edit")
    git("rebase", "--quiet", "--force-rebase", f"origin/{change.branch}")
    amended = git("rev-parse", "HEAD")
    ran_by = (person.home / "hooks").read_text().splitlines()
    assert {line.split()[0] for line in ran_by} >= {"commit-msg", "post-rewrite"}
    assert {line.split()[2] for line in ran_by} == {person.name}

    refused = reviewed.devswap("plan", "heat-engine", f"review/{change.number}", "--machine", cloud.heat, code=1)
    assert f"cannot move {tree}: it has 1 commit(s) that no server has" in refused.stderr
    assert git("rev-parse", "HEAD") == amended
    reviewed.devswap("run", "heat-engine", "--machine", cloud.heat, "--detach")
    assert cloud.create_stack().word.startswith("amended-")
    assert (person.home / "hooks").read_text().splitlines() == ran_by, "devswap's own git runs none"

    gerrit = person.home / f"gerrit-{cloud.era}.git"
    person.run("git", "clone", "--quiet", "--bare", str(tree), str(gerrit))
    git("config", "remote.gerrit.pushUrl", f"file://{gerrit}")
    person.run(*git_review, "--yes", "--no-rebase", "--no-topic", cwd=tree)
    assert person.run("git", "rev-parse", f"refs/for/{change.branch}", cwd=gerrit) == amended
    assert f"pre-push of {person.name}" in (person.home / "hooks").read_text()
    assert {path.lstat().st_uid for path in person.home.rglob("*")} == {person.uid}
    for hook in HOOKS:
        (tree / ".git/hooks" / hook).unlink()
    person.run("rm", "hooks")
    git("reset", "--quiet", "--hard", fetched)
