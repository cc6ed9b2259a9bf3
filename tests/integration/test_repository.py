"""The sandbox's repositories, made from the real releases, served, and checked out."""

from __future__ import annotations

import ast
import os
import subprocess
import time
from pathlib import Path

import pytest

from devswap import refs
from devswap.invoker import UserHome
from devswap.sandbox import changes, edits, releases, repository
from devswap.sandbox.changes import CHANGES, Change
from devswap.sandbox.releases import PROJECTS, SourceFile
from devswap.source import Remotes, prepare


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the releases are kept between runs, if DEVSWAP_TEST_CACHE says so."""
    kept = os.environ.get("DEVSWAP_TEST_CACHE")
    return Path(kept) if kept else tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def root(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repositories")
    repository.build(folder, cache=cache, say=lambda _: None)
    return folder


def git(root: Path, project: str, *argv: str) -> str:
    command = ["git", "-C", str(root / "openstack" / f"{project}.git"), *argv]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: f"{change.project}-{change.number}")
def test_each_change_is_production_and_one_commit_that_shows_its_effect(root: Path, change: Change) -> None:
    production = releases.production_version(change.project, change.era)
    for number, patchset in enumerate(change.patchsets, 1):
        ref = change.ref(number)
        parent = git(root, change.project, "rev-parse", f"{ref}^")
        assert parent == git(root, change.project, "rev-parse", f"{production}^{{commit}}")
        added = git(root, change.project, "show", "--format=%B", ref)
        assert patchset.shows.partition(": ")[2] in added
        assert patchset.shows.partition(": ")[0] in added
        assert f"Change-Id: {change.change_id}" in added
        for name in git(root, change.project, "diff", "--name-only", parent, ref).splitlines():
            if name.endswith(".py"):
                ast.parse(git(root, change.project, "show", f"{ref}:{name}"))


@pytest.mark.parametrize("era", releases.ERAS)
def test_the_migration_follows_the_head_of_the_real_release(root: Path, era: str) -> None:
    ref = changes.change("heat", changes.MIGRATION, era).ref(1)
    names = git(root, "heat", "ls-tree", "-r", "--name-only", ref, "heat/db/migrations/versions/").splitlines()
    tree = {name: SourceFile(git(root, "heat", "show", f"{ref}:{name}").encode()) for name in names}
    assert edits.migration_head(tree) == changes.NEW_REVISION
    change = changes.change("keystone", changes.MIGRATION, era)
    added = git(root, "keystone", "diff", "--name-only", f"{change.ref(1)}^", change.ref(1)).splitlines()
    assert [name.split("/")[-2] for name in added if "/versions/" in name] == ["expand", "contract"]


@pytest.mark.parametrize("purpose", [changes.DEPENDS_ON, changes.NEEDS_LIBRARY])
def test_the_dependencies_name_changes_that_are_served(root: Path, purpose: str) -> None:
    for era in releases.ERAS:
        change = changes.change("heat", purpose, era)
        found = refs.depends_on(git(root, "heat", "log", "-1", "--format=%B", change.ref(1)))
        wanted = [refs.GerritChange(number, None, f"openstack/{project}") for project, number in change.depends_on]
        assert [each.ref for each in found] == wanted
        for project, number in change.depends_on:
            assert git(root, project, "rev-parse", refs.change_ref(number, 1))


def test_the_missing_package_is_required_by_no_release(root: Path) -> None:
    for project in PROJECTS:
        for release in project.releases:
            required = git(root, project.name, "show", f"{release.version}:requirements.txt")
            assert changes.MISSING_PACKAGE not in required


def test_the_same_commits_come_out_each_time_and_the_second_time_at_once(
    root: Path, cache: Path, tmp_path: Path
) -> None:
    started = time.monotonic()
    repository.build(tmp_path / "again", cache=cache, say=lambda _: None)
    repository.build(tmp_path / "again", cache=cache, say=lambda _: None)
    assert time.monotonic() - started < 3
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    (fresh / "sources").symlink_to(cache / "sources")
    repository.build(tmp_path / "anew", cache=fresh, say=lambda _: None)
    for project in ("heat", "keystone", "oslo.context"):
        listed = {git(folder, project, "for-each-ref") for folder in (root, tmp_path / "again", tmp_path / "anew")}
        assert len(listed) == 1


@pytest.mark.parametrize("era", releases.ERAS)
def test_a_change_becomes_a_checkout_of_the_next_version(root: Path, tmp_path: Path, era: str) -> None:
    change = changes.change("heat", changes.HARMLESS, era)
    address = f"file://{root}/openstack/heat.git"
    checkout = prepare(
        "heat",
        f"review/{change.number}",
        remotes=Remotes(address, address),
        home=UserHome("me", os.geteuid(), None, tmp_path, tmp_path / "folder"),
        cache=tmp_path / "mirrors",
        say=lambda _: None,
    )
    major, minor, patch = releases.production_version("heat", era).split(".")
    assert checkout.version == f"{major}.{minor}.{int(patch) + 1}.dev1"
    assert (checkout.patchset, checkout.branch) == (2, change.branch)
    assert change.patchsets[1].shows in (checkout.path / "heat/cmd/engine.py").read_text()
