"""Every kind of REF from a real git server, and what it costs to fetch it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from devswap import source
from devswap.invoker import invoking_user
from devswap.sandbox.changes import DEPENDS_ON, HARMLESS, MIGRATION
from devswap.source import Checkout, Remotes
from tests.integration.cloud import Cloud
from tests.integration.people import PLAIN, Desk, Environment
from tests.unit.served import Wire

pytestmark = [pytest.mark.sandbox, pytest.mark.usefixtures("whole")]

RANDOM = "heat/engine/resources/openstack/heat/random_string.py"
STORED = "        self.data_set('value', random_string, redact=True)\n"


def served(desk: Desk, ref: str) -> str:
    """The commit of `ref` as the git server itself says."""
    listed = desk.person.run("git", "ls-remote", f"{desk.cloud.git}/heat", ref, f"{ref}^{{}}")
    return listed.splitlines()[-1].split()[0]


def planned(desk: Desk, ref: str, *argv: str, environment: Environment = PLAIN) -> str:
    """The commit that a checkout of `ref` would run: prepared to the last step, then taken away again."""
    line = ("plan", "heat-engine", ref, "--machine", desk.cloud.heat, "--json", *argv)
    commit: str = json.loads(desk.devswap(*line, environment=environment).stdout)["commit"]
    return commit


def test_every_form_of_ref_is_the_commit_that_the_server_has(cloud: Cloud, desk: Desk) -> None:
    change, address = cloud.change(HARMLESS), f"{cloud.git}/heat"
    number, page = change.number, f"https://review.example.org/c/openstack/heat/+/{change.number}"
    first, second = served(desk, change.ref(1)), served(desk, change.ref(2))
    branch = served(desk, f"refs/heads/{change.branch}")
    unseen = served(desk, cloud.change(DEPENDS_ON).ref(1))
    forms = {
        f"review/{number}": second,
        f"review/{number}/1": first,
        change.ref(1): first,
        page: second,
        page.replace("/c/", "/"): second,
        f"{page}/1": first,
        f"{page}/1/heat/cmd/engine.py": first,
        change.change_id: second,
        change.branch: branch,
        cloud.release(): served(desk, f"refs/tags/{cloud.release()}"),
        branch: branch,
        branch[:12]: branch,
        unseen[:12]: unseen,
        f"pr/{number}": second,
        f"{address}@{change.branch}": branch,
        f"{address}@review/{number}/1": first,
        f"{address}@pr/{number}": second,
    }
    home = invoking_user(desk.person.sudo())
    found = {}
    for ref in forms:
        checkout = source.prepare(
            "heat", ref, remotes=Remotes(address, address), home=home, cache=home.folder / "mirrors", say=print
        )
        assert desk.person.run("git", "rev-parse", "HEAD", cwd=checkout.path) == checkout.commit
        found[ref] = checkout.commit
    assert found == forms


def test_a_second_ref_costs_the_difference_and_an_earlier_one_no_network(cloud: Cloud, desk: Desk) -> None:
    change, other = cloud.change(HARMLESS), cloud.change(MIGRATION)
    home = invoking_user(desk.person.sudo())
    home = replace(home, folder=home.home / "apart")
    wire = Wire(9418, cloud.containers[cloud.container("-git-")])
    address = f"git://127.0.0.1:{wire.port}/openstack/heat"

    def prepared(ref: str) -> Checkout:
        wire.forget()
        return source.prepare(
            "heat", ref, remotes=Remotes(address, address), home=home, cache=home.folder / "mirrors", say=print
        )

    first = prepared(f"review/{change.number}/1")
    whole = len(wire.answered)
    assert prepared(f"review/{other.number}").change == other.number
    assert 0 < len(wire.answered) < whole / 10
    second = prepared(f"review/{change.number}/2")
    assert wire.asked.count(b"git-upload-pack") <= 1, "its commit came with the first, and its few files now"
    assert prepared(f"review/{change.number}/1") == first
    assert wire.asked == b""
    wire.close()
    for checkout, patchset in ((first, change.patchsets[0]), (second, change.patchsets[1])):
        assert patchset.shows in (checkout.path / RANDOM).read_text(), "they stand side by side"
        assert desk.person.run("git", "count-objects", cwd=checkout.path).startswith("0 objects"), "they share them"


def test_a_plan_touches_nothing(cloud: Cloud, desk: Desk) -> None:
    change, before = cloud.change(HARMLESS), cloud.start_of_production()
    assert planned(desk, f"review/{change.number}") == served(desk, change.ref(2))
    assert cloud.start_of_production() == before


def test_another_repository_is_named_by_remote_or_in_the_ref(cloud: Cloud, desk: Desk) -> None:
    fork = desk.own_tree("fork")
    desk.edit(fork / RANDOM, STORED, f"        random_string = ('fork-' + random_string)[:length]\n{STORED}")
    desk.person.run("git", "switch", "--quiet", "--create", "mine", cwd=fork)
    desk.person.run("git", "commit", "--quiet", "--all", "--message", "Mark as a fork's", cwd=fork)
    mine = desk.person.run("git", "rev-parse", "HEAD", cwd=fork)
    nowhere = {"DEVSWAP_BRANCHES_URL": "git://127.0.0.1:9/x", "DEVSWAP_CHANGES_URL": "git://127.0.0.1:9/x"}
    assert planned(desk, "mine", "--remote", f"file://{fork}", environment=nowhere) == mine
    desk.checkout(f"file://{fork}@mine")
    assert cloud.create_stack().word.startswith("fork-")


def test_the_own_tree_runs_live_with_what_is_in_no_commit(cloud: Cloud, desk: Desk) -> None:
    tree = desk.own_tree("live")
    desk.edit(tree / RANDOM, STORED, f"        random_string = ('first-' + random_string)[:length]\n{STORED}")
    before = _state(desk, tree)
    desk.devswap("checkout", "heat-engine", ".", "--machine", cloud.heat, "--detach", cwd=tree)
    assert cloud.create_stack().word.startswith("first-")
    desk.edit(tree / RANDOM, "'first-'", "'second-'")
    desk.devswap("run", "heat-engine", "--machine", cloud.heat, "--detach")
    assert cloud.create_stack().word.startswith("second-")
    desk.edit(tree / RANDOM, "'second-'", "'first-'")
    desk.restore()
    assert _state(desk, tree) == before


def _state(desk: Desk, tree: Path) -> list[str]:
    """The edits, and every file with its owner: nothing was added, nothing changed hands."""
    edits = desk.person.run("git", "diff", cwd=tree)
    files = sorted(f"{path.relative_to(tree)} {path.lstat().st_uid}" for path in tree.rglob("*"))
    return [edits, *files]
