"""Refs become checkouts: every form of REF, from real repositories behind a real git server."""

from __future__ import annotations

import pytest

from devswap import resolve
from devswap.errors import UsageError
from devswap.invoker import UserHome
from devswap.source import Remotes
from tests.unit.served import CHANGE_ID, Developer, Server, Upstream, commit_of, contents, git

FORMS = {
    "review/123": ("refs/changes/23/123/2", "patchset two"),
    "review/123/1": ("refs/changes/23/123/1", "patchset one"),
    "refs/changes/23/123/1": ("refs/changes/23/123/1", "patchset one"),
    "https://review.example.org/c/openstack/heat/+/123/1/engine.py": ("refs/changes/23/123/1", "patchset one"),
    "https://review.example.org/c/openstack/heat/+/123/1": ("refs/changes/23/123/1", "patchset one"),
    "https://review.example.org/c/openstack/heat/+/123": ("refs/changes/23/123/2", "patchset two"),
    "https://review.example.org/openstack/heat/+/123": ("refs/changes/23/123/2", "patchset two"),
    "https://review.example.org/123": ("refs/changes/23/123/2", "patchset two"),
    "https://review.example.org/#/c/123/1/": ("refs/changes/23/123/1", "patchset one"),
    "refs/changes/23/123": ("refs/changes/23/123/2", "patchset two"),
    CHANGE_ID: ("refs/changes/23/123/2", "patchset two"),
    "master": ("refs/heads/master", "two"),
    "stable/2026.1": ("refs/heads/stable/2026.1", "one"),
    "refs/heads/stable/2026.1": ("refs/heads/stable/2026.1", "one"),
    "1.0.0": ("refs/tags/1.0.0", "one"),
    "refs/tags/2.0.0": ("refs/tags/2.0.0", "two"),
    "pr/7": ("refs/pull/7/head", "one"),
    "HEAD": ("HEAD", "two"),
}


@pytest.mark.parametrize("ref", FORMS)
def test_every_remote_form_of_ref_becomes_a_checkout(developer: Developer, heat: Upstream, ref: str) -> None:
    name, engine = FORMS[ref]
    checkout = developer(ref)
    assert checkout.commit == commit_of(heat, name)
    assert checkout.resolved == name
    assert (checkout.path / "engine.py").read_text() == f"{engine}\n"
    assert developer.git(checkout, "rev-parse", "HEAD") == checkout.commit
    assert developer.git(checkout, "status", "--porcelain") == ""
    assert not checkout.own_tree
    assert not checkout.dirty


@pytest.mark.parametrize("digits", [40, 10])
def test_a_commit_is_found_by_its_full_and_its_short_name(developer: Developer, heat: Upstream, digits: int) -> None:
    commit = commit_of(heat, "master~1")
    checkout = developer(commit[:digits])
    assert (checkout.commit, checkout.resolved) == (commit, commit)


def test_a_commit_of_a_change_is_found_by_its_full_name_alone(developer: Developer, heat: Upstream) -> None:
    commit = commit_of(heat, "refs/changes/23/123/1")
    assert developer(commit).commit == commit


def test_a_commit_of_a_change_is_found_by_the_beginning_of_its_name(developer: Developer, heat: Upstream) -> None:
    heat.patchset(201, 1, **{"engine.py": "another\n"})
    commit = commit_of(heat, "refs/changes/23/123/1")
    checkout = developer(commit[:10])
    assert (checkout.commit, checkout.resolved, checkout.change) == (commit, commit, None)
    assert (checkout.path / "engine.py").read_text() == "patchset one\n"
    assert f"looking through all changes on {heat.url}" in developer.said


def test_changes_are_not_looked_through_for_a_commit_where_they_are_many(
    developer: Developer, heat: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolve, "_FEW_PATCHSETS", 0)
    heat.patchset(201, 1, **{"engine.py": "another\n"})
    error = developer.refused(commit_of(heat, "refs/changes/23/123/1")[:10])
    assert error.message.endswith(f"is no branch, tag or commit of {heat.url}")
    assert error.hint == "give all 40 digits: a server can be asked for the whole name only"


def test_a_fork_is_fetched_from_its_own_address(developer: Developer, server: Server) -> None:
    fork = server.repository("fork")
    commit = fork.commit("Elsewhere", **{"engine.py": "fork\n", "setup.cfg": "[metadata]\nversion = 7.1.0\n"})
    git(fork.work, "tag", "-a", "-m", "7.1.0", "7.1.0")
    fork.push("master:feature", "master:refs/pull/3/head", "master:refs/changes/09/9/1", "--tags")
    paths = set()
    for ref in ("feature", "7.1.0", commit, "pr/3", "review/9", "review/9/1"):
        checkout = developer(f"{fork.url}@{ref}")
        assert (checkout.path / "engine.py").read_text() == "fork\n"
        assert developer.git(checkout, "remote", "get-url", "fork") == fork.url
        paths.add(checkout.path)
    assert len(paths) == 6, "each has a folder of its own"
    assert developer("master").path not in paths


def test_branches_and_changes_may_be_on_different_servers(home: UserHome, server: Server, heat: Upstream) -> None:
    gerrit = server.repository("gerrit")
    git(heat.work, "fetch", "--quiet", str(heat.bare), "refs/changes/23/123/*:refs/changes/23/123/*")
    git(heat.work, "push", "--quiet", str(gerrit.bare), "refs/changes/23/123/*")
    git(heat.bare, "update-ref", "-d", "refs/changes/23/123/1")
    git(heat.bare, "update-ref", "-d", "refs/changes/23/123/2")
    git(heat.bare, "gc", "--quiet", "--prune=now")
    checkout = Developer(home, Remotes(heat.url, gerrit.url))("review/123")
    assert (checkout.path / "new.py").read_text() == "2\n"
    assert (checkout.patchset, checkout.newest) == (2, 2)
    assert checkout.version == "2.0.1.dev1"


def test_a_change_id_of_several_changes_is_answered_with_their_numbers(developer: Developer, heat: Upstream) -> None:
    heat.patchset(301, 1, **{"engine.py": "backport\n"})
    error = developer.refused(CHANGE_ID)
    assert error.hint == "type one of review/123, review/301"


def test_the_newest_patchset_is_followed_and_what_was_before_is_told(developer: Developer, heat: Upstream) -> None:
    first = developer("review/123")
    assert (first.patchset, first.newest, first.previous) == (2, 2, None)
    newer = heat.patchset(123, 3, **{"engine.py": "patchset three\n"})
    moved = developer("review/123")
    assert (moved.path, moved.commit, moved.patchset, moved.previous) == (first.path, newer, 3, first.commit)
    assert (moved.path / "engine.py").read_text() == "patchset three\n"
    assert not (moved.path / "new.py").exists()
    assert developer("review/123/2").newest == 3


def test_patchset_ten_is_newer_than_nine(developer: Developer, heat: Upstream) -> None:
    for patchset in (9, 10):
        commit = heat.patchset(123, patchset, **{"engine.py": f"{patchset}\n"})
    assert developer("review/123").commit == commit


def test_the_same_ref_again_changes_nothing(developer: Developer) -> None:
    developer("review/123")
    before = contents(developer.home.folder / "checkouts")
    again = developer("review/123")
    assert again.previous is None
    assert contents(developer.home.folder / "checkouts") == before


def test_what_was_seen_before_and_never_changes_needs_no_network(developer: Developer, server: Server) -> None:
    commit, patchset = developer("master").commit, developer("review/123/1").commit
    server.stop()
    assert developer("2.0.0").commit == commit
    assert developer(commit).commit == commit
    assert developer("review/123/1").commit == developer("refs/changes/23/123/1").commit == patchset


def test_a_branch_is_followed_even_when_it_was_rewritten(developer: Developer, heat: Upstream) -> None:
    developer("master")
    git(heat.work, "reset", "--quiet", "--hard", "HEAD~1")
    commit = heat.commit("Rewritten", **{"engine.py": "rewritten\n"})
    heat.push("master")
    checkout = developer("master")
    assert checkout.commit == commit
    assert developer.git(checkout, "rev-parse", "origin/master") == commit
    assert developer.git(checkout, "status", "--porcelain", "--branch") == "## master...origin/master"


def test_two_checkouts_stand_side_by_side(developer: Developer) -> None:
    one, two, branch = developer("review/123/1"), developer("review/123/2"), developer("master")
    texts = [(each.path / "engine.py").read_text() for each in (one, two, branch)]
    assert texts == ["patchset one\n", "patchset two\n", "two\n"]


def test_a_patchset_that_does_not_exist_is_answered_with_those_that_do(developer: Developer) -> None:
    error = developer.refused("review/123/9")
    assert "no patchset 9: it has 1, 2" in error.message
    assert error.hint is not None
    assert "review/123/2" in error.hint


def test_a_change_that_does_not_exist_is_said(developer: Developer) -> None:
    assert "change 77 does not exist in heat" in developer.refused("review/77").message


def test_a_change_of_another_project_is_said(developer: Developer) -> None:
    with pytest.raises(UsageError, match="belongs to openstack/nova"):
        developer("https://review.example.org/c/openstack/nova/+/123")


def test_an_unknown_name_is_answered_with_near_ones(developer: Developer) -> None:
    error = developer.refused("stable/2026.2")
    assert "stable/2026.2 is no branch, tag or commit" in error.message
    assert error.hint == "did you mean stable/2026.1?"


@pytest.mark.parametrize("ref", ["0123456789" * 4, "0123456", "refs/heads/none", "refs/other/none", "pr/99", "mastr"])
def test_unknown_names_of_every_kind_are_refused_with_a_hint(developer: Developer, ref: str) -> None:
    developer("master")
    assert developer.refused(ref).hint
