"""A checkout is its user's own clone: what they made in it is never lost, and nobody else's program runs in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from devswap import process
from devswap.errors import DevswapError
from devswap.tree import _config
from tests.unit.served import CHANGE_ID, Developer, Upstream, commit_of, git


def test_everything_belongs_to_the_invoking_user(developer: Developer) -> None:
    developer("review/123")
    developer("master")
    assert {path.lstat().st_uid for path in developer.home.home.rglob("*")} == {developer.home.uid}


def test_the_user_commits_amends_and_rebases_in_a_checkout(developer: Developer) -> None:
    checkout = developer("review/123")
    developer.write(checkout.path / "engine.py", "mine\n")
    developer.git(checkout, "commit", "--quiet", "--all", "-m", "Mine")
    developer.git(checkout, "commit", "--quiet", "--amend", "-m", "Mine, again")
    developer.git(checkout, "rebase", "--quiet", "origin/stable/2026.1", "-X", "theirs")
    assert developer.git(checkout, "log", "-1", "--format=%s") == "Mine, again"
    assert developer.git(checkout, "branch", "--show-current") == "review/123"
    developer.git(checkout, "fsck", "--connectivity-only")


def test_a_checkout_has_the_remotes_that_git_review_works_with(developer: Developer, heat: Upstream) -> None:
    checkout = developer("review/123")
    assert developer.git(checkout, "remote", "get-url", "origin") == heat.url
    assert developer.git(checkout, "remote", "get-url", "gerrit") == heat.url
    pushed_to = developer.git(checkout, "remote", "get-url", "--push", "gerrit")
    assert pushed_to == "ssh://review.example.org:29418/openstack/heat.git"
    assert developer.git(checkout, "rev-parse", "--abbrev-ref", "@{upstream}") == "origin/master"
    assert developer.git(checkout, "log", "--format=%s", "HEAD", "--not", "--remotes=gerrit") == "Change 123"
    assert developer.git(checkout, "fetch", "--quiet", "origin") == ""


@pytest.mark.parametrize("value", ["plain", 'a "fork"; of #1', "back\\slash\\", " spaces ", "two\nlines"])
def test_git_reads_what_is_written_into_its_configuration(tmp_path: Path, value: str) -> None:
    (tmp_path / "config").write_text(_config({'remote "origin"': {"url": value}}))
    read = process.run(["git", "config", "--null", "--file", str(tmp_path / "config"), "remote.origin.url"]).stdout
    assert read == f"{value}\0"


def test_the_user_pushes_as_git_review_does(developer: Developer, heat: Upstream) -> None:
    address = "ssh://review.example.org:29418/openstack/heat.git"
    settings = f'[url "{heat.url}"]\ninsteadOf = {address}\n'
    developer.write(developer.home.home / ".gitconfig", settings)
    git(heat.bare, "config", "receive.denyCurrentBranch", "ignore")
    checkout = developer("review/123")
    hook = checkout.path / ".git/hooks/commit-msg"
    hook.parent.mkdir(exist_ok=True)
    developer.write(hook.parent / "commit-msg", '#!/bin/sh\necho Topic: mine >>"$1"\nid -u >../uid\n')
    hook.chmod(0o755)
    developer.write(checkout.path / "engine.py", "mine\n")
    developer.git(checkout, "commit", "--quiet", "--all", "--amend", "--no-edit")
    developer.git(checkout, "push", "--quiet", "gerrit", "HEAD:refs/for/master")
    assert commit_of(heat, "refs/for/master") == developer.git(checkout, "rev-parse", "HEAD")
    pushed = git(heat.bare, "log", "-1", "--format=%B", "refs/for/master")
    assert f"Change-Id: {CHANGE_ID}" in pushed
    assert "Topic: mine" in pushed
    assert (checkout.path.parent / "uid").read_text() == f"{developer.home.uid}\n"
    assert {path.lstat().st_uid for path in developer.home.home.rglob("*")} == {developer.home.uid}


def test_the_users_hooks_are_theirs_and_never_run_for_us(developer: Developer) -> None:
    ran = developer.home.home / "ran"
    hooks = developer.home.home / "hooks"
    hooks.mkdir()
    for name in ("post-checkout", "reference-transaction", "pre-commit", "fsmonitor"):
        developer.write(hooks / name, f"#!/bin/sh\necho {name} >>{ran}\n")
        (hooks / name).chmod(0o755)
    developer.write(
        developer.home.home / ".gitconfig", f"[core]\nhooksPath = {hooks}\nfsmonitor = {hooks / 'fsmonitor'}\n"
    )
    checkout = developer("master")
    assert not ran.exists()
    developer.git(checkout, "commit", "--quiet", "--allow-empty", "-m", "Mine")
    assert "pre-commit" in ran.read_text()


def test_edits_are_never_lost_and_the_hint_keeps_them(developer: Developer, heat: Upstream) -> None:
    checkout = developer("review/123")
    developer.write(checkout.path / "engine.py", "mine\n")
    heat.patchset(123, 3, **{"engine.py": "patchset three\n"})
    error = developer.refused("review/123")
    assert "engine.py" in error.message
    assert error.hint is not None
    assert f"git -C '{checkout.path}' switch -c keep-review-123" in error.hint
    developer.git(checkout, "switch", "--quiet", "-c", "keep-review-123")
    developer.git(checkout, "commit", "--quiet", "--all", "-m", "my edits")
    assert (developer("review/123").path / "engine.py").read_text() == "patchset three\n"
    assert developer.git(checkout, "show", "keep-review-123:engine.py") == "mine"


def test_edits_are_refused_also_when_there_is_nothing_newer(developer: Developer) -> None:
    checkout = developer("review/123")
    developer.write(checkout.path / "engine.py", "mine\n")
    assert "edits" in developer.refused("review/123").message
    assert (checkout.path / "engine.py").read_text() == "mine\n"


@pytest.mark.parametrize("ref", ["review/123", "master", "2.0.0"])
def test_local_commits_are_never_lost_and_the_hint_keeps_them(developer: Developer, ref: str) -> None:
    checkout = developer(ref)
    developer.git(checkout, "commit", "--quiet", "--allow-empty", "-m", "Mine alone")
    mine = developer.git(checkout, "rev-parse", "HEAD")
    error = developer.refused(ref)
    assert "Mine alone" in error.message
    assert error.hint is not None
    keep = error.hint.rpartition("branch ")[2]
    developer.git(checkout, "branch", keep)
    assert developer(ref).commit == checkout.commit
    assert developer.git(checkout, "rev-parse", keep) == mine


def test_a_local_commit_on_the_refs_branch_is_kept_while_the_user_is_elsewhere(developer: Developer) -> None:
    checkout = developer("review/123")
    developer.git(checkout, "commit", "--quiet", "--allow-empty", "-m", "Mine alone")
    developer.git(checkout, "switch", "--quiet", "--detach", "origin/master")
    assert "Mine alone" in developer.refused("review/123").message


def test_a_rebase_under_way_is_left_alone(developer: Developer) -> None:
    checkout = developer("review/123")
    developer.write(checkout.path / "engine.py", "mine\n")
    developer.git(checkout, "commit", "--quiet", "--all", "-m", "Mine")
    git(checkout.path, "rebase", "--onto", "origin/stable/2026.1", "HEAD~1", home=developer.home, check=False)
    assert "rebase" in developer.refused("review/123").message


def test_untracked_files_stay_and_do_not_hinder(developer: Developer, heat: Upstream) -> None:
    checkout = developer("review/123")
    developer.write(checkout.path / "notes.txt", "mine\n")
    heat.patchset(123, 3, **{"engine.py": "patchset three\n"})
    assert developer("review/123").patchset == 3
    assert (checkout.path / "notes.txt").read_text() == "mine\n"


def test_an_untracked_file_in_the_way_is_not_overwritten(developer: Developer, heat: Upstream) -> None:
    checkout = developer("review/123")
    developer.write(checkout.path / "notes.txt", "mine\n")
    heat.patchset(123, 3, **{"notes.txt": "theirs\n"})
    with pytest.raises(DevswapError, match=r"notes\.txt"):
        developer("review/123")
    assert (checkout.path / "notes.txt").read_text() == "mine\n"
    assert developer.git(checkout, "rev-parse", "HEAD") == checkout.commit


def test_a_checkout_killed_half_way_is_completed(developer: Developer, heat: Upstream) -> None:
    checkout = developer("review/123")
    newer = heat.patchset(123, 3, **{"engine.py": "patchset three\n", "more.py": "3\n"})
    developer.git(checkout, "fetch", "--quiet", heat.url, newer)
    developer.git(checkout, "config", "devswap.moving", newer)
    developer.write(checkout.path / "engine.py", "patchset three\n")
    developer.write(checkout.path / ".git/index.lock", "")
    assert developer("review/123").commit == newer
    assert (checkout.path / "more.py").read_text() == "3\n"
    assert developer.git(checkout, "status", "--porcelain", "--branch") == "## review/123...origin/master [ahead 1]"


def test_edits_made_after_a_checkout_was_killed_are_kept(developer: Developer, heat: Upstream) -> None:
    checkout = developer("review/123")
    newer = heat.patchset(123, 3, **{"engine.py": "patchset three\n"})
    developer.git(checkout, "fetch", "--quiet", heat.url, newer)
    developer.git(checkout, "config", "devswap.moving", newer)
    developer.write(checkout.path / "engine.py", "mine\n")
    with pytest.raises(DevswapError, match="edits"):
        developer("review/123")
    assert (checkout.path / "engine.py").read_text() == "mine\n"
