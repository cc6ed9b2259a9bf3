"""A library that the service uses, run from a checkout of its own in front of production's copy."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from devswap.sandbox.changes import HARMLESS, NEEDS_LIBRARY
from devswap.sandbox.releases import REVIEW_HOST
from tests.integration.cloud import Cloud, swaps
from tests.integration.people import Desk
from tests.packages import make_library

pytestmark = [pytest.mark.sandbox, pytest.mark.usefixtures("whole")]

LIBRARY = "oslo.context"


def test_a_change_runs_with_the_library_it_needs_until_a_checkout_without_it(cloud: Cloud, desk: Desk) -> None:
    change, library = cloud.change(NEEDS_LIBRARY), cloud.change(HARMLESS, LIBRARY)
    heats, first, second = change.patchsets[0].shows, *(patchset.shows for patchset in library.patchsets)
    taken = desk.take(NEEDS_LIBRARY, "--with-depends")
    assert "which this service has no package of" in taken.stderr, "the other footer names a change of keystone"
    assert cloud.create_stack().word.startswith(heats + second)
    (swap,) = swaps(desk.devswap("status", "--json").stdout)
    (found,) = swap["libraries"]
    assert (found["name"], found["subject"], found["packages"]) == (LIBRARY, library.subject, ["oslo_context"])
    shown = desk.devswap("status").stdout
    assert f"with {LIBRARY} {found['version']}: review/{library.number}" in shown
    assert f"change {library.number}, patchset 2" in shown

    desk.take(NEEDS_LIBRARY, "--with", f"{LIBRARY}=review/{library.number}/1")
    tree = desk.person.checkout(f"review~{library.number}~1", LIBRARY)
    assert {path.lstat().st_uid for path in [tree, *tree.rglob("*")]} == {desk.person.uid}
    desk.edit(tree / "oslo_context/mark.py", first, "edited-")
    ran = desk.devswap("run", "heat-engine", "--machine", cloud.heat, "--detach")
    assert f"a newer patchset of change {library.number} exists: 2, this is 1" in ran.stderr
    assert cloud.create_stack().word.startswith(f"{heats}edited-")
    desk.edit(tree / "oslo_context/mark.py", "edited-", first)

    desk.take(HARMLESS)
    (swap,) = swaps(desk.devswap("status", "--json").stdout)
    assert swap["libraries"] == []
    left = cloud.sh("grep /run/devswap /proc/self/mountinfo; ls /run/devswap/heat-engine/*", ok=False)
    assert "oslo" not in left
    assert "with" not in left.split()
    desk.restore()


class Proposals:
    """Changes that a test has on the git server for a while; each is of the files of another one."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self._made: list[tuple[str, str]] = []

    def git(self, project: str, *argv: str) -> str:
        server = self.cloud.container("-git-")
        who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "safe.directory=*")
        line = ["env", "HOME=/root", "git", *who, "-C", f"/srv/git/openstack/{project}.git"]
        return self.cloud.run([*line, *argv], on=server).stdout.strip()

    def propose(self, project: str, number: int, like: str, *depends_on: tuple[str, int]) -> None:
        """One with the files of `like`, on what that is on, and with footers."""
        needs = "\n".join(f"Depends-On: https://{REVIEW_HOST}/c/openstack/{name}/+/{at}" for name, at in depends_on)
        commit = self.git(project, "commit-tree", f"{like}^{{tree}}", "-p", f"{like}^", "-m", f"Propose\n\n{needs}")
        self.put(project, number, commit)

    def put(self, project: str, number: int, commit: str) -> None:
        """One whose first patchset is a commit that is there."""
        ref = f"refs/changes/{number % 100:02d}/{number}/1"
        self.git(project, "update-ref", ref, commit)
        self._made.append((project, ref))

    def withdraw(self) -> None:
        for project, ref in self._made:
            self.git(project, "update-ref", "-d", ref)


@pytest.fixture
def proposals(cloud: Cloud) -> Iterator[Proposals]:
    made = Proposals(cloud)
    yield made
    made.withdraw()


def test_footers_that_lead_round_are_refused(cloud: Cloud, desk: Desk, proposals: Proposals) -> None:
    change, library = cloud.change(NEEDS_LIBRARY), cloud.change(HARMLESS, LIBRARY)
    first, second = change.number + 50, library.number + 50
    proposals.propose("heat", first, change.ref(1), (LIBRARY, second))
    proposals.propose(LIBRARY, second, library.ref(1), ("heat", first))
    line = ("plan", "heat-engine", f"review/{first}", "--machine", cloud.heat, "--with-depends")
    refused = desk.devswap(*line, code=1).stderr
    assert f"the changes depend on each other: heat {first} → {LIBRARY} {second} → heat {first}\n" in refused


def test_a_merged_library_is_productions_and_others_come_from_a_path_and_from_an_address(
    cloud: Cloud, desk: Desk, proposals: Proposals, tmp_path: Path
) -> None:
    change, library = cloud.change(NEEDS_LIBRARY), cloud.change(HARMLESS, LIBRARY)
    number, merged = change.number + 51, library.number + 51
    proposals.propose("heat", number, change.ref(1), (LIBRARY, merged))
    proposals.put(LIBRARY, merged, proposals.git(LIBRARY, "rev-parse", f"refs/heads/{library.branch}"))
    own, words = desk.person.home / f"src/{LIBRARY}", desk.person.home / f"src/words-{cloud.era}"
    git = desk.person.run
    git("rm", "-rf", str(own))
    git("git", "clone", "--quiet", f"{cloud.git}/{LIBRARY}", str(own))
    git("git", "fetch", "--quiet", "origin", library.ref(1), cwd=own)
    git("git", "checkout", "--quiet", "--detach", "FETCH_HEAD", cwd=own)
    for path in sorted(make_library(tmp_path / "words", "integration.words").rglob("*.*")):
        target = words / path.relative_to(tmp_path / "words")
        git("sh", "-c", 'mkdir -p "$(dirname "$1")"; echo "$2" >"$1"', "sh", str(target), path.read_text())
    git("git", "init", "--quiet", "--initial-branch=mine", cwd=words)
    git("git", "add", "--all", cwd=words)
    git("git", "commit", "--quiet", "--message", "Words", cwd=words)
    git("git", "tag", "-a", "-m", "3.1.0", "3.1.0", cwd=words)

    line = ("plan", "heat-engine", f"review/{number}", "--machine", cloud.heat, "--json", "--with-depends")
    planned = desk.devswap(*line, "--with", f"~/src/{LIBRARY}", "--with", f"integration.words=file://{words}@mine")
    skipped = rf"heat {number} depends on {re.escape(LIBRARY)} {merged}, which \S+ has already: skipped"
    assert re.search(skipped, planned.stderr)
    found = {each["name"]: each for each in json.loads(planned.stdout)["libraries"]}
    assert set(found) == {LIBRARY, "integration.words"}
    assert found[LIBRARY]["checkout"] == str(own)
    assert found[LIBRARY]["packages"] == ["oslo_context"]
    assert found["integration.words"]["version"] == "3.1.0"
    assert found["integration.words"]["commit"] == git("git", "rev-parse", "HEAD", cwd=words)
    assert found["integration.words"]["packages"] == ["integration_words"]
